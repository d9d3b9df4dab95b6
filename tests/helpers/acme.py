"""A feed of an invented vendor, as a person would declare it."""

FEED = """\
[feeds.acme_leads]
files = ["acme*"]
key = ["lead_id"]
date = "lead_at"
[feeds.acme_leads.columns]
lead_id = { type = "text", from = ["Ref"], required = true }
lead_at = { type = "timestamp", from = ["When"], required = true }
price = { type = "money", from = ["Price"] }
"""
