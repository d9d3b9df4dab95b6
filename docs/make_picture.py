"""Draws docs/sync.svg: the real output of ``rmetrics sync`` on the sample exports.

.venv/bin/python docs/make_picture.py
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FROM = "All sources by month"


def main() -> None:
    """Syncs the sample in a scratch project and writes what the terminal shows from the months on."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        rmetrics = [sys.executable, "-m", "rmetrics"]
        subprocess.run([*rmetrics, "init", folder, "--quiet"], check=True)
        subprocess.run(
            [sys.executable, ROOT / "data" / "make_sample.py", project / "sample"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for export in sorted((project / "sample").iterdir()):
            if export.suffix in {".csv", ".xlsx"}:
                shutil.copy2(export, project / "data" / "inbox")
        environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "104", "TERM": "xterm-256color"}
        done = subprocess.run(
            [*rmetrics, "sync", "--months", "1"], cwd=folder, env=environment, check=True, capture_output=True
        )
    shown = Text.from_ansi(done.stdout.decode())
    start = shown.plain.index(FROM)
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ rmetrics sync", style="bold"))
    console.print(shown[start:])
    svg = console.export_svg(title="rmetrics sync", unique_id="rmetrics")
    svg = re.sub(r"<!--.*?-->|@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # nothing is fetched from anywhere
    (ROOT / "docs" / "sync.svg").write_text(svg.replace("Fira Code", "monospace"), encoding="utf-8")


if __name__ == "__main__":
    main()
