"""Use cases: one typed function per command with a frozen result, one file per command; none imports another."""
