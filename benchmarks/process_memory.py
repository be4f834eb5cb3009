"""How much memory work takes, in a process of its own (Linux)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pseudoword.cli.peak_memory import peak_memory_mb


def megabytes_told_by(module: str, *arguments: Path) -> float:
    """The number that the program `module` prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def forgotten_peak_megabytes() -> float:
    """What this process has now; from here on its peak is counted anew. Imports need more, which would hide it."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_since_then_megabytes()


def peak_since_then_megabytes() -> float:
    """The most memory, in MB of 2²⁰ bytes, that this process had since its peak was last forgotten."""
    peak = peak_memory_mb()
    assert peak is not None
    return peak * 1e6 / 2**20
