"""Typed rows to metrics: pure stages, and two runners over them (``local`` and ``increment``)."""
