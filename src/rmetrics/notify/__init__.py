"""Messages: evaluation of alerts, recipients, delivery, and the ledger that prevents duplicates."""
