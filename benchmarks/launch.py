"""Runs one command and writes what it took as JSON: ``python -I -S launch.py REPORT COMMAND...``.

It stands between the benchmark and what is measured because Linux counts the memory of the process that forks as the
child's own peak: this one is small, the benchmark is not. So it imports next to nothing.
"""

import os
import sys
import time


def launch(report: str, command: list[str]) -> None:
    """Runs the command with this process's files and writes wall, cpu (seconds), rss (as the system counts), code."""
    started = time.perf_counter()
    process = os.fork()
    if process == 0:
        try:
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\n".encode())
            os._exit(127)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - started
    cpu, code = usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status)
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not small
        file.write(f'{{"wall": {wall}, "cpu": {cpu}, "rss": {usage.ru_maxrss}, "code": {code}}}')


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2:])
