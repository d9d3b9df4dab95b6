"""Which figures and rows change, and why."""
