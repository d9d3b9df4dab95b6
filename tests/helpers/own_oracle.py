"""Declared measures and members in plain Python, row by row: an answer that shares nothing with either engine.

Rows are dictionaries; money is whole cents, a blank is None. Conditions are small trees that render themselves as SQL and
are evaluated here with SQL's three truth values.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Truth = bool | None
NONE, REST, OTHER, UNATTRIBUTED = "(none)", "(other)", "OTHER", "Unattributed"
LINKED = ("payments", "parts")  # feeds whose rows name jobs


@dataclass(frozen=True)
class Condition:
    """A condition: its SQL, and what it is worth for a row."""

    sql: str
    of: Callable[[Row], Truth]


def compare(column: str, sign: str, value: Any, shown: str) -> Condition:
    """A column beside a constant."""
    tests: Mapping[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b, "<>": lambda a, b: a != b, ">": lambda a, b: a > b,
        "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
    }  # fmt: skip
    return Condition(f"{column} {sign} {shown}", lambda r: None if r[column] is None else tests[sign](r[column], value))


def among(column: str, values: Sequence[str]) -> Condition:
    """A text that is one of several."""
    listed = ", ".join(f"'{v}'" for v in values)
    return Condition(f"{column} IN ({listed})", lambda r: None if r[column] is None else r[column] in values)


def blank(column: str) -> Condition:
    """A blank."""
    return Condition(f"{column} IS NULL", lambda r: r[column] is None)


def distinct(column: str, value: str) -> Condition:
    """Anything but a text; a blank too."""
    return Condition(f"{column} IS DISTINCT FROM '{value}'", lambda r: r[column] != value)


def marked(column: str) -> Condition:
    """A truth of the row."""
    return Condition(column, lambda r: r[column])


def negated(one: Condition) -> Condition:
    """NOT."""

    def of(row: Row) -> Truth:
        value = one.of(row)
        return None if value is None else not value

    return Condition(f"NOT ({one.sql})", of)


def joined(word: str, left: Condition, right: Condition) -> Condition:
    """AND, OR."""
    decides = word == "OR"

    def of(row: Row) -> Truth:
        values = left.of(row), right.of(row)
        if decides in values:
            return decides
        return None if None in values else not decides

    return Condition(f"({left.sql}) {word} ({right.sql})", of)


@dataclass(frozen=True)
class Version:
    """A count (no terms) or a sum of signed columns, from a day on."""

    start: dt.date | None
    terms: tuple[tuple[int, str], ...]
    where: Condition | None

    @property
    def toml(self) -> str:
        """As the rules have it."""
        if not self.terms:
            return f'count = "{self.where.sql}"' if self.where else "count = true"
        text = "".join(f" {'+' if sign > 0 else '-'} {column}" for sign, column in self.terms).removeprefix(" + ")
        return f'sum = "{text}"' + (f'\nwhere = "{self.where.sql}"' if self.where else "")

    def amount(self, row: Row) -> int:
        """What a row adds: ones, whole numbers or cents."""
        if self.where is not None and self.where.of(row) is not True:
            return 0
        if not self.terms:
            return 1
        values = [row[column] for _, column in self.terms]
        return 0 if None in values else sum(s * v for (s, _), v in zip(self.terms, values, strict=True))


@dataclass(frozen=True)
class Sum:
    """A declared count or sum; ``money``: cents."""

    name: str
    of: str
    versions: tuple[Version, ...]
    money: bool

    @property
    def toml(self) -> str:
        """As the rules have it."""
        first, *later = self.versions
        text = f'[measures.{self.name}]\nof = "{self.of}"\n{first.toml}\n'
        return text + "".join(f"[[measures.{self.name}.changes]]\nfrom = {v.start}\n{v.toml}\n" for v in later)

    def amount(self, row: Row) -> int:
        """What a row adds by the version in force on its day; a sum keeps its condition until another is given."""
        begun = [v for v in self.versions if v.start is None or v.start <= row["_day"]]
        where = (
            next((v.where for v in reversed(begun) if v.where is not None), None)
            if begun[-1].terms
            else begun[-1].where
        )
        return replace(begun[-1], where=where).amount(row)


@dataclass(frozen=True)
class Return:
    """A declared column of jobs: days to the nearest other job with the same phone number and type."""

    name: str
    where: Condition | None
    back: bool

    @property
    def toml(self) -> str:
        """As the rules have it."""
        lines = [f"[returns.{self.name}]", 'same = ["client", "type"]', f'look = "{"back" if self.back else "ahead"}"']
        lines += [f'where = "{self.where.sql}"'] if self.where else []
        return "\n".join(lines) + "\n"

    def days(self, job: Row, jobs: Sequence[Row]) -> int | None:
        """The days of a job; None where nobody comes back."""
        if job["client"] is None:
            return None
        alike = [o for o in jobs if (o["client"], o["type"]) == (job["client"], job["type"])]
        sought = [o for o in alike if self.where is None or self.where.of(o) is True]
        apart = [(job["_day"] - o["_day"]).days * (1 if self.back else -1) for o in sought]
        return min((days for days in apart if days > 0), default=None)


@dataclass(frozen=True)
class Dimension:
    """A declared dimension: the SQL of its member, and the member of a row."""

    name: str
    of: str
    sql: str
    text: Callable[[Row], str | None]
    split: str | None = None
    each: bool = False
    most: int | None = None

    @property
    def toml(self) -> str:
        """As the rules have it."""
        key = "column" if self.sql.isidentifier() else "sql"
        lines = [f"[dimensions.{self.name}]", f'of = "{self.of}"', f'{key} = "{self.sql}"']
        lines += [f'split = "{self.split}"'] if self.split else []
        lines += ['count_for = "each"'] if self.each else []
        lines += [f"most = {self.most}"] if self.most else []
        return "\n".join(lines) + "\n"

    def names(self, row: Row | None) -> list[str]:
        """The members that a row names, each once, in order; None: no such row."""
        text = None if row is None else self.text(row)
        words = [] if text is None else text.split(self.split) if self.split else [text]
        return list(dict.fromkeys(w.strip() for w in words if w.strip())) or [NONE]


@dataclass
class Company:
    """Rows by feed as they were exported, and what is declared.

    ``sources``: how each declared source counts leads, by "jobs" or "units"; ``fee``: what a lead costs in cents.
    """

    rows: dict[str, list[Row]]
    sums: list[Sum]
    dimensions: list[Dimension]
    sources: Mapping[str, str]
    fee: Mapping[str, int]
    returns: Sequence[Return] = ()
    _jobs: dict[str, Row] = field(default_factory=dict)

    def placed(self) -> dict[str, list[Row]]:
        """Every row that counts, with its day, source and segment; jobs with what the rules make of them."""
        counted = [p for p in self.rows["payments"] if p["status"] != "Failed"]
        paid: dict[str | None, int] = defaultdict(int)
        for p in counted:
            paid[p["job_ref"]] += p["amount"]
        jobs = []
        for job in self.rows["jobs"]:
            kind = job["type"]
            segment = "COD" if "COD" in kind else "INS" if "INS" in kind else OTHER
            money = paid.get(job["job_id"], 0)
            repair = kind in {"COD Repair", "INS Repair"} or (kind == "COD Service" and money > 10_000)
            marks = {"paid": money, "is_unit": kind in {"COD Service", "INS Service"}, "is_repair": repair}
            source = job["source_raw"] or UNATTRIBUTED
            jobs.append({**job, **marks, "source": source, "segment": segment, "_day": job["created_at"]})
        jobs = [{**j, **{r.name: r.days(j, jobs) for r in self.returns}} for j in jobs]
        self._jobs = {j["job_id"]: j for j in jobs}
        found: dict[str, list[Row]] = {"jobs": jobs}
        for feed in ("payments", "parts", "tools", "calls"):
            found[feed] = [self._of_job(feed, row) for row in (counted if feed == "payments" else self.rows[feed])]
        return found

    def _of_job(self, feed: str, row: Row) -> Row:
        job = self._jobs.get(row["job_ref"]) if feed in LINKED else None
        day = job["_day"] if job and feed == "payments" else row["day"]
        whose = (job["source"], job["segment"]) if job else (UNATTRIBUTED, OTHER)
        if feed == "calls":  # by [[calls.sources]]; the segment is that of the source's leads
            whose = {"ads": ("Google", "COD"), "fm": ("Radio", OTHER)}.get(row["flow"], whose)
        own = {"payments": "paid_at", "parts": "used_on", "tools": "bought_on", "calls": "started_at"}[
            feed
        ]  # what conditions call its day
        return {**row, own: row["day"], "_day": day, "source": whose[0], "segment": whose[1], "_job": job}

    # -- answers

    def daily(self) -> dict[tuple[dt.date, str, str, str], Decimal]:
        """Own sums by day, source and segment; without zeros."""
        found: dict[tuple[dt.date, str, str, str], int] = defaultdict(int)
        placed = self.placed()
        for one in self.sums:
            for row in placed[one.of]:
                found[row["_day"], row["source"], row["segment"], one.name] += one.amount(row)
        money = {s.name: s.money for s in self.sums}
        return {k: Decimal(v).scaleb(-2 if money[k[3]] else 0) for k, v in found.items() if v}

    def members(self) -> dict[tuple[dt.date, str, str, str], Decimal]:
        """All sums by month, dimension, member and measure; without zeros."""
        placed = self.placed()
        found: dict[tuple[dt.date, str, str, str], Decimal] = defaultdict(Decimal)
        for dimension in self.dimensions:
            kept = self._kept(dimension, placed[dimension.of])
            for name, feed, row, amount, unit in self._amounts(placed):
                owner = row if dimension.of == feed else row.get("_job") if dimension.of == "jobs" else None
                names = dimension.names(None if name == "cost" else owner)
                for member, part in zip(names, self._parts(dimension, name, amount, len(names)), strict=True):
                    shown = member if member == NONE or member in kept else REST
                    found[row["_day"].replace(day=1), dimension.name, shown, name] += part * unit
        return {k: v for k, v in found.items() if v}

    def _amounts(self, placed: Mapping[str, list[Row]]) -> Iterator[tuple[str, str, Row, int, Decimal]]:
        """Every amount there is: of which measure, of whose row, how much, and of what size."""
        one, cent = Decimal(1), Decimal("0.01")
        for job in placed["jobs"]:
            yield "jobs", "jobs", job, 1, one
            yield "units", "jobs", job, int(job["is_unit"]), one
            yield "repairs", "jobs", job, int(job["is_repair"]), one
            by = self.sources.get(job["source"])
            lead = int(by == "jobs" or (by == "units" and job["is_unit"]))
            yield "leads", "jobs", job, lead, one
            yield "cost", "jobs", job, lead * self.fee.get(job["source"], 0), cent
        for payment in placed["payments"]:
            yield "revenue_gross", "payments", payment, payment["amount"], cent
            yield "revenue40", "payments", payment, payment["amount"], cent * Decimal("0.40")
        for declared in self.sums:
            for row in placed[declared.of]:
                yield declared.name, declared.of, row, declared.amount(row), cent if declared.money else one

    def _parts(self, dimension: Dimension, name: str, amount: int, count: int) -> list[int]:
        counts = {"jobs", "units", "repairs", *(s.name for s in self.sums if not s.versions[0].terms)}
        if name == "leads" or (name in counts and not dimension.each):
            return [amount] + [0] * (count - 1)
        if name in counts:
            return [amount] * count
        sign, size = (-1 if amount < 0 else 1), abs(amount)
        return [sign * (size // count + (place < size % count)) for place in range(count)]

    def _kept(self, dimension: Dimension, rows: Sequence[Row]) -> set[str]:
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            for name in dimension.names(row):
                counts[name] += name != NONE
        counts.pop(NONE, None)
        return set(sorted(counts, key=lambda n: (-counts[n], n))[: dimension.most or 200])
