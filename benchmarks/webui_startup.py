"""What the extension adds to the start of the WebUI: with and without it by turns, its installer, and its imports."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from tools.pages import table

from .webui.place import PATIENCE_S, Server, Webui, circumstances

INSIDE = Path(__file__).parent / "webui" / "start_inside.py"
TIMES, INSTALLS = 3, 5
WITH, WITHOUT = "with", "without"
SCRIPT = "pseudoword_webui.py"
OWN_LINES = (f"load scripts/{SCRIPT}", "app_started_callback/registration.py")  # what its timer says of us alone
LINES = ("load scripts", "create ui", "gradio launch", "add APIs", "app_started_callback", *OWN_LINES)
GOAL_S = 0.5
# What `python -X importtime` tells of one module: microseconds in itself and with those it imports, and its depth.
IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)$")


def measure(work: Path, times: int = TIMES) -> dict[str, Any]:
    """Medians of the starts; the first start of each, which fills caches, does not count."""
    webui = Webui.named()
    data = {WITH: webui.furnished(work / WITH), WITHOUT: webui.furnished(work / WITHOUT, with_extension=False)}
    for folder in data.values():
        started(webui, folder)
    starts: dict[str, list[dict[str, float]]] = {WITH: [], WITHOUT: []}
    for number in range(times):
        for kind in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
            starts[kind].append(started(webui, data[kind]))
    medians = {kind: {name: median(one[name] for one in found) for name in found[0]} for kind, found in starts.items()}
    result = {
        **circumstances(),
        "starts of each": times,
        **{kind: rounded(found) for kind, found in medians.items()},
        "difference": rounded({name: seconds - medians[WITHOUT][name] for name, seconds in medians[WITH].items()}),
        "lowest and highest": {
            kind: [round(edge(one["until it is up"] for one in found), 2) for edge in (min, max)]
            for kind, found in starts.items()
        },
        "installer, seconds": round(installer_seconds(webui, data[WITH]), 3),
        "computed by the extension, seconds": computed_by_us(webui, data),
        "imports": imports(webui, data[WITH]),
        "goal, seconds": GOAL_S,
    }
    print(as_table(result), flush=True)
    return result


def started(webui: Webui, data: Path) -> dict[str, float]:
    """Seconds of one start: until it is up, what it computed until its model was loaded, too, and parts by its timer.

    The WebUI loads its model in a thread beside, which is in the first of them only as far as it is in the way.
    """
    with Server(webui, data) as server:
        computed = server.cpu_seconds
        records = server.ask("/internal/profile-startup")
    parts = {name: records["records"].get(name, 0.0) for name in LINES}
    assert ("pseudoword" in str(records)) == (data.name == WITH), "the extension is not where it should be"
    return {"until it is up": server.seconds, "by its timer": records["total"], "computed": computed, **parts}


def computed_by_us(webui: Webui, data: dict[str, Path]) -> dict[str, float]:
    """What our parts compute in the WebUI's process, which other work on the machine hardly moves; medians.

    Registering callbacks is not among them: it costs according to how deep in the WebUI's start it happens, so it is
    only in "load scripts".
    """
    job = {"extension": str(data[WITH] / "extensions" / "pseudoword")}
    found = [webui.run(data[WITHOUT], INSIDE, job) for _ in range(TIMES)]
    parts = {name: median(one[name] for one in found) for name in found[0]}
    return rounded({**parts, "all": sum(parts.values())})


def installer_seconds(webui: Webui, data: Path) -> float:
    """The median of calls of `install.py` as the WebUI calls it, with nothing to install."""
    environment = {**webui.environment(data), "PYTHONPATH": str(webui.folder)}
    command = [str(webui.python), str(data / "extensions" / "pseudoword" / "install.py")]
    seconds = []
    for _ in range(INSTALLS):
        began = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        seconds.append(time.monotonic() - began)
        assert not done.stdout, done.stdout  # it installed something
    return median(seconds)


def imports(webui: Webui, data: Path) -> dict[str, Any]:
    """The modules that the extension brings in, those that nothing had imported before, and what importing them took.

    Told by Python itself in a start of its own, as times are a little longer then.
    """
    with Server(webui, data, python=("-X", "importtime")) as server:
        lines = server.output.splitlines()
    own: dict[str, int] = {}  # microseconds
    others: dict[str, int] = {}
    whole = 0
    for found in reversed(imported_below(lines)):
        name, alone, together, is_root = found
        (own if name.partition(".")[0] == "pseudoword" else others)[name] = alone
        whole += together if is_root else 0
    longest = sorted({**own, **others}.items(), key=lambda item: -item[1])[:10]
    return {
        "seconds": round(whole / 1e6, 3),
        "own modules": len(own),
        "own modules, seconds": round(sum(own.values()) / 1e6, 3),
        "modules of others, new in the process": len(others),
        "modules of others, seconds": round(sum(others.values()) / 1e6, 3),
        "others": sorted({name.partition(".")[0] for name in others}),
        "longest, milliseconds": {name: round(microseconds / 1e3, 1) for name, microseconds in longest},
    }


def imported_below(lines: list[str]) -> list[tuple[str, int, int, bool]]:
    """What the extension's modules imported, themselves included: name, microseconds alone and with all below, and
    whether it is one of ours that none of ours imported.

    Python tells of a module after those that it imports, one level deeper; so they are read from the end.
    """
    found = []
    below: int | None = None  # the level of the module of ours that we are below
    for line in reversed(lines):
        told = IMPORT.match(line)
        if told is None:
            continue
        level, name = len(told[3]) // 2, told[4]
        if below is not None and level <= below:
            below = None
        is_root = below is None and name.partition(".")[0] == "pseudoword"
        if is_root:
            below = level
        if below is not None:
            found.append((name, int(told[1]), int(told[2]), is_root))
    return found


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """To milliseconds."""
    return {name: round(value, 3) for name, value in seconds.items()}


def as_table(result: dict[str, Any]) -> str:
    """One row for each part of the start."""
    rows: list[list[object]] = [
        [name, result[WITH][name], result[WITHOUT][name], difference]
        for name, difference in result["difference"].items()
    ]
    rows += [["installer", result["installer, seconds"], "", result["installer, seconds"]]]
    for name, seconds in result["computed by the extension, seconds"].items():
        rows.append([f"computed by the extension: {name}", seconds, "", seconds])
    return table(["Seconds", "With", "Without", "Difference"], rows)
