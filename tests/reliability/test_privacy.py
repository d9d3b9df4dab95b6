"""P8: no password, phone or name in anything the program writes; files and folders closed to others."""

import json
from pathlib import Path

import pytest

import small_company
from reliability.figures import record
from reliability.world import Runner
from rmetrics.cli import run
from rmetrics.postgres.connection import redacted
from serve_sites import client_of
from small_company import jobs
from support import Project, csv_text

PASSWORD = "s3cr3t-Canary"  # noqa: S105 - to be looked for
CANARIES = (PASSWORD, "6175559137", "555-9137", "5559137", "Quackenbush", "Lemonwood")
# Not `rejected`: whoever asks for the rejected rows is shown them.
COMMANDS = (
    ("sync", "--json"), ("status",), ("doctor", "--verify"), ("calls",), ("calls", "--json"), ("disputes", "--all"),
    ("journeys", "--rows", "--sensitivity"), ("explain", "--job", "1"),
    ("explain", "--source", "ALL", "--metric", "booked", "--metric", "no_job", "--rows", "--json"),
    ("explain", "--lead", "L", "--json"), ("check", "--json"), ("plan",), ("history", "--month", "2024-11"),
)  # fmt: skip
FEW = (("sync", "--json"), ("status",), ("check", "--json"), ("explain", "--lead", "L"))
OTHER_FORMS = (
    ("sync",), ("status", "--json"), ("doctor", "--json"), ("calls", "--format", "csv"), ("disputes", "--json"),
    ("journeys", "--rows", "--json"), ("check",), ("plan", "--json"), ("rules",), ("schema",), ("sync", "--full", "--json"),
)  # fmt: skip

PAGES = (
    "/", "/funnel", "/explain?source=eLocals&metric=booked", "/explain?source=ALL&month=2024-11", "/measures", "/runs",
    "/health?feed=calls",
)  # fmt: skip


def leaks(text: str) -> list[str]:
    return [c for c in CANARIES if c in text]


@pytest.fixture
def customers(project: Project) -> Project:
    """Jobs of a customer with a name, a phone and an address, one of them unreadable, and a DSN with a password."""
    person = ("(617) 555-9137", "Zebulon Quackenbush", "12 Lemonwood Ave")
    project.put(
        "Import-1.csv",
        jobs(
            (1, "COD Repair", "Google", "Tue Nov 05 2024", *person, "100"),
            (2, "COD Repair", "Google", "Quackenbush", *person, "6175559137x"),
            ("", "COD Repair", "Google", "Tue Nov 05 2024", *person, "1.005"),
            more=("Primary Phone", "Name", "Address", "Total"),
        ),
    )
    project.put(
        "payments.csv", "Job #,Date,Amount\n1,2024-11-05,(617) 555-9137\n1,2024-11-05,Quackenbush\n1,2024-11-06,5\n"
    )
    project.put(
        "export_export.csv", small_company.calls(("C", "11/04/2024 9:00 AM", "GoogleAds", person[0], "", "", ""))
    )
    leads = ("Unique ID", "Time", "Duration", "Cost", "Caller ID", "Caller Name")
    lead = ("L", "2024-11-12 09:15:00 -0500", "00:05", "20.00", *person[:2])
    project.put("leads cost Elocals.csv", csv_text(leads, lead))
    project.put("unknown.csv", "Customer,Telephone\nZebulon Quackenbush,6175559137\n")
    project.dsn = project.dsn.replace("postgres:@", f"postgres:{PASSWORD}@", 1)
    return project


@pytest.mark.parametrize(
    "commands",
    [
        FEW,
        pytest.param(COMMANDS, marks=pytest.mark.deep),
        pytest.param((*COMMANDS, *OTHER_FORMS), marks=pytest.mark.slow),
    ],
    ids=["few", "each", "every form"],
)
def test_canaries_are_in_nothing_the_program_writes(
    customers: Project, runner: Runner, commands: tuple[tuple[str, ...], ...]
) -> None:
    looked = 0
    for command in commands:
        done = runner(customers, *command)
        assert done.exit in (0, 3), (command, done.output)
        assert leaks(done.output) == [], (command, done.output)
        looked += len(done.output)
    every = customers.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    for (table,) in every:
        text = json.dumps(customers.rows(f"SELECT to_jsonb(t)::text FROM {table} AS t"))
        assert leaks(text) == [], table
        looked += len(text)
    assert customers.rows("SELECT count(*) FROM jobs") == [(1,)], "the test must have published something"
    raw = b"".join(p.read_bytes() for p in (customers.root / "data" / "lake" / "raw").rglob("*.json"))
    assert leaks(raw.decode()) == [], "records name files and headers, never rows"
    record("a password and customers' phones and names looked for in everything written", f"{looked:,} characters", 0)


