"""Exports of a small company: CSV text with headers as the shipped rules read them, and no wider than a test needs.

Each row says its first columns in the order of the header; what it leaves out has the default. ``more`` names columns
that a test has beyond those, as in ``jobs((1, "COD Repair", "Google", "11/05/2024", "555"), more=("Primary Phone",))``.
"""

from collections.abc import Mapping, Sequence

from support import csv_text

DAY = "Tue Nov 05 2024"
JOBS = {"Job #": "1", "Job Type": "COD Repair", "Source": "Google", "Created": DAY}
PAYMENTS = {"Job #": "1", "Date": DAY, "Amount": "100.00"}
LEADS = {"Unique ID": "1", "Time": "2024-11-05 09:00:00 -0500", "Cost": "20.00"}
REFERRALS = {"Lead ID": "1", "Lead Date": "11/05/2024 09:00 AM", "Current Status": "Booked"}
CALLS = {
    "Call ID": "1", "Time": "2024-11-05 09:00:00 -0500", "Flow": "Google Ads", "From number": "", "To number": "",
    "Answered": "Yes", "Job": "",
}  # fmt: skip
SPEND = {"Month": "2024-11", "Spend": "100.00"}
TARGETS = {"Month": "2024-11", "Target Repairs": "30"}

# Two companies of a group: one published in a schema of its own as well, one in another zone, currency and folder.
BOSTON = '[companies.boston]\npublish = "own"\ntitle = "Boston Appliance"\n'
TORONTO = """
[companies.toronto]
inbox = "canada/toronto"
timezone = "America/Toronto"
currency = "CAD"
[companies.toronto.rules.revenue]
share = 0.50
"""

Row = Sequence[object]


def jobs(*rows: Row, more: Sequence[str] = ()) -> str:
    """Jobs of a CRM: number, type, source, day."""
    return _text(JOBS, rows, more)


def payments(*rows: Row, more: Sequence[str] = ()) -> str:
    """Payments: job, day, amount."""
    return _text(PAYMENTS, rows, more)


def amounts(*amounts: int) -> str:
    """Payments of one day, of jobs that no export has."""
    return payments(*((f"J{i}", "2025-01-05", a, f"P{i}") for i, a in enumerate(amounts)), more=("Payment ID",))


def leads(*rows: Row, more: Sequence[str] = ()) -> str:
    """Leads of eLocals: number, time, price."""
    return _text(LEADS, rows, more)


def referrals(*rows: Row, more: Sequence[str] = ()) -> str:
    """Referrals of Pro Referral: number, time, status."""
    return _text(REFERRALS, rows, more)


def calls(*rows: Row, more: Sequence[str] = ()) -> str:
    """Calls: number, time, flow, from, to, answered, job."""
    return _text(CALLS, rows, more)


def spend(*rows: Row, more: Sequence[str] = ()) -> str:
    """Spend of Google: month, amount."""
    return _text(SPEND, rows, more)


def targets(*rows: Row, more: Sequence[str] = ()) -> str:
    """Targets of the company: month, repairs."""
    return _text(TARGETS, rows, more)


def _text(columns: Mapping[str, str], rows: Sequence[Row], more: Sequence[str]) -> str:
    defaults = (*columns.values(), *("" for _ in more))
    return csv_text((*columns, *more), *((*row, *defaults[len(row) :]) for row in rows))
