"""A draft of rules for an unknown export: what its columns are, and the TOML that reads them. Nothing here does I/O."""
