"""``rmetrics pull``: fetches the exports declared under ``[pulls.NAME]`` into the inbox if proved complete."""

import contextlib
import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from rmetrics.concealed import MASK, concealed
from rmetrics.errors import BusyError, LakeError, PullError, RmetricsError, SettingsError
from rmetrics.findings import PULL_INCOMPLETE, Finding, Severity, count
from rmetrics.ingest.read import RefusedError, open_export
from rmetrics.locks import lock, lock_file, named_holder
from rmetrics.opening import inbox_at
from rmetrics.pipeline.landing.placement import chosen
from rmetrics.pulls.answers import headers_of
from rmetrics.pulls.landing import check_file, finish, folder_of, named_for, put, table_bytes
from rmetrics.pulls.lists import Proved, first_request, read_list, values_of
from rmetrics.pulls.mailbox import read_mailbox
from rmetrics.pulls.manifest import Manifest, manifests
from rmetrics.pulls.record import note_pull
from rmetrics.pulls.secrets import secrets_of
from rmetrics.pulls.stores import PulledFile, read_folder, read_sftp
from rmetrics.pulls.window import covered_until
from rmetrics.pulls.window import since as window_start
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.companies import require_company
from rmetrics.rules.pulls import FilePull, FolderPull, ImapPull, ListPull, Pull, SftpPull
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings
from rmetrics.version import __version__

