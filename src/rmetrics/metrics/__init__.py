"""Daily and monthly metrics from typed rows: pure functions of lazy frames and rules, without I/O or clock."""
