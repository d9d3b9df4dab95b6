"""Drafts rules for an unknown export: guesses its columns and writes the TOML to read them. Does no I/O."""
