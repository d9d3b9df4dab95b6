"""``rmetrics serve``: pages on which every figure leads to its explanation. Reads; there is no way to write."""
