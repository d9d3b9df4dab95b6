"""A Spark session: its address, its settings, and the check that all executors have the same libraries."""

import contextlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rmetrics.errors import EngineError, RmetricsError, SettingsError
from rmetrics.spark.tasks import carried_error, refuse_other, versions

_HERE = re.compile(r"^local(-cluster)?(\[|$)")
_PROCESSES = re.compile(r"^local-cluster\[\d+,\d+,(\d+)\]$")
_SECRET = re.compile(r"(?i)(token|password|secret)=[^;\s]*")
LOOKS = 2  # tasks per slot that look at the versions


@contextlib.contextmanager
def started(address: str, folder: Path) -> Iterator[Any]:
    """Yields a session: the active one, which is left running, or a new one.

    Args:
        address: a master (``local[2]``, ``local-cluster[2,1,1024]``, ``spark://...``, ``k8s://...``, ``yarn``), or
            the address of a Spark Connect server (``sc://...``).
        folder: for this machine's spilled data and logs; closed to other users.

    Raises:
        SettingsError: pyspark or Java is missing, or executors have other versions.
        EngineError: Spark cannot be reached.
    """
    _needed(address)
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        with spark_errors("compare the versions of its executors"):
            same_versions(active)
        yield active
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="session-", dir=folder, ignore_cleanup_errors=True) as own:
        with spark_errors(f"start at {_shown(address)}"), _log_of_java(folder / "java.log"):
            spark = _session(address, Path(own))
        try:
            with spark_errors("compare the versions of its executors"):
                same_versions(spark)
            yield spark
        finally:
            with contextlib.suppress(Exception):  # it may be gone: then there is nothing to stop
                spark.stop()


def _needed(address: str) -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise SettingsError("RMETRICS_ENGINE=spark needs pyspark", 'Install it: pip install "rmetrics[spark]"')
    if address.startswith("sc://"):
        if importlib.util.find_spec("grpc") is None:
            raise SettingsError(
                "sc:// requires the client of Spark Connect", 'Install it: pip install "pyspark[connect]"'
            )
        return
    home = os.environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin" / "java").exists()) and shutil.which("java") is None:
        raise SettingsError(
            "Spark requires Java 17 or newer, but there is no `java` on the PATH and no JAVA_HOME",
            "Install it (Debian: apt-get install openjdk-17-jre-headless), or use a Spark Connect server (sc://).",
        )


def _session(address: str, own: Path) -> Any:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("rmetrics")
    if address.startswith("sc://"):
        return _set_up(builder.remote(address).getOrCreate())
    conf = SparkConf().setMaster(address)
    wanted = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.executorEnv.POLARS_MAX_THREADS": "1",
        "spark.executorEnv.PYARROW_IGNORE_TIMEZONE": "1",
    }
    if _HERE.match(address):  # executors are processes of this machine
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # pyspark reads it; there is no setting for it
        wanted |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "700m",
            "spark.driver.extraJavaOptions": "-Xss16m",  # statements of the second engine are deep
            "spark.local.dir": str(own),
        }
    if megabytes := _PROCESSES.match(address):  # Spark rejects less than its default of 1 GB
        wanted["spark.executor.memory"] = f"{megabytes[1]}m"
    wanted["spark.sql.warehouse.dir"] = str(own / "warehouse")
    for name, value in wanted.items():
        conf.setIfMissing(name, value)
    spark = _set_up(builder.config(conf=conf).getOrCreate())
    spark.sparkContext.setLogLevel("OFF")
    return spark


def _set_up(spark: Any) -> Any:
    """Sets the options on which figures, and the handling of many rows, depend."""
    for name, value in {
        "spark.sql.shuffle.partitions": str(2 * slots(spark)),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
        "spark.sql.caseSensitive": "true",
        # It puts the constraints inferred from all views below into one tree: the second engine's never ended.
        "spark.sql.constraintPropagation.enabled": "false",
    }.items():
        spark.conf.set(name, value)
    return spark


def slots(spark: Any) -> int:
    """Returns the number of tasks that run at a time, or an estimate of it."""
    with contextlib.suppress(Exception):  # a Connect session does not report it
        return max(2, int(spark.sparkContext.defaultParallelism))
    return 8


def same_versions(spark: Any) -> None:
    """Compares the libraries of executors with those of this machine.

    Raises:
        SettingsError: an executor has others, or lacks one.
    """
    names = [name for name, _ in versions()]

    def look(batches: Iterator[Any]) -> Iterator[Any]:  # sent by value: rmetrics itself may be missing
        import importlib.metadata

        import pyarrow as pa

        found = []
        for name in names:
            try:
                found.append(importlib.metadata.version(name))
            except importlib.metadata.PackageNotFoundError:
                found.append("")
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"name": names, "version": found})

    tasks = LOOKS * slots(spark)
    rows = spark.range(0, tasks, 1, tasks).mapInArrow(look, "name string, version string").collect()
    for name, version in sorted({(r["name"], r["version"]) for r in rows}):
        wanted = dict(versions())
        refuse_other(tuple(wanted.items()), tuple((wanted | {name: version}).items()))


@contextlib.contextmanager
def spark_errors(doing: str) -> Iterator[None]:
    """Raises Spark's errors as ours. Its messages quote rows, so only messages of our own tasks are passed on.

    Args:
        doing: the action for the message "Spark could not ...".
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except RmetricsError:
        raise
    except (PySparkException, Py4JError, ConnectionError, RuntimeError) as error:
        ours = carried_error(str(error))
        if ours is not None:
            raise ours from error
        raise EngineError(
            f"Spark could not {doing} ({type(error).__name__}{_why(str(error))})",
            "See the log of Spark's driver (lake/spark/java.log) and of its executors; the figures are unchanged.",
        ) from error


_REASONS = {
    "No module named 'rmetrics'": "rmetrics is not installed on its executors",
    "No module named": "a Python package is missing on its executors",
    "No such file or directory": "an executor cannot see the folder of the lake, which must be shared",
    "JAVA_GATEWAY_EXITED": "Java stopped during its start",
    "StackOverflowError": "a statement is too deep for the driver stack: set spark.driver.extraJavaOptions=-Xss16m",
    "OutOfMemoryError": "an executor ran out of memory",
    "ExecutorLostFailure": "executors were lost more often than the number of retries",
}


def _why(message: str) -> str:
    return next((f": {reason}" for part, reason in _REASONS.items() if part in message), "")


def _shown(address: str) -> str:
    return _SECRET.sub(r"\1=...", address)


@contextlib.contextmanager
def _log_of_java(file: Path) -> Iterator[None]:
    """Redirects Java's output, which inherits our stderr, into a file, away from our own messages."""
    sys.stderr.flush()
    with file.open("wb") as log:
        file.chmod(0o600)
        kept = os.dup(2)
        try:
            os.dup2(log.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


__all__ = ["same_versions", "slots", "spark_errors", "started"]
