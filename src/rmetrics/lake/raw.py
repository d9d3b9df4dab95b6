"""The raw layer: the bytes of every landed export, and the catalog of landed exports.

A file under its final name is the commit. ``catalog.json`` saves reading thousands of files; missing entries, or all of
them if the catalog is lost or damaged, are read from the files' own metadata. Later decisions about exports
(``exports.json``) are stored nowhere else and cannot be rebuilt.
"""

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmetrics.errors import LakeError
from rmetrics.lake.files import (
    CORRUPT,
    MISSING,
    Damage,
    damaged,
    file_digest,
    flush,
    writing,
)
from rmetrics.lake.raw_file import (
    Frame,
    RawFile,
    RawWriter,
    files_of,
    lines_of,
    read_frames,
    recorded,
    records_of,
    same_export,
)
from rmetrics.lake.records import Folder
from rmetrics.lake.store import Store

LANDED = "landed"
CATALOG, DECISIONS = "catalog.json", "exports.json"
_RAW = "raw/"
_UNKNOWN = "it cannot be read, and no record shows which exports it contains"
_FIRST = ("name", "modified_ns", "landed_at")  # facts that an export keeps when delivered again
_OWN = frozenset({"catalog", "exports"})


class RawLayer(Folder):
    """The raw layer of a lake."""

    def __init__(self, root: Path, store: Store | None = None) -> None:
        super().__init__(root, store)
        self.raw = self.root / "raw"
        self._catalog: tuple[str, dict[str, RawFile]] | None = None
        self._landing = threading.Lock()  # exports land in parallel
        self._landed: dict[str, dict[str, Any]] | None = None

    # -- landed exports

    def raw_path(self, raw: RawFile) -> Path:
        """The file with the bytes of an export."""
        return self.store.location(f"{_RAW}{raw.file}", raw.parquet_sha256 or None)

    def raw_files(self) -> list[RawFile]:
        """All landed exports whose file exists, oldest first.

        Raises:
            LakeError: a file that no record lists cannot be read.
        """
        found, names = dict(self._recorded()), self._names()
        for path in sorted(names - {r.file for r in found.values()}):
            try:
                found |= {r.sha256: r for r in self._adopted(path) if r.sha256 not in found}
            except (OSError, ValueError, TypeError, KeyError, LakeError) as error:
                raise damaged(self.raw / path, _UNKNOWN) from error
        return sorted(self._decided([r for r in found.values() if self._raw_exists(r, names)]), key=lambda r: r.age)

    def examine_raw(self, *, thorough: bool = False) -> tuple[list[RawFile], list[Damage]]:
        """All sound landed exports, oldest first, and the damage to the others.

        Args:
            thorough: read every file, even if its size and time are unchanged: Parquet with flipped bits may be read
                without an error, with other numbers.
        """
        names, intact, corrupt = self._names(), dict[str, RawFile](), list[Damage]()
        recorded_files = self._recorded()
        state: dict[str, str] = {}
        for raw in recorded_files.values():
            if raw.file not in state:
                state[raw.file] = self._fault(raw, names, thorough=thorough)
            if what := state[raw.file]:
                corrupt.append(Damage(self.raw / raw.file, what, raw.feed, raw.sha256, raw.name))
            else:
                intact[raw.sha256] = raw
        for path in sorted(names - state.keys()):
            try:
                intact |= {r.sha256: r for r in self._adopted(path) if r.sha256 not in intact}
            except (OSError, ValueError, TypeError, KeyError, LakeError):
                feed, _, file = path.partition("/")
                corrupt.append(Damage(self.raw / path, _UNKNOWN, feed, file.partition(".")[0]))
        corrupt = [d for d in corrupt if d.sha256 not in intact]
        return sorted(self._decided(list(intact.values())), key=lambda r: r.age), corrupt

    def _fault(self, raw: RawFile, names: Collection[str], *, thorough: bool) -> str:
        if not self._raw_exists(raw, names):
            return MISSING
        intact = self.is_intact(f"{_RAW}{raw.file}", raw.parquet_sha256, used=thorough)
        return "" if intact else CORRUPT

    def _raw_exists(self, raw: RawFile, names: Collection[str]) -> bool:
        """Whether a file exists; checks individually for one that landed after the files were listed."""
        return raw.file in names or self.store.head(f"{_RAW}{raw.file}") is not None

    def _names(self, *, earlier: bool = False) -> set[str]:
        """The Parquet files inside ``raw/``, or those in the format of an earlier version."""
        listed = {e.name.removeprefix(_RAW) for e in self.store.list(_RAW)}
        parquet = {name for name in listed if name.endswith(".parquet")}
        # The earlier format has a JSON record next to each file.
        return {name for name in parquet if (f"{name.removesuffix('.parquet')}.json" in listed) is earlier}

    def _adopted(self, name: str) -> list[RawFile]:
        """The exports of a file missing from the catalog, from the file's metadata."""
        path = self.store.location(f"{_RAW}{name}")
        digest, size = file_digest(path), path.stat().st_size
        feed = name.partition("/")[0]
        return [replace(r, feed=feed, file=name, parquet_sha256=digest, parquet_size=size) for r in recorded(path)]

    def _recorded(self) -> Mapping[str, RawFile]:
        """The catalog's exports by hash; empty if it is lost or damaged."""
        try:
            entry = self.store.head(f"{_RAW}{CATALOG}")
            if entry is None:
                return {}
            if self._catalog is None or self._catalog[0] != entry.version:
                self._catalog = entry.version, {r.sha256: r for r in files_of(self.read_record(entry.name))}
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        return self._catalog[1]

    def catalogued(self) -> dict[str, RawFile]:
        """The exports of the catalog by hash, without what tasks wrote that is not in force yet."""
        return dict(self._recorded())

    def earlier_exports(self) -> set[str]:
        """The hashes of exports landed in the format of an earlier version, with a JSON record next to each file."""
        return {Path(name).stem for name in self._names(earlier=True)}

    # -- later decisions

    def decisions(self) -> dict[str, dict[str, Any]]:
        """Facts recorded about exports apart from their content, by hash: delivered_ns, withdrawn, restored.

        Raises:
            LakeError: the record is damaged. It is not a cache: without it a withdrawn export would count again.
        """
        path = self.raw / DECISIONS
        try:
            exports: dict[str, dict[str, Any]] = self.read_record(f"{_RAW}{DECISIONS}")["exports"]
        except FileNotFoundError:
            return {}
        except PermissionError:  # the record itself is not damaged
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LakeError(
                f"{path} is damaged: it cannot be read",
                "Restore it from a backup. Without one, delete it and withdraw once more the exports that must not "
                "count (`rmetrics exports`).",
            ) from error
        return exports

    def decide(self, sha256: str, **facts: Any) -> None:
        """Records facts about an export apart from its content; durable, and kept when the caches are deleted."""
        decisions = self.decisions()
        decisions[sha256] = {**decisions.get(sha256, {}), **facts}
        self.write_record(f"{_RAW}{DECISIONS}", {"exports": decisions})

    def _decided(self, files: Sequence[RawFile]) -> list[RawFile]:
        decisions = self.decisions()
        return [replace(f, **decisions[f.sha256]) if f.sha256 in decisions else f for f in files]

    # -- landing

    @contextlib.contextmanager
    def landing(self, feed: str, stem: str) -> Iterator[RawWriter]:
        """A raw file being written; removed at the end unless ``commit_raw`` renames it.

        Args:
            feed: the feed of its exports.
            stem: its name: the hash of its export, or of several.
        """
        folder = self.raw / feed
        self.folder(folder)
        suffix = "-2" if (folder / f"{stem}.json").exists() else ""  # keep the file of an earlier version
        final = folder / f"{stem}{suffix}.parquet"
        part = final.with_suffix(".part")
        with writing(final, part):
            writer = RawWriter(part)
            try:
                yield writer
            finally:
                with contextlib.suppress(OSError):  # the original error matters more
                    writer.close()

    def commit_raw(self, writer: RawWriter, exports: Sequence[RawFile]) -> list[RawFile]:
        """Gives a written file its final name; returns the records of its exports.

        They keep the name and times of their first landing, which decide which export is newer.
        """
        final = writer.path.with_suffix(".parquet")
        name = final.relative_to(self.raw).as_posix()
        made = [replace(self.as_first_landed(r), file=name) for r in exports]
        writer.close(made)
        digest, size = flush(writer.path)
        name = self.store.named(name, digest)
        made = [replace(r, file=name, parquet_sha256=digest, parquet_size=size) for r in made]
        # The file before its catalog entry: a run killed in between leaves a file to adopt, not an entry without one.
        self.store.write_new(writer.path, f"{_RAW}{name}", durable=True)
        with self._landing:
            self._remember(f"{_RAW}{name}", digest)
            self._keep_catalog({**self._recorded(), **{r.sha256: r for r in made}})
        return made

    def adopt_raw(self, made: Sequence[RawFile]) -> None:
        """Enters exports whose files another machine wrote (``lake.staged``), as ``commit_raw`` returned them there."""
        with self._landing:
            for raw in made if not self.store.remote else ():  # a copy is looked at when there is one
                self._remember(f"{_RAW}{raw.file}", raw.parquet_sha256)
            self._keep_catalog({**self._recorded(), **{r.sha256: r for r in made}})

    def as_first_landed(self, made: RawFile) -> RawFile:
        """The record with the name and times of the export's first landing, if it landed before."""
        before = self._recorded().get(made.sha256)
        if before is not None:
            return same_export(made, before)
        if self._landed is None:
            self._landed = dict(self.load_json(LANDED).get("exports", {}))
        known = self._landed.get(made.sha256, {})
        return replace(made, **{n: known[n] for n in _FIRST if n in known})

    def _keep_catalog(self, exports: dict[str, RawFile]) -> None:
        if exports != self._recorded():
            ordered = sorted(exports.values(), key=lambda r: (r.file, r.sha256))
            self.write_record(f"{_RAW}{CATALOG}", records_of(ordered))

    def settle_raw(self, intact: Collection[RawFile], corrupt: Collection[Damage], kept: Collection[str]) -> None:
        """Records the landed exports; removes the remains of exports that were lost or landed again elsewhere.

        Args:
            intact: all landed exports.
            corrupt: damage found before landing.
            kept: hashes of damaged exports that are not needed now but may be restored later.
        """
        now = {r.sha256: r.undecided for r in intact}
        waiting = {s: r for s, r in self._recorded().items() if s in kept and s not in now}
        used = {r.file for r in (*now.values(), *waiting.values())}
        removed = {d.path.relative_to(self.raw).as_posix() for d in corrupt} | self._names()
        for name in removed - used:
            with writing(self.raw / name):
                self.store.discard(f"{_RAW}{name}")
        with writing(self.raw / CATALOG):
            self._keep_catalog({**waiting, **now})
        self._remember_landed(now.values())

    def exclude(self, intact: Collection[RawFile], out: Collection[str]) -> None:
        """Removes exports from a scratch lake for good, with the files that contain nothing else.

        Args:
            intact: all landed exports without damage.
            out: hashes of the exports to remove, sound or not.
        """
        now = {r.sha256: r.undecided for r in intact}
        recorded_files = self._recorded()
        kept = {s: r for s, r in {**recorded_files, **now}.items() if s not in out}
        files = {r.file for r in (*recorded_files.values(), *now.values())}
        for name in files - {r.file for r in kept.values()}:
            with writing(self.raw / name):
                self.store.delete(f"{_RAW}{name}")
        with writing(self.raw / CATALOG):
            self._keep_catalog(kept)

    def _remember_landed(self, files: Collection[RawFile]) -> None:
        """Keeps a second record of landed exports, to detect lost ones and to know their age when delivered again."""
        exports = {f.sha256: {"feed": f.feed, **{n: getattr(f, n) for n in _FIRST}} for f in files}
        if self.load_json(LANDED).get("exports") != exports:
            self.save_json(LANDED, {"exports": exports})

    # -- reading

    def frames(self, raw: RawFile, line: int = 0) -> Iterator[Frame]:
        """The frames of an export: from the last independently readable one at or before ``line``, or all for 0.

        Raises:
            LakeError: they are missing or damaged; names the export to deliver again.
        """
        path = self.raw_path(raw)
        first = 0
        if line:
            try:
                lines = lines_of(path, raw.sha256)
            except (OSError, ValueError) as error:
                raise damaged(path, "it cannot be read", raw.name) from error
            first = max((i for i, begins in enumerate(lines) if 0 < begins <= line), default=0)
        return (frame for _, frame in read_frames(path, {raw.sha256: raw.name}, first))

    def exports_bytes(self, raws: Collection[RawFile]) -> Iterator[tuple[RawFile, bytes]]:
        """The bytes of small exports, which have one frame each; exports of the same file are read together.

        Raises:
            LakeError: they are missing or damaged; names the export to deliver again.
        """
        by_file: dict[str, dict[str, RawFile]] = {}
        for raw in raws:
            by_file.setdefault(raw.file, {})[raw.sha256] = raw
        for name, wanted in by_file.items():
            for sha256, frame in read_frames(
                self.store.location(f"{_RAW}{name}"), {s: r.name for s, r in wanted.items()}
            ):
                yield wanted[sha256], frame.data

    def verify_raw(self, file: RawFile) -> None:
        """Compares a landed file with the hash recorded when it was written.

        Raises:
            LakeError: it is missing or damaged; names the export to deliver again.
        """
        if not self.is_intact(f"{_RAW}{file.file}", file.parquet_sha256, used=True):
            raise damaged(self.raw / file.file, CORRUPT, file.name)
