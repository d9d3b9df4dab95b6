"""The expressions of the rules: parsed once, typed against a row, rendered for each engine and in words.

``tokens`` and ``parsing`` turn a user's text into the tree of ``tree``; ``typing`` turns that into the typed tree of
``typed``, in which every conversion is a node of its own; ``polars_form`` and ``duckdb_form`` render the typed tree,
``sentences`` and ``written`` the tree as it was written. No engine reads a user's text. ``functions`` lists the
functions on offer.
"""
