"""Checks the folders (existence, access, privacy, free space), the clock, the lock, and damage to files."""

import datetime as dt
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from rmetrics.diagnosis.finding import Diagnosis, passed
from rmetrics.errors import BusyError, LakeError, RmetricsError
from rmetrics.findings import Severity, count
from rmetrics.lake import CORRUPT, MISSING, Damage, Lake
from rmetrics.lake.snapshot import load
from rmetrics.opening import inbox_at
from rmetrics.pipeline.landing.altered import altered_files
from rmetrics.pipeline.landing.bucket_inbox import BucketInbox
from rmetrics.pipeline.landing.losses import lost_exports, repair_hint
from rmetrics.settings import Settings

SPACE_ERROR, SPACE_WARNING = 200 * 2**20, 2 * 2**30  # bytes free
CLOCK_SECONDS = 60


_SHOWN = 20


def check_folders(settings: Settings, lake: Lake) -> Iterator[Diagnosis]:
    """Checks that inbox and lake exist and are accessible."""
    yield from _inbox(settings)
    yield from _bucket("lake", lake.place, lake.store.records) if lake.store.remote else _lake_folder(lake)


def _bucket(name: str, place: str, asked: Callable[[], object]) -> Iterator[Diagnosis]:
    try:
        asked()
    except RmetricsError as error:
        yield Diagnosis(name, Severity.ERROR, error.message, error.hint)
    else:
        yield passed(name, place)


def _inbox(settings: Settings) -> Iterator[Diagnosis]:
    inbox = inbox_at(settings).open()
    if isinstance(inbox, BucketInbox):
        yield from _bucket("inbox", str(inbox), lambda: inbox.connection.top(""))
    elif not settings.inbox_dir.is_dir():
        message = f"the inbox {settings.inbox_dir} does not exist"
        yield Diagnosis(
            "inbox", Severity.ERROR, message, f"Create it (mkdir -p {settings.inbox_dir}), or set RMETRICS_INBOX_DIR."
        )
    elif not os.access(settings.inbox_dir, os.R_OK | os.X_OK):
        message = f"the inbox {settings.inbox_dir} cannot be read"
        yield Diagnosis("inbox", Severity.ERROR, message, f"Run: chmod u+rx {settings.inbox_dir}")
    else:
        yield passed("inbox", str(settings.inbox_dir))


def _lake_folder(lake: Lake) -> Iterator[Diagnosis]:
    links = [p for p in (lake.root, lake.raw, lake.typed, lake.metrics) if p.is_symlink()]
    if links:
        yield Diagnosis(
            "lake", Severity.ERROR, f"{links[0]} is a symbolic link", "Set RMETRICS_DATA_DIR to the real folder."
        )
    elif not lake.root.exists():
        place = _nearest(lake.root)
        if os.access(place, os.W_OK | os.X_OK):
            yield passed("lake", f"the first sync creates {lake.root}")
        else:
            yield Diagnosis(
                "lake", Severity.ERROR, f"{lake.root} cannot be created in {place}", f"Run: chmod u+rwx {place}"
            )
    elif not os.access(lake.root, os.R_OK | os.W_OK | os.X_OK):
        yield Diagnosis(
            "lake",
            Severity.ERROR,
            f"{lake.root} cannot be written",
            f'Run: chown -R "$USER" {lake.root}; chmod u+rwx {lake.root}',
        )
    else:
        yield passed("lake", str(lake.root))


def check_permissions(settings: Settings, lake: Lake) -> Iterator[Diagnosis]:
    """Checks that other users cannot read the lake, which contains customers' data."""
    if os.name != "posix":
        return
    open_files = [p for p in (lake.root, *_walk(lake.root)) if p.exists() and _mode(p) & 0o077]
    if open_files:
        more = f" and {len(open_files) - 1:,} more" if len(open_files) > 1 else ""
        message = f"{open_files[0]}{more} can be read by other users"
        yield Diagnosis("permissions", Severity.ERROR, message, f"Run: chmod -R go= {lake.root}")
    elif lake.root.exists():
        yield passed("permissions", "the lake is not accessible to other users")
    env = Path(".env")
    if env.is_file() and _mode(env) & 0o077:
        yield Diagnosis(
            "permissions",
            Severity.WARNING,
            ".env, which may contain a password, can be read by other users",
            "Run: chmod 600 .env",
        )
    others = (
        [p for p in settings.inbox_dir.glob("*") if p.is_file() and _mode(p) & 0o004]
        if settings.inbox_dir.is_dir()
        else []
    )
    if others and not _closed_above(settings.inbox_dir):
        message = f"{count(len(others), 'export')} in {settings.inbox_dir} can be read by everyone on this machine"
        yield Diagnosis("permissions", Severity.WARNING, message, f"Run: chmod 700 {settings.inbox_dir}")


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        yield from (Path(root, name) for name in (*folders, *files))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _closed_above(folder: Path) -> bool:
    """Whether the folder or one above it denies access to others."""
    return any(not _mode(p) & 0o001 for p in (folder.resolve(), *folder.resolve().parents))