_NEXT = "the last complete data remain in force; to try again: rmetrics pull"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class PullResult:
    """Result of one pull.

    Attributes:
        status: complete (a file is in the inbox), unchanged (it was there already), empty (there are no rows),
            incomplete (nothing is in force), dry-run (nothing was sent).
        files: in the inbox, by their path inside it.
        rows: of a list.
        since: the first day requested.
        message: why it is not complete, or the proof that it is.
        hint: the next step.
        request: the request that would be sent, secrets masked.
        exit_code: of its failure; 0 without one.
    """

    name: str
    kind: str
    feed: str
    status: Literal["complete", "unchanged", "empty", "incomplete", "dry-run"]
    files: tuple[str, ...] = ()
    rows: int | None = None
    pages: int | None = None
    since: dt.date | None = None
    message: str = ""
    hint: str = ""
    request: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Pulled:
    """Results of all pulls of a run."""

    pulls: tuple[PullResult, ...]
    seconds: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One finding at error level for each incomplete pull."""
        return tuple(
            Finding(PULL_INCOMPLETE, Severity.ERROR, f"pull {p.name} is not complete: {p.message}; {_NEXT} {p.name}", 0)
            for p in self.pulls
            if p.status == "incomplete"
        )

    @property
    def exit_code(self) -> int:
        """3 if a pull is not proved complete, else the code of the worst failure."""
        codes = [p.exit_code for p in self.pulls]
        return PullError.exit_code if PullError.exit_code in codes else max(codes, default=0)


def pull(
    settings: Settings,
    names: Sequence[str] = (),
    *,
    since: dt.date | None = None,
    dry_run: bool = False,
    progress: Progress = lambda _what, _done, _total: None,
) -> Pulled:
    """Fetches the declared pulls. A pull that fails does not stop the others.

    Args:
        settings: of the project.
        names: of the pulls; none for all declared pulls.
        since: the first day to request; None for the overlap before the last good pull.
        dry_run: show the requests and send nothing. No secret is looked up.
        progress: receives progress reports.

    Raises:
        RulesError: the rules do not load.
        SettingsError: there is no pull of that name, or no inbox.
        BusyError: another pull is running.
    """
    clock = time.monotonic()
    rules = load_rules(settings.rules_dir, settings.company)
    require_company(rules)
    chosen_pulls = {n: rules.pulls[_known(n, rules)] for n in names} or dict(rules.pulls)
    if dry_run:
        return Pulled(tuple(_shown(n, p, rules, settings, since) for n, p in chosen_pulls.items()))
    if not chosen_pulls:
        return Pulled(())
    inbox_at(settings).refuse_bucket()
    if not settings.inbox_dir.is_dir():
        raise SettingsError(
            f"the inbox {settings.inbox_dir} does not exist", f"Create it: mkdir -p {settings.inbox_dir}"
        )
    with _pull_lock(settings.data_dir):
        found = tuple(_noted(n, p, rules, settings, since, progress) for n, p in chosen_pulls.items())
    return Pulled(found, time.monotonic() - clock)


def _known(name: str, rules: Rules) -> str:
    if name in rules.pulls:
        return name
    declared = did_you_mean(name, rules.pulls) if rules.pulls else "; none is declared"
    raise SettingsError(f"unknown pull: {name!r}{declared}", "Declare [pulls.NAME]; see docs/pulls.md.")


@contextlib.contextmanager
def _pull_lock(data: Path) -> Iterator[None]:
    """Holds the lock of pulls."""
    path = data / "pulls.lock"
    try:
        data.mkdir(parents=True, exist_ok=True)
        with lock_file(path) as file:
            if not lock(file, exclusive=True):
                raise BusyError(f"another pull is running ({named_holder(file)})", "Try again when it has finished.")
            yield
    except OSError as error:
        raise LakeError(f"cannot lock {path}: {error.strerror}", "Check its permissions and owner.") from error


def _noted(
    name: str, declared: Pull, rules: Rules, settings: Settings, since: dt.date | None, progress: Progress
) -> PullResult:
    began = dt.datetime.now(dt.UTC)
    result = _one(name, declared, rules, settings, since, progress)
    note_pull(settings.data_dir, name, began, result.message if result.status == "incomplete" else "")
    return result


def _one(
    name: str, declared: Pull, rules: Rules, settings: Settings, since: dt.date | None, progress: Progress
) -> PullResult:
    try:
        return _Pull(name, declared, rules, settings, since, progress).result()
    except (PullError, SettingsError, LakeError) as error:
        return _failed(name, declared, error)


def _failed(name: str, declared: Pull, error: RmetricsError) -> PullResult:
    message, hint = concealed(error.message), concealed(error.hint)
    return PullResult(
        name, declared.kind, declared.feed, "incomplete", message=message, hint=hint, exit_code=error.exit_code
    )


class _Pull:
    """One pull: forming the request, sending it, and putting the answer into the inbox."""

    def __init__(
        self, name: str, declared: Pull, rules: Rules, settings: Settings, since: dt.date | None, progress: Progress
    ) -> None:
        self.name, self.declared, self.rules, self.settings = name, declared, rules, settings
        self.folder = folder_of(settings.inbox_dir, name)
        finish(self.folder)
        self.before = [m for _, m in manifests(self.folder)]
        self.asked_at = dt.datetime.now(dt.UTC)
        self.today = self.asked_at.astimezone(ZoneInfo(rules.business.timezone)).date()
        self.given = since
        good = [m.good_day for m in self.before]
        self.since = since or window_start(self.today, good, declared.looks_back)
        self.day = covered_until(self.today, good, self.since)
        self.progress = lambda done, total: progress(f"pulling {name}", done, total)

    def result(self) -> PullResult:
        secrets = secrets_of(self.declared.secrets)
        match self.declared:
            case ListPull():
                return self._list(self.declared, secrets)
            case ImapPull():
                # The first pull takes everything in the mailbox.
                start = self.since if self.given or self.before else None
                return self._files(read_mailbox(self.declared, secrets, start, self.progress), start)
            case SftpPull():
                return self._files(read_sftp(self.declared, secrets, self._is_known, self.progress), None)
            case FolderPull():
                return self._files(read_folder(self.declared, secrets, self._is_known, self.progress), None)
            case _:  # pragma: no cover - the rules know no other kind
                raise AssertionError

    def _is_known(self, name: str, size: int, modified_ns: int) -> bool:
        """True if a file was pulled before, and no day is given from which to pull again."""
        source = {"name": name, "size": size, "modified_ns": modified_ns}
        return self.given is None and any(m.source == source for m in self.before)

    def _list(self, declared: ListPull, secrets: dict[str, str]) -> PullResult:
        values = values_of(declared, secrets, self.since, self.today, self.rules.business.timezone)
        proved = read_list(declared, values, self.progress)
        rows = proved.reading.rows
        content = table_bytes(headers_of(declared, rows), rows) if rows else b""
        stamp = f"{self.asked_at:%Y%m%dT%H%M%SZ}"
        file = named_for(self.rules.feeds[declared.feed].files, self.name, stamp) if rows else None
        proof = tuple(_proof(declared, proved))
        manifest = self._manifest(
            file,
            since=self.since.isoformat(),
            rows=len(rows),
            pages=proved.reading.pages,
            total=proved.reading.total,
            proof=proof,
            request={"url": declared.url, "params": declared.params, "paging": declared.paging.model_dump(mode="json")},
        )
        # Rows are as of the request: one sent before midnight does not cover the whole day.
        landed = put(self.folder, content, manifest, self._fits, int(self.asked_at.timestamp() * 1_000_000_000))
        status: Literal["complete", "unchanged", "empty"] = (
            "complete" if landed.new else "unchanged" if rows else "empty"
        )
        return self._result(
            status,
            [landed.manifest.file] if landed.manifest.file else [],
            rows=len(rows),
            pages=proved.reading.pages,
            since=self.since,
            message="; ".join(proof),
        )

    def _files(self, found: list[PulledFile], since: dt.date | None) -> PullResult:
        """Puts into the inbox the whole files that it does not have."""
        known_hashes = {m.sha256 for m in self.before if m.file is not None}
        new = {hashlib.sha256(f.content).hexdigest(): f for f in sorted(found, key=lambda f: f.modified_ns or 0)}
        new = {sha256: file for sha256, file in new.items() if sha256 not in known_hashes}
        for file in new.values():  # all are judged before the first one lands
            check_file(self.folder, file.content, _plain(file.name), self.declared.feed, self._fits)
        written: list[str] = []
        for file in new.values():
            manifest = self._manifest(
                _plain(file.name),
                since=since and since.isoformat(),
                proof=("every listed file arrived in full size", "it has the columns of its feed"),
                source=file.source,
                request={"url": self.declared.url, "files": getattr(self.declared, "files", ())},
            )
            landed = put(self.folder, file.content, manifest, self._fits, file.modified_ns)
            written += [landed.manifest.file] if landed.new and landed.manifest.file else []
        if not written:
            put(self.folder, b"", self._manifest(None, since=since and since.isoformat()), self._fits)
        message = f"{count(len(written), 'new file')}, in full size" if written else "no new file"
        return self._result("complete" if written else "unchanged", written, since=since, message=message)

    def _manifest(self, file: str | None, **known: Any) -> Manifest:
        given = {"since": None, "rows": None, "pages": None, "total": None, **known}
        return Manifest(
            pull=self.name,
            kind=self.declared.kind,
            feed=self.declared.feed,
            file=file,
            asked_at=self.asked_at.isoformat(timespec="microseconds"),
            day=self.day.isoformat(),
            sha256=None,
            size=0,
            version=__version__,
            **given,
        )

    def _fits(self, path: Path, name: str) -> str:
        """Returns why sync would not read the file as the feed; empty if it would."""
        feeds = self.rules.feeds
        try:
            export = open_export(path, name, feeds)
        except RefusedError as error:
            return str(error)
        fit, why = chosen(export.fits, export.layout.headers, feeds, name, export.sample)
        if fit is not None and fit.feed != self.declared.feed:
            return f"it looks like {fit.feed}"
        return why if fit is None else ""

    def _result(self, status: Any, files: Sequence[str], **known: Any) -> PullResult:
        inside = tuple((self.folder / f).relative_to(self.settings.inbox_dir).as_posix() for f in files)
        return PullResult(self.name, self.declared.kind, self.declared.feed, status, inside, **known)


def _plain(name: str) -> str:
    """Returns a safe form of a sender's file name: no folders, not hidden, no control characters."""
    base = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in base).strip(" .~")
    stem, dot, end = plain.rpartition(".")
    return f"{stem[:120]}{dot}{end[:20]}" or "export"


