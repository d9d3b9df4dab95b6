"""DuckDB restricted to reading the files it is given."""
