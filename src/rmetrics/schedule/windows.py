"""A task of the Windows Task Scheduler, as the XML that ``schtasks /Create /XML`` reads."""

import datetime as dt
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_FIRST_DAY = dt.date(2026, 1, 1)  # any past day: the task repeats daily from then on


def task_xml(mark: str, project: Path, at: dt.time, program: Sequence[str]) -> str:
    """Returns the task's XML; Windows makes up for a run missed while the machine was off."""
    start = dt.datetime.combine(_FIRST_DAY, at).isoformat()
    return f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{escape(mark)}</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>{start}</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
  </Settings>
  <Actions>
    <Exec>
      <Command>{escape(program[0])}</Command>
      <Arguments>{escape(subprocess.list2cmdline(program[1:]))}</Arguments>
      <WorkingDirectory>{escape(str(project))}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""