def _proof(declared: ListPull, proved: Proved) -> Iterator[str]:
    reading = proved.reading
    if reading.total is not None:
        yield f"the server declares {reading.total:,} rows, {len(reading.rows):,} received"
    if declared.paging.kind != "none":
        yield f"{count(reading.pages, 'page')}, the last by its own rule"
    if declared.unique:
        yield f"no two rows share {', '.join(declared.unique)}"
    if declared.most is not None:
        yield f"fewer than the cap of {declared.most:,}"
    if declared.twice:
        yield "read twice with the same rows"


# -- dry run


def _shown(name: str, declared: Pull, rules: Rules, settings: Settings, since: dt.date | None) -> PullResult:
    today = dt.datetime.now(ZoneInfo(rules.business.timezone)).date()
    good = [m.good_day for _, m in manifests(folder_of(settings.inbox_dir, name))]
    start = since or window_start(today, good, declared.looks_back)
    request = f"{declared.url}"
    if isinstance(declared, ListPull):
        hidden: dict[str, str] = dict.fromkeys((*declared.secrets, "bearer"), MASK)
        values = values_of(declared, hidden, start, today, rules.business.timezone)
        first = first_request(declared, values)
        headers = "".join(f"\n{k}: {v}" for k, v in first.headers.items())
        body = "" if first.json is None else f"\n{_json(first.json)}"
        request = f"{first.method} {first.url.replace('%2A%2A%2A', MASK)}{headers}{body}"
    elif isinstance(declared, FilePull):
        request = f"{declared.url} {' '.join(declared.files)}"
    dated = isinstance(declared, ListPull) or (isinstance(declared, ImapPull) and (good or since))
    return PullResult(
        name, declared.kind, declared.feed, "dry-run", since=start if dated else None, request=concealed(request)
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
