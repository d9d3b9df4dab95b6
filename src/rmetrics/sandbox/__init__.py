"""DuckDB that reads the files it was given and nothing else."""
