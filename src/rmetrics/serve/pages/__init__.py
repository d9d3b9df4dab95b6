"""One module per page: what was asked in, HTML out."""
