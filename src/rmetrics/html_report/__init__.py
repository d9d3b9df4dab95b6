"""The report page: a self-contained HTML file built from frames of the lake."""
