"""The use cases: one typed function each, returning a frozen result. Here the layers below are wired together."""
