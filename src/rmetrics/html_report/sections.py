"""The views of a page: month by month, one month, channels, data health. Shared by the report and the server."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from shlex import quote

from rmetrics.findings import Finding, Severity, count
from rmetrics.html_report import cells
from rmetrics.html_report.cells import DASH, Links
from rmetrics.html_report.data import ALL, FeedLine, FunnelLine, PageData
from rmetrics.month_line import MonthLine
from rmetrics.rules.funnel import PREFIX

# The number of printed channels, so that the report fits on eight sheets.
CHANNELS_ON_PAPER = 6
_COLOURS = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.INFO: ""}

FORECAST = "The forecast is an estimate from weekdays, holidays and the last six weeks."
NO_FORECAST = "no forecast: fewer than eight weeks of data"


@dataclass(frozen=True, slots=True)
class Sections:
    """The views of one page.

    Attributes:
        page: the data to show.
        links: the links of figures.
        draw: returns the HTML of a chart by its id.
    """

    page: PageData
    links: Links
    draw: Callable[[str], str]

    def months(self) -> str:
        """Returns the view of every month of the company, against target."""
        page = self.page
        head = ("Month", "Leads", "Units", "Repairs", "Target", "Attained", "L→U", "U→R", "L→R", "Revenue40", "Target",
                "Attained", "Cost", "CPL", "Ceiling", "Profit")  # fmt: skip
        rows = []
        for line in reversed(page.of(ALL)):
            of = Linked(line, self.links, self.page.currency)
            rows.append(
                [
                    cells.cell(f"{line.month:%Y-%m}", text=True, href=self.links.month(line.month)),
                    *of.counts(),
                    *of.repairs_against_target(),
                    *of.conversions(),
                    *of.revenue_against_target(),
                    *of.cost_and_profit(),
                ]
            )
        first, last = page.months[0], page.months[-1]
        span = f"{first:%B %Y} to {last:%B %Y}. Each month is the sum of its days; the newest may be incomplete."
        names = ("repairs-by-source", "counts", "money", "revenue-by-segment", "conversions", "cpl")
        figures = cells.grid(self.draw(n) for n in names)
        against = cells.card("Against target", cells.table(head, rows, "against"))
        return f'<section id="months"><h2>Month by month</h2><p>{span}</p>{figures}{against}</section>'

    def month(self) -> str:
        """Returns the view of one month: to date, against pace, by source."""
        page = self.page
        names = ("repairs-to-date", "revenue40-to-date", "days", "cpl-to-date", "l2r-to-date")
        figures = cells.grid(self.draw(n) for n in names)
        about = f"{page.passed} of {len(page.days)} days have data. {FORECAST}"
        return (
            f'<section id="month"><h2>This month: {page.month:%B %Y}</h2><p>{about}</p>'
            f"{self.tiles()}{figures}{self.sources()}</section>"
        )

    def funnel(self) -> str:
        """Returns the view of the month's touches by source; empty if there are none."""
        page = self.page
        if not page.funnel:
            return ""
        head = ("Source", "Touches", "Answered", "Booked", "Visited", "Repaired", "Paid", "Cost", "Paid to you",
                "Per booked", "Per repair", "ROAS")  # fmt: skip
        rows = [self._funnel_row(line) for line in page.funnel]
        figures = cells.grid(self.draw(f"funnel-{i}") for i in range(len(page.funnel)))
        about = (
            "A touch is a lead, or a tracked call of a source without leads. Figures of the newest months still grow: "
            "their jobs are not all completed and paid. To explain a lead: <code>rmetrics explain --lead ID</code>."
        )
        made = cells.card("From touch to money", cells.table(head, rows, "funnel"))
        return f'<section id="funnel"><h2>Funnel of {page.month:%B %Y}</h2><p>{about}</p>{figures}{made}</section>'

    def _funnel_row(self, line: FunnelLine) -> list[str]:
        """Returns the figures of a source's touches, each linked to its explanation."""

        def to(metric: str) -> str | None:
            return self.links.figure(metric, line.source, self.page.month)

        steps = ("touches", "answered", "booked", "visited", "repaired", "paid")
        amounts = {
            "cost": line.cost,
            f"{PREFIX}revenue_gross": line.revenue_gross,
            f"{PREFIX}cost_per_booked": line.cost / line.booked if line.booked else None,
            f"{PREFIX}cost_per_repair": line.cost / line.repaired if line.repaired else None,
            f"{PREFIX}roas": line.revenue_gross / line.cost if line.cost else None,
        }
        return [
            cells.cell(line.source, text=True),
            *(cells.count(getattr(line, step), href=to(f"{PREFIX}{step}")) for step in steps),
            *(cells.money(amount, 2, href=to(metric)) for metric, amount in amounts.items()),
        ]

    def tiles(self) -> str:
        """Returns the tiles with the month's main figures."""
        page = self.page
        line, passed, length = page.whole[page.month], page.passed, len(page.days)
        repairs, revenue = (page.month_end(line, measure) for measure in ("repairs", "revenue40"))
        of = Linked(line, self.links, self.page.currency)
        max_cpl = line.target_cpl_max
        ceiling = "no ceiling" if max_cpl is None else f"ceiling {cells.shown_amount(max_cpl, 2, page.currency)}"
        wanted = "no target" if line.target_conv_l2r is None else f"target {cells.share(line.target_conv_l2r)}"
        made = [
            cells.tile("Repairs", of.count("repairs"), of_pace(line.repairs, line.target_repairs, passed, length),
                       href=of.to("pace_repairs") if line.target_repairs else None),
            cells.tile("Repairs at month end", cells.count(repairs, href=of.to("projected_repairs")),
                       ends(page, "repairs", line.target_repairs),
                       href=of.to("target_repairs") if line.target_repairs else None),
            cells.tile("Revenue40", of.money("revenue40"),
                       of_pace(line.revenue40, line.target_revenue40, passed, length),
                       href=of.to("pace_revenue40") if line.target_revenue40 else None),
            cells.tile("Revenue40 at month end",
                       cells.money(revenue, currency=page.currency, href=of.to("projected_revenue40")),
                       ends(page, "revenue40", line.target_revenue40, page.currency),
                       href=of.to("target_revenue40") if line.target_revenue40 else None),
            cells.tile("Cost per lead", of.cpl(), ceiling,
                       href=of.to("target_cpl_max") if line.target_cpl_max is not None else None),
            cells.tile("Leads to repairs", of.ratio("conv_l2r", line.repairs, line.leads), wanted,
                       href=of.to("target_conv_l2r") if line.target_conv_l2r is not None else None),
            cells.tile("Profit", of.money("profit"), "revenue40 minus cost"),
        ]  # fmt: skip
        return f'<div class="tiles">{"".join(made)}</div>'

    def sources(self) -> str:
        """Returns the table of the month's sources, with the total."""
        page = self.page
        head = ("Source", "Leads", "Units", "Repairs", "Target", "Attained", "L→R", "Revenue40", "Target", "Attained",
                "Cost", "CPL", "Ceiling", "Profit")  # fmt: skip
        lines = sorted(
            (x for x in page.lines if x.month == page.month), key=lambda x: (x.source == ALL, -x.revenue40, x.source)
        )
        rows = []
        for line in lines:
            of = Linked(line, self.links, self.page.currency)
            whose = self.links.month(line.month) if line.source == ALL else self.links.source(line.source, line.month)
            rows.append(
                [
                    cells.cell(line.source, text=True, href=whose),
                    *of.counts(),
                    *of.repairs_against_target(),
                    of.ratio("conv_l2r", line.repairs, line.leads),
                    *of.revenue_against_target(),
                    *of.cost_and_profit(),
                ]
            )
        return cells.card("Every source", cells.table(head, rows, "sources", total_last=True))

    def channels(self) -> str:
        """Returns the view of each source in depth."""
        parts = []
        for number, source in enumerate(self.page.sources):
            now = next((x for x in self.page.of(source) if x.month == self.page.month), None)
            message = "nothing this month"
            if now:
                revenue, profit = (cells.shown_amount(v, 0, self.page.currency) for v in (now.revenue40, now.profit))
                leads, repairs = count(now.leads, "lead"), count(now.repairs, "repair")
                message = f"{leads}, {repairs}, {revenue} revenue40, {profit} profit"
            state = f"{' open' if not number else ''}{cells.SCREEN if number >= CHANNELS_ON_PAPER else ''}"
            why = f"rmetrics explain --source {quote(source)} --month {self.page.month:%Y-%m}"
            parts.append(
                f"<details{state}><summary>{escape(source)}<span>{message}</span></summary>"
                f"{self.channel(source)}"
                f"<p>To explain these figures: <code>{escape(why)}</code></p></details>"
            )
        about = "Sources by revenue40 of the months shown, largest first. Open one for details."
        more = cells.omitted_note(len(parts) - CHANNELS_ON_PAPER, "channel")
        return f'<section id="channels"><h2>Channels</h2><p>{about}</p>{"".join(parts)}{more}</section>'

    def channel(self, source: str) -> str:
        """Returns one source: its charts, and its months."""
        head = ("Month", "Leads", "Units", "Repairs", "L→U", "U→R", "L→R", "Revenue gross", "Revenue40", "Cost", "CPL",
                "Profit")  # fmt: skip
        number = self.page.sources.index(source)
        rows = []
        for line in reversed(self.page.of(source)):
            of = Linked(line, self.links, self.page.currency)
            rows.append(
                [
                    cells.cell(f"{line.month:%Y-%m}", text=True, href=self.links.source(source, line.month)),
                    *of.counts(),
                    *of.conversions(),
                    *(of.money(n) for n in ("revenue_gross", "revenue40", "cost")),
                    of.cpl(),
                    of.money("profit"),
                ]
            )
        figures = cells.grid(self.draw(f"channel-{number}-{what}") for what in ("counts", "money"))
        return f"{figures}{cells.table(head, rows, f'channel-{number}')}"

    def health(self) -> str:
        """Returns the view of data health: freshness of the feeds, and findings."""
        page = self.page
        worst = sum(f.severity is Severity.ERROR for f in page.findings)
        about = (
            f"{worst} failed check{'' if worst == 1 else 's'}: do not rely on the figures concerned."
            if worst
            else "All checks passed."
        ) + " Days behind count from the last day of all data; targets and spend have the first of their month."
        table = cells.card("Freshness", freshness(page.feeds, page.last_day, self.links))
        figure = f'<div class="card wide">{self.draw("feeds")}</div>'
        found = cells.card("Findings", findings(page.findings, self.links))
        return f'<section id="health"><h2>Data health</h2><p>{about}</p>{table}{found}{figure}</section>'


