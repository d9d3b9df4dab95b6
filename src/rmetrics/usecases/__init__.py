"""Use cases: one typed function per command with its frozen result, one file per command; none imports another."""
