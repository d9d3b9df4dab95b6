"""The version of rmetrics."""

__version__ = "0.1.0"
