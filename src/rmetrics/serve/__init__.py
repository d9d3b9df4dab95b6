"""``rmetrics serve``: read-only pages on which every figure links to its explanation."""
