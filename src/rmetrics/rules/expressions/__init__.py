"""The expressions of the rules: parsed once, typed against a row, rendered for each engine and in plain words.

``tokens`` and ``parsing`` turn a user's text into the tree of ``tree``; ``typing`` turns that into the typed tree of
``typed``, in which every conversion is a node; ``polars_form`` and ``duckdb_form`` render the typed tree,
``sentences`` and ``written`` the untyped one. A user's text never reaches an engine. ``functions`` lists the functions
available.
"""
