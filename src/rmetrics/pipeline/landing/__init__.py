"""Bytes of exports to raw and typed rows in the lake."""
