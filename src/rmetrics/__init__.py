"""rmetrics: from a folder of exports to right numbers in Postgres."""

__version__ = "0.1.0"
