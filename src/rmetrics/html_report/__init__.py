"""The report page: one self-contained HTML file made from frames of the lake."""
