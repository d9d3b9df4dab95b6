"""The pages of a project, asked in this process; and ``rmetrics serve`` as a process of its own."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.testclient import TestClient

from rmetrics.serve.app import Site, application
from rmetrics.serve.guard import Guard
from rmetrics.settings import Settings
from support import Project

TOKEN = "secret-for-tests"  # noqa: S105 - it opens nothing but a test's pages
BASE = "http://127.0.0.1:8787"


def client_of(settings: Settings, *, rows: bool = False, seconds: float = 60.0) -> TestClient:
    """A browser that has the token already."""
    app = Guard(application(Site(settings, rows=rows, seconds=seconds)), token=TOKEN, host="127.0.0.1", port=8787)
    return TestClient(app, base_url=BASE, cookies={"rmetrics_8787": TOKEN})


@dataclass(frozen=True)
class Serving:
    """A running ``rmetrics serve``.

    Attributes:
        url: as it was printed.
        process: the program.
    """

    url: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        """The address without the path."""
        return self.url.partition("/?")[0]

    @property
    def token(self) -> str:
        """The token of the address."""
        return parse_qs(urlsplit(self.url).query)["token"][0]

    def get(self, path: str, *, cookie: bool = True, **headers: str) -> tuple[int, str]:
        """Status and text of an answer."""
        port = urlsplit(self.url).port
        sent = {**({"Cookie": f"rmetrics_{port}={self.token}"} if cookie else {}), **headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.base + path, headers=sent), timeout=60) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def serving(project: Project, *options: str, **environment: str) -> Iterator[Serving]:
    """Runs ``rmetrics serve`` in a project on any free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rmetrics", "serve", "--port", "0", *options],
        cwd=project.root, env={**project.environment, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if "--json" in options:
            document = json.loads(line)
            assert set(document) == {"url"}
            line = document["url"]
        yield Serving(line, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
