"""From typed rows to daily and monthly metrics: pure functions of lazy frames and rules, without I/O or clock."""
