"""The path of the data, step by step: landing, compute, verify and changes, publication."""
