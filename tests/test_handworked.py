"""A small company worked by hand: one sync over `handworked/exports` must give `handworked/expected.toml`, exactly.

The expected numbers were made with the eye and by hand, with no code of rmetrics; their reasoning stands beside them.
"""

import json
import os
import shutil
import subprocess
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from command_line import command_line

ROOT = Path(__file__).parents[1]
HANDWORKED = Path(__file__).parent / "handworked"
SPEC: dict[str, Any] = tomllib.loads((HANDWORKED / "expected.toml").read_text(encoding="utf-8"))
EXPECTED: dict[str, Any] = SPEC["expected"]
FILES: list[dict[str, Any]] = SPEC["files"]
COUNTS = ("rows", "accepted", "rejected", "superseded", "totals")
MEASURES = "jobs, leads, units, repairs, revenue_gross, revenue40, cost"

Row = tuple[Any, ...]
Measures = tuple[Decimal, ...]


@dataclass(frozen=True, kw_only=True)
class Synced:
    """A project after its one sync: what the program said, and what stands in Postgres."""

    exit_code: int
    stderr: str
    said: Mapping[str, Any]
    project: Path
    environment: Mapping[str, str]
    uri: str

    def rows(self, query: str) -> list[Row]:
        """Every row of a query, numerics as text."""
        with dbapi.connect(self.uri) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def metrics(self, table: str, day: str) -> dict[tuple[str, str, str], Measures]:
        """The seven measures of daily_metrics or monthly_metrics by (date, source, segment)."""
        rows = self.rows(f"SELECT {day}::text, source, segment, {MEASURES} FROM {table}")
        return measures(rows)

    def facts(self, *job_ids: str) -> dict[str, Row]:
        """What was computed about jobs: source, segment, metric date, paid, is_unit, is_repair."""
        rows = self.rows(
            "SELECT job_id, source, segment, coalesce(metric_date::text, ''), paid, is_unit, is_repair FROM jobs"
        )
        return {row[0]: (*row[1:4], Decimal(row[4]), *row[5:]) for row in rows if not job_ids or row[0] in job_ids}

    def paid_and_repair(self, job_id: str) -> tuple[Decimal, bool]:
        """What was paid for a job, and whether it is a repair."""
        *_, paid, _, is_repair = self.facts(job_id)[job_id]
        return paid, is_repair


def measures(rows: Iterable[Iterable[Any]]) -> dict[tuple[str, str, str], Measures]:
    """Rows of (date, source, segment, measures ...) as exact decimals by key; a key twice is a mistake."""
    table: dict[tuple[str, str, str], Measures] = {}
    for day, source, segment, *values in rows:
        assert (day, source, segment) not in table
        table[day, source, segment] = tuple(Decimal(value) for value in values)
    return table


def amount(text: str | None) -> Decimal | None:
    """An exact amount; blank and NULL are None."""
    return Decimal(text) if text else None


