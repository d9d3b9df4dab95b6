"""Formats results as text or JSON. Makes no decisions: the layers below have decided what is shown."""
