"""Seconds and memory of `pseudoword demo`, from a cold start, as a user sees them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools.pages import ROOT

GOALS = {"seconds": 180, "peak memory, GB": 2}


def measure(work: Path) -> dict[str, Any]:
    """Run the demo in `work` in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pseudoword", "demo", "--output", str(work / "demo"), "--json"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    report = json.loads((work / "demo" / "report.json").read_text(encoding="utf-8"))
    measured = {"seconds": round(seconds, 1), "peak memory, GB": round(report["peak_memory_mb"] / 1000, 2)}
    return {**measured, "goals": GOALS, "report": report}