@dataclass(frozen=True, slots=True)
class Linked:
    """The figures of one source in one month, as cells linked to their explanations."""

    line: MonthLine
    links: Links
    currency: str

    def to(self, metric: str) -> str | None:
        """Returns the address of a figure's explanation."""
        return self.links.figure(metric, self.line.source, self.line.month)

    def count(self, metric: str) -> str:
        """Returns the cell of a whole number."""
        return cells.count(getattr(self.line, metric), href=self.to(metric))

    def money(self, metric: str) -> str:
        """Returns the cell of an amount."""
        return cells.money(getattr(self.line, metric), currency=self.currency, href=self.to(metric))

    def ratio(self, metric: str, top: int, bottom: int) -> str:
        """Returns the cell of a ratio."""
        return cells.percent(top, bottom, href=self.to(metric))

    def counts(self) -> Iterable[str]:
        """Returns leads, units, repairs."""
        return (self.count(m) for m in ("leads", "units", "repairs"))

    def conversions(self) -> Iterable[str]:
        """Returns leads to units, units to repairs, leads to repairs."""
        line = self.line
        pairs = (("conv_l2u", line.units, line.leads), ("conv_u2r", line.repairs, line.units),
                 ("conv_l2r", line.repairs, line.leads))  # fmt: skip
        return (self.ratio(*pair) for pair in pairs)

    def repairs_against_target(self) -> Sequence[str]:
        """Returns the target of repairs, and its attained share."""
        target = self.line.target_repairs
        return (
            cells.count(target, href=self.to("target_repairs")),
            cells.attained(self.line.repairs, target, href=self.to("attained_repairs")),
        )

    def revenue_against_target(self) -> Sequence[str]:
        """Returns revenue after payout, its target, and the attained share."""
        target = self.line.target_revenue40
        return (
            self.money("revenue40"),
            cells.money(target, currency=self.currency, href=self.to("target_revenue40")),
            cells.attained(self.line.revenue40, target, href=self.to("attained_revenue40")),
        )

    def cpl(self) -> str:
        """Returns the cost per lead, red above its ceiling."""
        line = self.line
        over = line.cpl is not None and line.target_cpl_max is not None and line.cpl > line.target_cpl_max
        colour = "bad" if over else ""
        return cells.money(line.cpl, 2, colour, currency=self.currency, href=self.to("cpl"))

    def cost_and_profit(self) -> Sequence[str]:
        """Returns cost, cost per lead with its ceiling, and profit."""
        return (
            self.money("cost"),
            self.cpl(),
            cells.money(self.line.target_cpl_max, 2, currency=self.currency, href=self.to("target_cpl_max")),
            self.money("profit"),
        )


