"""The rules of the simulated company as plain values, and the TOML they are written as.

The truth reads the plain values and rmetrics reads the TOML, so neither depends on how the other reads rules. A
condition is an SQL text and a Python function that were written side by side; ``CONDITIONS`` is the whole list.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

CONDITIONS: dict[str, Callable[[Row], bool]] = {
    "": lambda _: True,
    "cost > 0": lambda r: r["cost"] is not None and r["cost"] > 0,
    "cost > 20": lambda r: r["cost"] is not None and r["cost"] > 2000,
    "current_status IS DISTINCT FROM 'Passed'": lambda r: r["current_status"] != "Passed",
    "state IS DISTINCT FROM 'refunded'": lambda r: r["state"] != "refunded",
    "state IS DISTINCT FROM 'test'": lambda r: r["state"] != "test",
    "state IN ('won', 'open')": lambda r: r["state"] in {"won", "open"},
    "fee >= 12.50": lambda r: r["fee"] is not None and r["fee"] >= 1250,
}
_NOT_PAID = {"failed", "voided", "pending", "processing"}


def payment_counts(row: Row) -> bool:
    """The shipped condition of payments: every status, blank too, but those of money that did not arrive."""
    return row["status"] is None or row["status"].lower() not in _NOT_PAID


@dataclass(frozen=True)
class Cost:
    """One cost of a source: a price per something in cents, or the sum of a feed's column.

    Attributes:
        kind: ``per_lead``, ``per_unit``, ``per_repair``, ``monthly`` or ``feed``.
    """

    kind: str
    cents: int = 0
    feed: str = ""
    column: str = ""
    where: str = ""
    spread: bool = False

    def toml(self) -> str:
        """An inline table."""
        if self.kind != "feed":
            return f"{{ {self.kind} = {_money(self.cents)} }}"
        spread = ', spread = "days"' if self.spread else ""
        return f'{{ feed = "{self.feed}", sum = "{self.column}"{_where(self.where)}{spread} }}'


@dataclass(frozen=True)
class Leads:
    """How leads are counted: ``jobs``, ``units``, ``repairs``, or the rows of a feed."""

    by: str
    where: str = ""

    def toml(self) -> str:
        """A text or an inline table."""
        if self.by in {"jobs", "units", "repairs"}:
            return f'"{self.by}"'
        return f'{{ feed = "{self.by}"{_where(self.where)} }}'


@dataclass(frozen=True)
class Terms:
    """What holds for a source from a day on."""

    leads: Leads
    costs: tuple[Cost, ...] = ()
    segment: str = "OTHER"

    def toml(self) -> str:
        """The three keys, one a line."""
        costs = ", ".join(c.toml() for c in self.costs)
        return f'segment = "{self.segment}"\nleads = {self.leads.toml()}\ncost = [{costs}]\n'


@dataclass(frozen=True)
class Source:
    """A declared source; ``versions`` are (from, terms), the first from None."""

    aliases: tuple[str, ...]
    versions: tuple[tuple[dt.date | None, Terms], ...]

    def at(self, day: dt.date) -> Terms:
        """The terms in force on a day."""
        return next(terms for start, terms in reversed(self.versions) if start is None or start <= day)


@dataclass(frozen=True)
class Rulebook:
    """Everything the figures depend on beside the data."""

    zone: str = "America/New_York"
    jobs_date: str = "created_at"
    revenue_date: str = "job"
    shares: tuple[tuple[dt.date | None, Decimal], ...] = ((None, Decimal("0.40")),)
    sources: Mapping[str, Source] = field(default_factory=dict)
    own_feed: str | None = None  # the condition of rows that count in the feed added by TOML; None: no such feed yet

    def share(self, day: dt.date) -> Decimal:
        """The share in force on a day."""
        return next(share for start, share in reversed(self.shares) if start is None or start <= day)

    def with_source(self, name: str, source: Source) -> "Rulebook":
        """The same with a source added or replaced."""
        return replace(self, sources={**self.sources, name: source})


def shipped() -> Rulebook:
    """The rules as shipped, read by a person from rules/*.toml."""
    elocals = Cost("feed", feed="elocals_leads", column="cost", where="cost > 0")
    google = Cost("feed", feed="google_spend", column="spend", spread=True)
    passed = "current_status IS DISTINCT FROM 'Passed'"

    def source(terms: Terms, *aliases: str) -> Source:
        return Source(aliases, ((None, terms),))

    return Rulebook(
        sources={
            "eLocals": source(
                Terms(Leads("elocals_leads", "cost > 0"), (elocals,), "COD"), "elocal", "eLocal.com", "eLocals.com"
            ),
            "Pro Referral": source(
                Terms(Leads("proref_leads", passed), (Cost("per_lead", 2000),), "COD"),
                "pro_referral",
                "ProReferral.com",
            ),
            "Google": source(Terms(Leads("jobs"), (google,), "COD"), "GoogleAds", "Google Ads"),
            "Rely": source(Terms(Leads("units"), segment="INS")),
            "NSA": source(Terms(Leads("units"), segment="INS")),
            "Liberty": source(Terms(Leads("units"), segment="INS"), "LHG", "Liberty Home Guard"),
            "Retention": source(Terms(Leads("jobs"))),
        }
    )


OWN_FEED = """
[feeds.fixly_leads]
files = ["fixly*"]
key   = ["ref"]
date  = "asked_at"
where = "{where}"
[feeds.fixly_leads.columns]
ref      = {{ type = "text", from = ["Booking Ref"], required = true }}
asked_at = {{ type = "timestamp", from = ["Requested On"], formats = ["%d.%m.%Y %H:%M"], required = true }}
fee      = {{ type = "money", from = ["Booking Fee"], decimal = "," }}
state    = {{ type = "text", from = ["State"] }}
"""


def write_rules(book: Rulebook, folder: Path) -> None:
    """Writes sources and revenue as TOML and edits the rest in place, as an owner would."""
    business = folder / "business.toml"
    text = business.read_text(encoding="utf-8")
    before, _, after = text.partition("[revenue]")
    calls = after[after.index("[[calls.sources]]") :]
    lines = [line for line in before.splitlines() if not line.startswith(("date ", "timezone "))]
    lines.insert(lines.index("[business]") + 1, f'timezone = "{book.zone}"')
    lines.insert(lines.index("[jobs]") + 1, f'date = "{book.jobs_date}"')
    business.write_text("\n".join(lines) + "\n\n" + _revenue(book) + "\n" + calls, encoding="utf-8")
    sources = "\n".join(_source(name, source) for name, source in book.sources.items())
    (folder / "sources.toml").write_text(sources, encoding="utf-8")
    if book.own_feed is not None:
        (folder / "fixly.toml").write_text(OWN_FEED.format(where=book.own_feed), encoding="utf-8")


def _revenue(book: Rulebook) -> str:
    (_, first), *later = book.shares
    text = f'[revenue]\nshare = {first}\ndate = "{book.revenue_date}"\n'
    return text + "".join(f"[[revenue.changes]]\nfrom = {start}\nshare = {share}\n" for start, share in later)


def _source(name: str, source: Source) -> str:
    (_, first), *later = source.versions
    aliases = ", ".join(f'"{a}"' for a in source.aliases)
    text = f'[sources."{name}"]\naliases = [{aliases}]\n{first.toml()}'
    return text + "".join(f'[[sources."{name}".changes]]\nfrom = {start}\n{t.toml()}' for start, t in later)


def _where(where: str) -> str:
    return f', where = "{where}"' if where else ""


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
