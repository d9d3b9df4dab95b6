"""A real S3 server on this machine, and projects whose lake and inbox are in a bucket of it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rmetrics.lake import Lake
from rmetrics.lake.bucket import BucketStore
from rmetrics.lake.s3 import Connection
from support import MIDNIGHT, ROOT

OWNER, READER = ("owner-key", "owner-secret-4711"), ("reader-key", "reader-secret-0815")
BUCKET = "lakes"
_START_SECONDS = 60


@dataclass(frozen=True)
class S3:
    """The server.

    Attributes:
        endpoint: its address.
        folder: where it keeps its data.
    """

    endpoint: str
    folder: Path

    @property
    def port(self) -> int:
        """Of the address."""
        return int(self.endpoint.rpartition(":")[2])

    def environment(self, key: tuple[str, str] = OWNER, endpoint: str | None = None) -> dict[str, str]:
        """The settings that lead to it."""
        return {
            "AWS_ACCESS_KEY_ID": key[0],
            "AWS_SECRET_ACCESS_KEY": key[1],
            "AWS_REGION": "us-east-1",
            "RMETRICS_S3_ENDPOINT": endpoint or self.endpoint,
        }


@contextlib.contextmanager
def s3_server() -> Iterator[S3]:
    """Starts a server with an owner and a reader, and stops it at the end."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-s3-") as name:
        folder = Path(name)
        config = folder / "s3.json"
        actions = {OWNER: ["Admin", "Read", "Write", "List", "Tagging"], READER: [f"Read:{BUCKET}", f"List:{BUCKET}"]}
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": may}
            for (key, secret), may in actions.items()
        ]
        config.write_text(json.dumps({"identities": identities}))
        s3, master, volume, filer = _free_ports(4)
        command = [
            *(str(Path(sys.executable).parent / "weed"), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-dir={folder}", f"-s3.port={s3}", f"-s3.config={config}", f"-master.port={master}"),
            *(f"-volume.port={volume}", f"-filer.port={filer}", "-volume.max=0", "-master.volumeSizeLimitMB=64"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            server = S3(f"http://127.0.0.1:{s3}", folder)
            _wait(server, process)
            yield server
        finally:
            process.kill()  # its data are thrown away; ended gently, it takes half a minute
            process.wait(30)


def _wait(server: S3, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{server.endpoint}/healthz", timeout=2):  # noqa: S310 - this machine's own
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    while process.poll() is None and time.monotonic() < until:
        try:
            connection(server, "ready").put("ready", b"")
        except Exception:  # noqa: BLE001 - whatever a server answers that is only starting
            time.sleep(0.2)
        else:
            return
    raise AssertionError((server.folder / "log").read_text(errors="replace")[-2000:])


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and 10,000 above them too: there the server listens for its own."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            port = port if port <= 55_000 else port - 20_000
            with socket.socket() as other, contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port + 10_000))
                found.append(port)
    return found


def connection(server: S3, prefix: str, key: tuple[str, str] = OWNER, bucket: str = BUCKET) -> Connection:
    """A connection to a prefix of the bucket."""
    with _environment(server.environment(key)):
        return Connection.open(f"s3://{bucket}/{prefix}", server.endpoint)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass
class Machine:
    """A machine that works on a lake in the bucket, with a local folder and a database of its own.

    Attributes:
        prefix: of the lake; machines with the same prefix share it.
    """

    server: S3
    root: Path
    dsn: str
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    key: tuple[str, str] = OWNER
    endpoint: str | None = None

    def __post_init__(self) -> None:
        if not (self.root / "rules").exists():
            shutil.copytree(ROOT / "rules", self.root / "rules")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RMETRICS_", "AWS_"))}
        return {
            **kept,
            **self.server.environment(self.key, self.endpoint),
            "RMETRICS_POSTGRES_DSN": self.dsn,
            "RMETRICS_DATA_DIR": f"s3://{BUCKET}/{self.prefix}",
            "RMETRICS_INBOX_DIR": f"s3://{BUCKET}/{self.prefix}/inbox",
            "RMETRICS_RULES_DIR": str(self.root / "rules"),
            "RMETRICS_LOCAL_DIR": str(self.root / "local"),
        }

    def popen(self, *program: str) -> subprocess.Popen[str]:
        """Starts Python with these arguments."""
        return subprocess.Popen(
            [sys.executable, *program],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One run of the program."""
        process = self.popen("-m", "rmetrics", *arguments)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def lake(self, local: str = "test") -> Lake:
        """The lake, seen from a local folder of its own."""
        store = BucketStore(connection(self.server, f"{self.prefix}/lake"), self.root / local)
        return Lake(self.root / local, store)

    def objects(self, prefix: str = "lake/") -> dict[str, str]:
        """The versions of the objects below a prefix, by name."""
        return {o.name: o.version for o in connection(self.server, self.prefix).list(prefix)}

    def put(self, name: str, content: bytes | Path, at: float = MIDNIGHT.timestamp()) -> None:
        """Uploads an export with the time of its file, as rclone does."""
        import obstore

        to = connection(self.server, f"{self.prefix}/inbox")
        obstore.put(to._store, name, content, attributes={"mtime": f"{at:.9f}"}, use_multipart=False)  # noqa: SLF001


__all__ = ["BUCKET", "OWNER", "READER", "S3", "Machine", "connection", "s3_server"]