@pytest.mark.deep
def test_canaries_are_on_no_page_and_in_no_report(customers: Project, runner: Runner) -> None:
    assert runner(customers).exit == 0
    for words in ("report --output", "disputes --source eLocals --all --csv"):
        written = customers.root / words.partition(" ")[0]
        done = runner(customers, *words.split(), str(written))
        assert (done.exit, leaks(done.output + written.read_text(encoding="utf-8-sig"))) == (0, []), words
    with client_of(customers.settings, rows=True) as pages:
        for path in PAGES:
            answer = pages.get(path)
            assert (answer.status_code, leaks(answer.text)) == (200, []), path


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}%zz@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}@127.0.0.1:notaport/db",
        f"postgres//u:{PASSWORD}@127.0.0.1/db",
        f"host=127.0.0.1 password={PASSWORD} user=u",
        f"postgresql://u:p@{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}@[::1/db",
        f"postgresql://127.0.0.1:1/db?user=u&password={PASSWORD}",
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?nonsense=1",
        f"mysql://u:{PASSWORD}@127.0.0.1/db",
        f"{PASSWORD}",
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/nowhere",
    ],
)
@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.ordinary(8, deep=16)
def test_a_password_is_never_shown_whatever_the_dsn(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], dsn: str, command: str
) -> None:
    for name, value in (project.environment | {"RMETRICS_POSTGRES_DSN": dsn}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    for options in ([], ["--json"]):
        code = run([command, *options])
        written = capfd.readouterr()
        assert code in (2, 3, 4), written
        assert leaks(written.out + written.err) == []
        assert "Traceback" not in written.err


def test_a_fault_of_ours_tells_where_and_not_on_what(
    customers: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import rmetrics.usecases.status as where

    name, phone = CANARIES[4], CANARIES[1]

    def fault(*_: object, **__: object) -> None:
        try:
            dict[str, str]()[name]
        except KeyError as error:
            raise ValueError(
                f"row '{name}' +1 617 {CANARIES[2]}, {phone}, password={PASSWORD} {customers.dsn}"
            ) from error

    monkeypatch.setattr(where, "status", fault)
    for name, value in customers.environment.items():
        monkeypatch.setenv(name, value)
    for options in ([], ["--json"]):
        assert run(["status", *options]) == 1
        written = capfd.readouterr()
        assert leaks(written.out + written.err) == []
        assert "test_privacy.py" in written.err, "where it happened stays"
        assert "ValueError: row '***'" in written.err


@pytest.mark.parametrize(
    "message",
    [
        'ERROR:  new row for relation "jobs" violates check constraint "x"\nDETAIL:  Failing row contains (1, Quackenbush, 6175559137).',
        'ERROR:  invalid input syntax for type numeric: "Quackenbush"\nCONTEXT:  COPY jobs, line 1, column total: "Quackenbush"',
        'ERROR:  value "6175559137" is out of range for type integer',
        f'[libpq] invalid percent-encoded token: "{PASSWORD}%zz"',
        f"connection to postgresql://u:{PASSWORD}@h/d failed",
    ],
)
def test_what_a_server_says_is_shown_without_rows_and_passwords(message: str) -> None:
    shown = redacted(message, f"postgresql://u:{PASSWORD}%zz@h/d")
    assert leaks(shown) == []
    assert shown.strip()


@pytest.mark.deep
def test_files_of_the_lake_are_0600_and_folders_0700_whatever_the_umask(customers: Project, runner: Runner) -> None:
    assert runner(customers, "sync", "--quiet").exit == 0
    lake = customers.root / "data" / "lake"
    modes: dict[bool, set[int]] = {True: set(), False: set()}
    for path in (lake, *lake.rglob("*")):
        modes[path.is_dir()].add(path.stat().st_mode & 0o777)
    assert modes == {True: {0o700}, False: {0o600}}


def test_phones_and_names_are_not_published_by_default() -> None:
    from rmetrics.rules import load_rules
    from support import ROOT

    feeds = load_rules(Path(ROOT / "rules")).feeds
    open_phones = [
        f"{n}.{c}"
        for n, feed in feeds.items()
        for c, spec in feed.columns.items()
        if spec.type == "phone" and spec.publish
    ]
    assert open_phones == []
