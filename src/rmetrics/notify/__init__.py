"""Messages: what alerts are true, who gets what, how it is sent, and the ledger that keeps it from being sent twice."""
