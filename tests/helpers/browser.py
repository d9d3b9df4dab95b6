"""A real browser for tests: Chromium, driven over a pipe by its DevTools protocol; no driver has to be installed."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

BROWSER = next((p for p in (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")) if p), None)
_SECONDS = 30.0


class Tab:
    """A browser with one page.

    Attributes:
        problems: errors and warnings of the console, exceptions, and refusals of the content security policy.
        asked: the addresses the page has loaded.
    """

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        to_read, self._in = os.pipe()
        self._out, to_write = os.pipe()

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync",
                 "--disable-background-networking", "--disable-component-update", "--disable-extensions",
                 "--remote-debugging-pipe", f"--user-data-dir={profile}"]  # fmt: skip
        # The browser reads commands from 3 and writes answers to 4; a shell puts the ends of the pipes there.
        wired = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", wired, "bash", BROWSER, *flags, "about:blank"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(to_read, to_write),
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        os.set_blocking(self._out, False)
        self._rest, self._number, self._session = b"", 0, ""
        self._events: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.asked: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._in)
        self._process.terminate()
        self._process.wait(10)
        os.close(self._out)

    # -- the protocol

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda m: m.get("id") == self._number)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = _SECONDS) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for i, event in enumerate(self._events):
                if wanted(event):
                    del self._events[: i + 1]
                    return event
            self._read()
        raise AssertionError("the browser did not answer")

    def _read(self) -> None:
        try:
            self._rest += os.read(self._out, 1 << 20)
        except BlockingIOError:
            time.sleep(0.01)
            return
        *messages, self._rest = self._rest.split(b"\0")
        for text in messages:
            message = json.loads(text)
            self._watch(message)
            self._events.append(message)

    def _watch(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning"}:
                self.problems.append(str(params["args"]))
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    # -- what a person does

    def open(self, url: str) -> None:
        """Types an address."""
        self._events.clear()
        self.send("Page.navigate", url=url)
        self._until(lambda m: m.get("method") == "Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """What an expression is worth on the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Follows a link, and waits for its page."""
        self._events.clear()
        script = """(() => {
          const found = document.querySelector(SELECTOR);
          if (!found) return false;
          setTimeout(() => found.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })), 0);
          return true;
        })()"""
        there = self.evaluate(script.replace("SELECTOR", json.dumps(selector)))
        assert there, f"nothing on the page is {selector}"
        self._until(lambda m: m.get("method") == "Page.loadEventFired")

    def wait_for(self, script: str, seconds: float = _SECONDS) -> Any:
        """Waits until an expression is true on the page."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.evaluate(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f"it never came true: {script}")

    def look(self, width: int, *, dark: bool = False, height: int = 1000, phone: bool = False) -> None:
        """The size of the window, and the theme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        theme = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A screenshot."""
        made = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))
