"""How much memory this process has needed."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """Peak resident memory of this program; getrusage's would count that of the program which started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
