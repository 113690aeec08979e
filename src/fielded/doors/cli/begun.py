"""When this command began: whoever waits for it also waits for its imports."""

import os
import time
from pathlib import Path

_START = 19  # place of `starttime` after the name, in clock ticks since boot (proc(5))


def begun() -> float:
    """When this process was started, as `time.monotonic` counts; now, on a system that does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[_START]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        age = 0.0
    return time.monotonic() - max(0.0, age)
