"""`python -m benchmarks [NAME …]`: run all benchmarks, or those named, and write their figures as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import (
    clip_skip,
    crowd,
    crowd_kills,
    demo,
    inspection,
    library,
    norm,
    overhead,
    peer,
    scoring,
    search,
    webui_startup,
    webui_training,
    webui_waiting,
    words,
)
from .document import MEASURED
from .training import Bench, threads
from .webui.place import NotNamed

LONE: dict[str, Callable[[Path], dict[str, Any]]] = {  # those that need no model of ours in this process
    "demo": demo.measure,
    "inspection": lambda _: inspection.measure(),
    "library": library.measure,
    "scoring": scoring.measure,
    "search": search.measure,
    "clip-skip": clip_skip.measure,
    "crowd": crowd.measure,
    "crowd-kills": crowd_kills.measure,
    "webui-training": webui_training.measure,
    "webui-waiting": webui_waiting.measure,
    "webui-startup": webui_startup.measure,
}
NAMES = ("overhead", "peer", "norm", "words", *LONE)


def main() -> None:
    """Run what was asked for; each figure file is written as soon as its benchmark is over."""
    parser = argparse.ArgumentParser(prog="python run.py bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)}; all of them if none is named"
    )
    parser.add_argument("--output", type=Path, default=MEASURED, help="folder for figures and pictures")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    for name in chosen.names or NAMES:
        with tempfile.TemporaryDirectory(prefix="pseudoword-bench-") as folder:
            try:
                figures = run(name, Path(folder), chosen.output)
            except NotNamed as problem:
                print(f"{name}: {problem}", flush=True)
                continue
        figures = {"machine": f"{platform.machine()}, {threads()} CPU threads", **figures}
        text = json.dumps(figures, indent=1)
        print(f"{name}: {text}", flush=True)
        (chosen.output / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def run(name: str, work: Path, output: Path) -> dict[str, Any]:
    """Figures of the benchmark `name`; pictures worth keeping go to `output`. Raises NotNamed without a WebUI."""
    if name in LONE:
        return LONE[name](work)
    if name == "words":
        figures = words.measure(work)
        (output / "words.png").write_bytes((work / "words.png").read_bytes())
        return figures
    bench = Bench.builtin()
    if name == "overhead":
        return overhead.measure(bench, work)
    if name == "peer":
        return peer.measure(bench, work)
    return norm.measure(bench, work)


if __name__ == "__main__":
    main()
