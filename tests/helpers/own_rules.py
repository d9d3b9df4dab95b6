"""Own measures, returns and dimensions, as an owner adds them to the shipped rules."""

OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[[measures.callbacks.changes]]
from = 2024-11-01
count = "type = 'Warranty' AND paid > 0"
[measures.open_since]
of = "jobs"
sum = "metric_date - job_date"
[measures.refunds]
of = "payments"
sum = "amount"
where = "amount < 0 AND source <> 'Rely'"
[measures.days_to_pay]
of = "payments"
sum = "paid_date - job_day"
where = "job_id IS NOT NULL"
[measures.dear_leads]
of = "elocals_leads"
sum = "cost"
where = "cost > 30"
[measures.lost_leads]
of = "journeys"
count = "NOT booked"
[measures.won_money]
of = "journeys"
sum = "paid - cost"
where = "booked"
[measures.refund_rate]
ratio = ["refunds", "revenue_gross"]
[returns.since_any]
same = ["client_phone"]
[measures.again]
of = "jobs"
count = "since_any < 30"
[dimensions.city]
of = "jobs"
column = "city"
split = ","
most = 1
[dimensions.each_city]
of = "jobs"
column = "city"
split = ","
count_for = "each"
[dimensions.lead_status]
of = "elocals_leads"
column = "status"
[dimensions.method]
of = "payments"
sql = "coalesce(method, 'unknown')"
"""