def freshness(feeds: Iterable[FeedLine], last_day: dt.date, links: Links) -> str:
    """Returns the table of the feeds, with the days each is behind."""
    head = ("Feed", "Rows", "Last day", "Days behind", "Newest export", "Exports", "Rejected rows")
    rows = []
    for feed in feeds:
        behind = (last_day - feed.last_date).days if feed.last_date else None
        at = f"{feed.last_export_at:%Y-%m-%d %H:%M} UTC" if feed.last_export_at else DASH
        why = links.to("/health", feed=feed.feed)
        rows.append(
            [
                cells.cell(feed.feed, text=True, href=why),
                cells.count(feed.rows, href=why),
                cells.cell(feed.last_date.isoformat() if feed.last_date else DASH, href=why),
                cells.cell(DASH if behind is None else str(behind), href=why),
                cells.cell(at, href=why),
                cells.count(feed.exports, href=why),
                cells.count(feed.rejected, "warn" if feed.rejected else "", href=links.to("/rejected", feed=feed.feed)),
            ]
        )
    return cells.table(head, rows, "feeds")


def findings(found: Sequence[Finding], links: Links) -> str:
    """Returns the table of findings, in the given order."""
    if not found:
        return "<p>No findings.</p>"
    rows = [
        [
            cells.cell(str(f.severity), _COLOURS[f.severity], text=True),
            cells.cell(f.code, text=True),
            cells.count(f.rows, href=_rows_of(f, links)),
            f'<td class="fold">{escape(f.message)}</td>',
        ]
        for f in found
    ]
    return cells.table(("Severity", "Finding", "Rows", "Problem and next step"), rows, "findings")


