"""Runs ``rmetrics plan`` on a copy of the rules in a separate process, which can be stopped and writes nothing."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmetrics.errors import BusyError, LakeError, SettingsError
from rmetrics.rules.files import rule_files
from rmetrics.serve.controls import Edited
from rmetrics.settings import Settings

SECONDS = 60.0
_GRACE = 3.0  # to remove temporary files


class Trials:
    """Runs one trial at a time, each under a time limit.

    Args:
        settings: the project's settings.
        seconds: the time limit of a trial.
    """

    def __init__(self, settings: Settings, seconds: float = SECONDS) -> None:
        self._settings, self._seconds = settings, seconds
        self._one = asyncio.Lock()

    async def plan(self, edited: Edited) -> Mapping[str, Any]:
        """Returns what the edited rules would change: the document of ``rmetrics plan --json``.

        The trial has an empty inbox, so that the plan shows the effect of the edit alone.

        Raises:
            BusyError: another trial is running.
            SettingsError: the edited rules do not load; the message names the problem.
            LakeError: the trial timed out or failed.
        """
        if self._one.locked():
            raise BusyError("another trial is being computed", "Wait until it has finished, then try again.")
        async with self._one:
            with tempfile.TemporaryDirectory(prefix="rmetrics-trial-") as folder:
                return await self._planned(Path(folder), edited)

    async def _planned(self, folder: Path, edited: Edited) -> Mapping[str, Any]:
        rules, inbox = folder / "rules", folder / "inbox"
        rules.mkdir()
        inbox.mkdir()
        for path in rule_files(self._settings.rules_dir):
            shutil.copyfile(path, rules / path.name)
        (rules / edited.file.name).write_text(edited.text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rmetrics", "plan", "--json",
            cwd=folder,
            env=self._environment(rules, inbox),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), self._seconds)
        except TimeoutError:
            raise LakeError(
                f"the trial took longer than {self._seconds:.0f} seconds and was stopped",
                "Edit a copy of the project and run: rmetrics plan",
            ) from None
        finally:
            await _ended(process)
        return self._answer(out, str(rules))

    def _environment(self, rules: Path, inbox: Path) -> dict[str, str]:
        settings = self._settings
        made = {name: value for name, value in os.environ.items() if not name.startswith("RMETRICS_")}
        made |= {
            "RMETRICS_DATA_DIR": settings.data_url or str(settings.data_dir.resolve()),
            "RMETRICS_LOCAL_DIR": str(settings.local_dir.resolve()),
            "RMETRICS_RULES_DIR": str(rules),
            "RMETRICS_INBOX_DIR": str(inbox),
            "RMETRICS_PG_SCHEMA": settings.pg_schema,
        }
        given = {
            "RMETRICS_POSTGRES_DSN": settings.dsn,
            "RMETRICS_MEMORY_LIMIT": settings.memory_limit,
            "RMETRICS_S3_ENDPOINT": settings.s3_endpoint,
        }
        return made | {name: value for name, value in given.items() if value}

    def _answer(self, out: bytes, rules: str) -> Mapping[str, Any]:
        """Parses the plan's output; in errors, paths of the copy are replaced by the project's own."""
        text = out.decode("utf-8", "replace").replace(rules, str(self._settings.rules_dir))
        try:
            found: Mapping[str, Any] = json.loads(text)
        except ValueError:
            raise LakeError(
                "the trial failed", "To see the reason, run `rmetrics plan` in a copy of the project."
            ) from None
        error = found.get("error")
        if error is None:
            return found
        kind = SettingsError if error.get("kind") in {"RulesError", "SettingsError"} else LakeError
        raise kind(error.get("message", ""), "Nothing was changed. Try another value.")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Stops a running process: first with SIGINT, so that it removes its temporary files, then by force."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, ValueError):  # ValueError: Windows does not support SIGINT
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE)
            return
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
