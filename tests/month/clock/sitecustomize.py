"""The clock of a command, moved: on ``PYTHONPATH`` this is loaded before the program, and by the programs it starts."""

import datetime as dt
import os

import time_machine

if moved := os.environ.get("SIMULATED_NOW"):
    time_machine.travel(dt.datetime.fromisoformat(moved), tick=True).start()
