"""The clock of a command, moved: on ``PYTHONPATH`` this is loaded before the program, and by the programs it starts."""

import datetime as dt
import os

import time_machine

if moved := os.environ.get("SIMULATED_MOVED"):  # seconds; so all clocks go on together from command to command
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(moved))
    time_machine.travel(now, tick=True).start()
