"""Seconds and memory of `pseudoword demo`, from a cold start, as a user sees them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GOALS = {"seconds": 180, "peak memory, GB": 2}


def measure(work: Path) -> dict[str, Any]:
    """Run the demo in `work` in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pseudoword", "demo", "--output", str(work / "demo"), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    report = json.loads((work / "demo" / "report.json").read_text(encoding="utf-8"))
    return {"seconds": round(seconds, 1), "peak memory, GB": round(peak / 1e9, 2), "goals": GOALS, "report": report}
