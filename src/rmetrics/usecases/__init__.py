"""Use cases: one typed function per command with its frozen result; none imports another."""