def _rows_of(found: Finding, links: Links) -> str | None:
    """Returns the address of the rows that a finding counts, or of the figures it concerns."""
    return links.to("/rejected") if found.code == "rejected-rows" else links.to("/health", finding=found.code)


def of_pace(value: int | Decimal, target: Decimal | None, passed: int, length: int) -> str:
    """Describes the attained share of the target's pace to date."""
    if not target or not passed:
        return "no target"
    return f"{cells.share(Decimal(value) / (target * passed / length), 0)} of the target's pace"


def day_in_words(value: dt.date) -> str:
    """Formats a date in words."""
    return f"{value.day} {value:%B %Y}"


def ends(page: PageData, measure: str, target: Decimal | None, currency: str = "") -> str:
    """Returns the line below the estimate of a month's end: its target, and the range of four months in five."""
    found, text = page.estimate(measure), _target(target, currency)
    if found is None:
        return text if page.passed == len(page.days) else f"{text}; {NO_FORECAST}"
    if not found.path:
        return text
    if found.low is None or found.high is None:
        return f"{text}; an estimate, with too few past months for a range"
    low, high = (cells.shown_amount(v, 0, currency) for v in (found.low, found.high))
    return f"{text}; an estimate, 4 of 5 months end between {low} and {high}"


def _target(value: Decimal | None, currency: str = "") -> str:
    return "no target" if value is None else f"target {cells.shown_amount(value, 0, currency)}"