def _nearest(path: Path) -> Path:
    """Returns the path, or its nearest existing parent."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def check_space(settings: Settings) -> Iterator[Diagnosis]:
    """Checks that the disk has room for the next sync."""
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    message = f"{free / 2**30:.1f} GiB free for {settings.data_dir}"
    if free < SPACE_ERROR:
        yield Diagnosis(
            "free space",
            Severity.ERROR,
            message,
            "Free some space: a sync writes new files before it removes old ones.",
        )
    elif free < SPACE_WARNING:
        yield Diagnosis("free space", Severity.WARNING, message, "Free some space soon.")
    else:
        yield passed("free space", message)


def check_clock(lake: Lake) -> Iterator[Diagnosis]:
    """Checks the clock against exports: they are ordered by time, so one from the future would always be the newest."""
    now = dt.datetime.now(dt.UTC)
    try:
        future = [f for f in lake.raw_files() if f.exported_at > now + dt.timedelta(days=1)]
    except RmetricsError:
        future = []  # reported by --verify and the next sync
    if future:
        when = f"{future[0].exported_at:%Y-%m-%d}"
        message = f"export {future[0].name!r} is dated {when}, but the clock of this machine shows {now:%Y-%m-%d}"
        yield Diagnosis("clock", Severity.WARNING, message, "Set the clock, or touch this export and land it again.")
    else:
        yield passed("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def check_lock(lake: Lake) -> Iterator[Diagnosis]:
    """Checks whether a run holds the lock, and for partial files of killed runs."""
    if not (lake.root / "lock").exists() and not lake.store.remote:
        return
    try:
        lake.try_lock()
    except BusyError as error:
        yield Diagnosis("lock", Severity.WARNING, error.message, "Wait for it to finish.")
    except RmetricsError as error:
        yield Diagnosis("lock", Severity.ERROR, error.message, error.hint)
    leftovers = list(lake.root.rglob("*.part"))
    if leftovers:
        message = f"{len(leftovers)} partial files of a run that was killed"
        yield Diagnosis("litter", Severity.INFO, message, "No action needed: the next sync removes them.")


def verify_files(settings: Settings, lake: Lake, damaged: list[Damage]) -> Iterator[Diagnosis]:
    """Verifies the checksum of every file in the lake and the inbox."""
    if not lake.root.exists() and not lake.store.remote:
        return
    try:
        intact, corrupt = lake.examine_raw(thorough=True)
        lost = lost_exports(lake, intact, corrupt)
        unneeded = [d for d in corrupt if d.export and lake.decisions().get(d.sha256, {}).get("withdrawn")]
        caches = [*lake.examine_caches(), *_damaged_results(lake)]
        altered, compared = altered_files(inbox_at(settings).open(), lake)
    except LakeError as error:
        yield Diagnosis("verify", Severity.ERROR, error.message, error.hint)
        return
    except OSError as error:
        yield Diagnosis(
            "verify",
            Severity.ERROR,
            f"cannot read {error.filename}: {error.strerror}",
            "Check the disk and its permissions.",
        )
        return
    damaged += [*lost, *unneeded, *caches, *altered]
    if unneeded:
        message = "damaged but withdrawn, so not needed: " + ", ".join(str(d.path) for d in unneeded[:_SHOWN])
        yield Diagnosis(
            "verify", Severity.WARNING, message, "Put the export back into the inbox before you restore it."
        )
    if altered:
        message = f"files of the inbox that changed without a new size or time, {len(altered)}: " + ", ".join(
            str(d.path) for d in altered[:_SHOWN]
        )
        yield Diagnosis(
            "verify", Severity.ERROR, message, "Run `rmetrics sync --full`, which reads every file of the inbox."
        )
    if lost:
        message = f"landed exports damaged or missing, {len(lost)}: " + ", ".join(
            f"{d.path} ({d.what})" for d in lost[:_SHOWN]
        )
        yield Diagnosis("verify", Severity.ERROR, message, repair_hint(lost))
    if caches:
        message = f"computed files damaged or missing, {len(caches)}: " + ", ".join(
            f"{d.path} ({d.what})" for d in caches[:_SHOWN]
        )
        yield Diagnosis(
            "verify",
            Severity.ERROR if not lost else Severity.WARNING,
            message,
            "Run `rmetrics sync`, which rebuilds them from the exports.",
        )
    if not damaged:
        yield passed(
            "verify",
            f"every file is intact: {count(len(intact), 'landed export')} and all files "
            f"computed from them; {count(compared, 'file')} of the inbox compared with the landed bytes",
        )


def _damaged_results(lake: Lake) -> Iterator[Damage]:
    for name in load(lake).damaged():
        yield Damage(lake.root / name, CORRUPT if lake.store.head(name) else MISSING)
