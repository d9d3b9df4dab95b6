"""dbt on DuckDB: the statements of duckdb_typed.sql and duckdb_metrics.sql as one model each, run with `dbt run`.

    python benchmarks/peers/dbt_duckdb.py INBOX OUT DBT

DBT is the program, in an environment of its own. It is told to report nothing to anyone.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
from common import exports, report
from duckdb_sql import HERE, TABLES

_MODEL = re.compile(r"CREATE (?:TEMP )?TABLE (\w+) AS\n(.*?);\n", re.DOTALL)
_MACRO = re.compile(r"CREATE (MACRO .*?);\n", re.DOTALL)
_QUIET = {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_VERSION_CHECK": "false"}


def models(sql: str, files: dict[str, list[Path]]) -> dict[str, str]:
    """One model for each table of the script, which names the others by ``ref``."""
    found = dict(_MODEL.findall(sql))
    for feed, paths in files.items():
        listed = "[" + ", ".join(f"'{p}'" for p in paths) + "]"
        found = {name: body.replace(f"getvariable('{feed}')", listed) for name, body in found.items()}
    names = "|".join(found)
    return {name: re.sub(rf"\b(FROM|JOIN) ({names})\b", r"\1 {{ ref('\2') }}", body) for name, body in found.items()}


def write_project(folder: Path, sql: str, files: dict[str, list[Path]]) -> None:
    """Writes the dbt project: models, macros of DuckDB as a hook, and the profile."""
    (folder / "models").mkdir(parents=True)
    for name, body in models(sql, files).items():
        (folder / "models" / f"{name}.sql").write_text(body)
    macros = [f"CREATE OR REPLACE {macro}" for macro in _MACRO.findall(sql)]
    project = {
        "name": "peer", "version": "1.0.0", "profile": "peer", "on-run-start": macros,
        "models": {"+materialized": "table"}, "flags": {"send_anonymous_usage_stats": False},
    }  # fmt: skip
    settings = {"preserve_insertion_order": False, "TimeZone": "America/New_York"}
    target = {
        "type": "duckdb",
        "path": str(folder.parent / "peer.duckdb"),
        "threads": os.cpu_count(),
        "settings": settings,
    }
    profiles = {"peer": {"target": "run", "outputs": {"run": target}}}
    (folder / "dbt_project.yml").write_text(json.dumps(project))  # JSON is YAML
    (folder / "profiles.yml").write_text(json.dumps(profiles))


def run(inbox: Path, out: Path, dbt: Path) -> None:
    """Makes ``out/daily_metrics.parquet``."""
    folder = out / "project"
    sql = (HERE / "duckdb_typed.sql").read_text() + (HERE / "duckdb_metrics.sql").read_text()
    write_project(folder, sql, exports(inbox))
    command = [str(dbt), "--quiet", "run", "--project-dir", str(folder), "--profiles-dir", str(folder)]
    subprocess.run(command, check=True, env={**os.environ, **_QUIET}, cwd=folder)
    with duckdb.connect(str(out / "peer.duckdb")) as connection:
        connection.execute(f"COPY daily_metrics TO '{out / 'daily_metrics.parquet'}'")
        rows = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}  # type: ignore[index]
    report(out, rows)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