def run(project: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of the program in a project folder."""
    return command_line(*arguments, folder=project, environment=environment, timeout=300)


@pytest.fixture(scope="module")
def handworked_database(pg_uri: str) -> Iterator[str]:
    """The URI of an empty database that all tests of this module read."""
    name = f"test_{uuid.uuid4().hex}"
    with dbapi.connect(pg_uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield pg_uri.replace("/postgres?", f"/{name}?", 1)
    with dbapi.connect(pg_uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def synced(handworked_database: str, tmp_path_factory: pytest.TempPathFactory) -> Synced:
    """The exports in an inbox, each with its own age, synced once with the shipped rules."""
    project = tmp_path_factory.mktemp("handworked")
    inbox = project / "data" / "inbox"
    inbox.mkdir(parents=True)
    for file in FILES:
        copy = Path(shutil.copy(HANDWORKED / "exports" / file["name"], inbox))
        modified = datetime.fromisoformat(file["modified"]).timestamp()
        os.utime(copy, (modified, modified))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RMETRICS_")} | {
        "RMETRICS_DATA_DIR": str(project / "data"),
        "RMETRICS_INBOX_DIR": str(inbox),
        "RMETRICS_RULES_DIR": str(ROOT / "rules"),
        "RMETRICS_POSTGRES_DSN": handworked_database,
        "RMETRICS_PG_SCHEMA": "public",
    }
    done = run(project, environment, "sync", "--json")
    assert done.stdout, done.stderr
    return Synced(
        exit_code=done.returncode, stderr=done.stderr, said=json.loads(done.stdout),
        project=project, environment=environment, uri=handworked_database,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the expectation itself


def test_expectation_names_every_export() -> None:
    assert sorted(file["name"] for file in FILES) == sorted(
        path.name for path in (HANDWORKED / "exports").iterdir() if path.is_file()
    )


def test_expectation_accounts_for_every_row() -> None:
    rejected = Counter(name for name, _ in EXPECTED["rejected"])
    for file in FILES:
        assert file["rows"] == file["accepted"] + file["rejected"] + file["superseded"] + file["totals"], file["name"]
        assert file["rejected"] == rejected[file["name"]], file["name"]


# ------------------------------------------------------------------------------------------------------------ the run


def test_sync_succeeds(synced: Synced) -> None:
    assert synced.exit_code == 0, synced.stderr
    assert not [finding for finding in synced.said["findings"] if finding["severity"] == "error"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file["name"]))
def test_every_row_of_a_file_is_accounted_for(synced: Synced, file: Mapping[str, Any]) -> None:
    said = [entry for entry in synced.said["files"] if Path(entry["file"]).name == file["name"]]
    assert [{key: entry[key] for key in ("feed", "status", *COUNTS)} for entry in said] == [
        {"feed": file["feed"], "status": "landed"} | {key: file[key] for key in COUNTS}
    ]


def test_no_other_file_is_reported(synced: Synced) -> None:
    assert len(synced.said["files"]) == len(FILES)


def test_rejected_rows_are_named_by_file_and_line(synced: Synced) -> None:
    done = run(synced.project, synced.environment, "rejected", "list", "--json")
    assert done.returncode == 0, done.stderr
    rejected = {(Path(row["file"]).name, row["line"]) for row in json.loads(done.stdout)["rejected"]}
    assert rejected == {(name, line) for name, line in EXPECTED["rejected"]}


def test_undeclared_sources_are_findings(synced: Synced) -> None:
    for source in EXPECTED["undeclared"]:
        assert [
            finding
            for finding in synced.said["findings"]
            if source in finding["message"] and finding["severity"] != "error"
        ], source


def test_a_second_sync_changes_no_number(synced: Synced) -> None:
    """It repeats what is there, so it may run at any place among these tests."""
    before = synced.metrics("daily_metrics", "date"), synced.metrics("monthly_metrics", "month")
    done = run(synced.project, synced.environment, "sync", "--json")
    assert done.returncode == 0, done.stderr
    assert {entry["status"] for entry in json.loads(done.stdout)["files"]} <= {"unchanged"}
    assert (synced.metrics("daily_metrics", "date"), synced.metrics("monthly_metrics", "month")) == before


# ------------------------------------------------------------------------------------------------------- the aggregates


@pytest.mark.parametrize("month", sorted({row[0] for row in EXPECTED["monthly"]}))
def test_months(synced: Synced, month: str) -> None:
    actual = {key: values for key, values in synced.metrics("monthly_metrics", "month").items() if key[0] == month}
    assert actual == measures(row for row in EXPECTED["monthly"] if row[0] == month)


def test_no_other_month_exists(synced: Synced) -> None:
    assert {key[0] for key in synced.metrics("monthly_metrics", "month")} == {row[0] for row in EXPECTED["monthly"]}


@pytest.mark.parametrize("day", sorted({row[0] for row in EXPECTED["daily"]}))
def test_days(synced: Synced, day: str) -> None:
    actual = {key: values for key, values in synced.metrics("daily_metrics", "date").items() if key[0] == day}
    assert actual == measures(row for row in EXPECTED["daily"] if row[0] == day)


def test_no_day_lies_after_the_last_day_of_the_data(synced: Synced) -> None:
    assert max(key[0] for key in synced.metrics("daily_metrics", "date")) == SPEC["last_day"]


def test_months_are_the_sum_of_their_days(synced: Synced) -> None:
    months: dict[tuple[str, str, str], Measures] = {}
    for (day, source, segment), values in synced.metrics("daily_metrics", "date").items():
        assert any(values), "a key exists only if a measure is not zero"
        key = (f"{day[:7]}-01", source, segment)
        earlier = months.get(key, (Decimal(0),) * len(values))
        months[key] = tuple(a + b for a, b in zip(earlier, values, strict=True))
    assert months == synced.metrics("monthly_metrics", "month")


def test_jobs_and_money_of_all_sources_are_those_of_the_data(synced: Synced) -> None:
    """67 jobs less the one without a day; every counted payment once."""
    totals = [sum(column) for column in zip(*synced.metrics("monthly_metrics", "month").values(), strict=True)]
    facts = synced.facts()
    orphans = sum(Decimal(row[3]) for row in EXPECTED["payments"] if row[1] == "")
    orphans += sum(Decimal(row[3]) * row[5] for row in EXPECTED["payments_without_id"] if row[1] == "")
    assert totals[0] == len(facts) - 1
    assert totals[4] == sum(fact[3] for fact in facts.values()) + orphans


@pytest.mark.parametrize(
    ("month", "days", "spend"),
    [("2024-09", 30, "-10.01"), ("2024-10", 31, "450.01"), ("2024-11", 30, "1613.34"), ("2024-12", 15, "200.08")],
)
def test_google_month_is_split_to_the_cent_over_its_days(synced: Synced, month: str, days: int, spend: str) -> None:
    """All days of a month; in the month in which the data ends, the days up to there."""
    costs = {
        key: values[6]
        for key, values in synced.metrics("daily_metrics", "date").items()
        if key[1] == "Google" and key[0].startswith(month) and values[6]
    }
    assert len({key[0] for key in costs}) == days
    assert sum(costs.values()) == Decimal(spend)


def test_undeclared_sources_have_no_leads_and_no_cost(synced: Synced) -> None:
    rows = synced.metrics("monthly_metrics", "month")
    named = {*EXPECTED["undeclared"], "Unattributed"}
    assert named <= {source for _, source, _ in rows}
    assert {(v[1], v[6]) for (_, source, _), v in rows.items() if source in named} == {(Decimal(0), Decimal(0))}


# --------------------------------------------------------------------------------------------------------------- jobs


def test_job_facts(synced: Synced) -> None:
    assert synced.facts() == {row[0]: (*row[1:4], Decimal(row[4]), *row[5:]) for row in EXPECTED["jobs"]}


@pytest.mark.parametrize("cell", EXPECTED["job_cells"], ids=lambda cell: f"{cell[0]}-{cell[1]}")
def test_job_cells(synced: Synced, cell: list[str]) -> None:
    job_id, column, value = cell
    assert synced.rows(f"SELECT coalesce({column}::text, '') FROM jobs WHERE job_id = '{job_id}'") == [(value,)]


def test_payment_of_exactly_100_is_no_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("1005") == (Decimal("100.00"), False)


def test_payment_of_100_01_is_a_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("1006") == (Decimal("100.01"), True)


def test_payments_above_100_only_together_are_a_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("1007") == (Decimal("100.50"), True)
    assert synced.paid_and_repair("2013") == (Decimal("100.01"), True)


def test_two_payments_of_together_exactly_100_are_no_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("2029") == (Decimal("100.00"), False)


def test_refund_back_to_100_is_no_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("1009") == (Decimal("100.00"), False)


def test_refund_of_a_later_month_takes_the_repair_back(synced: Synced) -> None:
    assert synced.paid_and_repair("1008") == (Decimal("90.00"), False)


def test_refund_in_parentheses_is_negative(synced: Synced) -> None:
    assert synced.paid_and_repair("1015") == (Decimal("70.00"), False)


def test_refund_that_leaves_100_01_keeps_the_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("2034") == (Decimal("100.01"), True)


def test_failed_voided_and_pending_payments_do_not_count(synced: Synced) -> None:
    assert synced.paid_and_repair("1029") == (Decimal("100.00"), False)
    assert synced.paid_and_repair("2001") == (Decimal("0.00"), False)
    assert synced.paid_and_repair("2015") == (Decimal("0.00"), False)
    assert synced.paid_and_repair("2026") == (Decimal("0.00"), False)


def test_payment_with_a_blank_status_counts(synced: Synced) -> None:
    assert synced.paid_and_repair("2002") == (Decimal("101.00"), True)


def test_ins_service_is_no_repair_whatever_was_paid(synced: Synced) -> None:
    assert synced.paid_and_repair("1011") == (Decimal("250.00"), False)
    assert synced.paid_and_repair("2007") == (Decimal("300.00"), False)


def test_cod_repair_without_a_payment_is_a_repair(synced: Synced) -> None:
    assert synced.paid_and_repair("1010") == (Decimal("0.00"), True)


def test_canceled_job_counts(synced: Synced) -> None:
    assert synced.facts("1013")["1013"][4] is True
    assert synced.facts("2017")["2017"][3:5] == (Decimal("95.00"), True)


def test_types_of_neither_kind_are_other(synced: Synced) -> None:
    facts = synced.facts("1003", "1016", "1019", "2008", "2012", "2037")
    assert {(fact[1], *fact[4:]) for fact in facts.values()} == {("OTHER", False, False)}


def test_newest_export_changes_type_and_source(synced: Synced) -> None:
    facts = synced.facts("1012", "1020", "1025", "1026")
    assert facts["1012"][0] == "Unattributed"
    assert facts["1020"][1] == "INS"
    assert facts["1025"][4:] == (False, True)
    assert facts["1026"][0] == "NSA"


def test_export_without_source_and_created_wipes_neither(synced: Synced) -> None:
    facts = synced.facts("1020", "2027", "2030", "2032")
    assert {job_id: fact[0] for job_id, fact in facts.items()} == {
        "1020": "Google", "2027": "Rely", "2030": "NSA", "2032": "eLocals",
    }  # fmt: skip
    assert {job_id: fact[2] for job_id, fact in facts.items()} == {
        "1020": "2024-10-14", "2027": "2024-12-05", "2030": "2024-12-09", "2032": "2024-12-11",
    }  # fmt: skip


def test_later_line_of_one_export_wins(synced: Synced) -> None:
    assert synced.facts("2028")["2028"][4:] == (True, False)


def test_job_without_a_created_date_counts_nowhere(synced: Synced) -> None:
    assert synced.facts("2099")["2099"][:3] == ("Unattributed", "COD", "")


def test_rejected_row_does_not_hide_a_good_row_of_another_export(synced: Synced) -> None:
    assert synced.facts("1029", "1030", "2038", "2039", "2097", "2098").keys() == {"1029"}


def test_spellings_meet_in_one_source(synced: Synced) -> None:
    """Aliases without case, spaces and hyphens; spellings that no rule knows meet in the one seen first."""
    assert {row[0] for row in synced.rows("SELECT DISTINCT source FROM jobs")} == {
        "eLocals", "Pro Referral", "Google", "Rely", "NSA", "Liberty", "Retention", "Unattributed", *EXPECTED["undeclared"],
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- payments


def test_payments_are_all_there_once(synced: Synced) -> None:
    assert synced.rows("SELECT count(*) FROM payments") == [(EXPECTED["payment_rows"],)]


@pytest.mark.parametrize("payment", EXPECTED["payments"], ids=lambda payment: str(payment[0]))
def test_payments(synced: Synced, payment: list[str]) -> None:
    """Job by number or UUID, the day in the business zone, the newest amount and status."""
    payment_id, job_id, paid_date, paid, status = payment
    rows = synced.rows(
        "SELECT coalesce(job_id, ''), paid_date::text, amount, coalesce(status, '') "
        f"FROM payments WHERE payment_id = '{payment_id}'"
    )
    assert [(*row[:2], Decimal(row[2]), row[3]) for row in rows] == [(job_id, paid_date, Decimal(paid), status)]


def test_payments_without_ids_count_the_most_of_any_one_file(synced: Synced) -> None:
    rows = synced.rows(
        "SELECT coalesce(job_ref, ''), coalesce(job_id, ''), paid_date::text, amount, coalesce(status, '') "
        "FROM payments WHERE payment_id !~ '^T[0-9]{3}$'"
    )
    assert Counter((*row[:3], Decimal(row[3]), row[4]) for row in rows) == {
        (*row[:3], Decimal(row[3]), row[4]): row[5] for row in EXPECTED["payments_without_id"]
    }


# --------------------------------------------------------------------------------------------------------- lead feeds


def test_elocals_leads(synced: Synced) -> None:
    rows = synced.rows("SELECT lead_id, lead_date::text, cost FROM elocals_leads")
    assert {row[0]: (row[1], amount(row[2])) for row in rows} == {
        row[0]: (row[1], amount(row[2])) for row in EXPECTED["elocals"]
    }


def test_credited_blank_and_negative_costs_are_no_leads(synced: Synced) -> None:
    """The published months against the leads by the table of the expectation: two ways to one number."""
    leads: Counter[str] = Counter()
    costs: dict[str, Decimal] = {}
    for _, day, cost, counts in EXPECTED["elocals"]:
        if counts:
            leads[f"{day[:7]}-01"] += 1
            costs[f"{day[:7]}-01"] = costs.get(f"{day[:7]}-01", Decimal(0)) + Decimal(cost)
    rows = synced.rows(
        "SELECT month::text, sum(leads)::bigint, sum(cost) FROM monthly_metrics WHERE source = 'eLocals' GROUP BY 1"
    )
    assert {row[0]: (row[1], Decimal(row[2])) for row in rows} == {
        month: (leads[month], costs[month]) for month in leads
    }


def test_proref_leads(synced: Synced) -> None:
    rows = synced.rows("SELECT lead_id, lead_date::text, coalesce(current_status, '') FROM proref_leads")
    assert sorted(rows) == sorted(tuple(row[:3]) for row in EXPECTED["proref"])


def test_passed_is_no_lead_and_blank_is_one(synced: Synced) -> None:
    """20 dollars for each lead, on its day."""
    days = Counter(day for _, day, _, counts in EXPECTED["proref"] if counts)
    rows = synced.rows("SELECT date::text, leads, cost FROM daily_metrics WHERE source = 'Pro Referral' AND leads > 0")
    assert {row[0]: (row[1], Decimal(row[2])) for row in rows} == {day: (n, Decimal(20 * n)) for day, n in days.items()}


# ---------------------------------------------------------------------------------------------- spend, targets, calls


def test_google_spend(synced: Synced) -> None:
    """Lines of one file add up, a newer file replaces, Total lines are nobody's spend."""
    rows = synced.rows("SELECT month::text, campaign, spend FROM google_spend")
    assert {row[:2]: Decimal(row[2]) for row in rows} == {
        tuple(row[:2]): Decimal(row[2]) for row in EXPECTED["google_spend"]
    }


def test_targets(synced: Synced) -> None:
    rows = synced.rows(
        "SELECT month::text, source, segment, target_repairs, target_revenue40, target_conv_l2r, target_cpl_max FROM targets"
    )
    assert {row[:3]: tuple(amount(cell) for cell in row[3:]) for row in rows} == {
        tuple(row[:3]): tuple(amount(cell) for cell in row[3:]) for row in EXPECTED["targets"]
    }


def test_calls(synced: Synced) -> None:
    rows = synced.rows(
        "SELECT call_date, direction, coalesce(source, ''), "
        "CASE WHEN answered THEN 'yes' WHEN NOT answered THEN 'no' ELSE '' END, duration_s, coalesce(job_id, '') FROM calls"
    )
    assert Counter(rows) == {
        (date.fromisoformat(row[0]), *row[1:6]): row[6] for row in EXPECTED["calls"]
    }  # fmt: skip
