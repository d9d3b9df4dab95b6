"""Headers of the exports that most tests write: as vendors name them, and no wider than a test needs."""

JOBS = ("Job #", "Job Type", "Source", "Created")
PAYMENTS = ("Date", "Amount", "Method", "Job #", "Status", "Transaction ID")
REFERRALS = ("Lead ID", "Lead Date", "Current Status")
ELOCALS = ("Unique ID", "Time", "Cost")
SPEND = ("Month", "Spend")
