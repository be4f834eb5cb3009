"""What a layer, or a blend of layers, costs in the WebUI beside its own setting: encoding alone, in its process."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from tools.pages import table

from .webui.place import Webui, circumstances

INSIDE = Path(__file__).parent / "webui" / "clip_skip_inside.py"
ROUNDS = 16
# Each way, and the WebUI's own that it is compared with: the one whose pass is as deep.
COMPARED = {
    "1": "WebUI, 1",
    "2": "WebUI, 2",
    "1=0.5,2=0.5": "WebUI, 1",
    "1=0.25,2=0.25,3=0.25,4=0.25": "WebUI, 1",
}
GOAL = 1.05


def measure(work: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over the rounds of each round's ratio, in CPU time: what else the machine does hardly moves it."""
    webui = Webui.named()
    data = webui.furnished(work / "data", with_extension=False)
    ways = [*dict.fromkeys(COMPARED.values()), *COMPARED]
    found: list[dict[str, float]] = webui.run(data, INSIDE, {"ways": ways, "rounds": rounds})
    ratios = {way: round(median(one[way] / one[own] for one in found), 3) for way, own in COMPARED.items()}
    result: dict[str, Any] = {"goal": GOAL, "rounds": rounds, "times the WebUI's own": ratios, **circumstances()}
    print(as_table(result), flush=True)
    return result


def as_table(figures: dict[str, Any]) -> str:
    """The ratios beside the goal."""
    ratios = figures["times the WebUI's own"]
    rows: list[list[object]] = [
        [f"layers {way}", own.replace(", ", " at "), ratios[way], f"at most {figures['goal']}"]
        for way, own in COMPARED.items()
    ]
    return table(["Encoding with", "Compared with", "Times as long", "Goal"], rows)
