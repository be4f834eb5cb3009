"""Figures in the text form that Prometheus reads (version 0.0.4). No package for that comes with the WebUI."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from ..jobs.server.measures import Durations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Figure:
    """A family of figures: its name, what it means, and values by their labels."""

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str
    values: tuple[tuple[Mapping[str, str], float], ...]


@dataclass(frozen=True)
class Histogram:
    """How long something took, how often."""

    name: str
    meaning: str
    durations: Durations


def gauge(name: str, meaning: str, value: float) -> Figure:
    """One figure that goes up and down."""
    return Figure(name, "gauge", meaning, (({}, value),))


def counter(name: str, meaning: str, value: float) -> Figure:
    """One figure that only grows."""
    return Figure(name, "counter", meaning, (({}, value),))


def prometheus_text(families: Iterable[Figure | Histogram]) -> str:
    """All of them, a line each."""
    lines: list[str] = []
    for family in families:
        kind = "histogram" if isinstance(family, Histogram) else family.kind
        meaning = family.meaning.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {family.name} {meaning}", f"# TYPE {family.name} {kind}"]
        if isinstance(family, Histogram):
            lines += _histogram_lines(family)
        else:
            lines += [_line(family.name, labels, value) for labels, value in family.values]
    return "".join(f"{line}\n" for line in lines)


def _histogram_lines(family: Histogram) -> list[str]:
    found = family.durations
    bounds = [*(f"{bound:g}" for bound in found.bounds), "+Inf"]
    sums = list(accumulate(found.counts))
    lines = [_line(f"{family.name}_bucket", {"le": bound}, sum) for bound, sum in zip(bounds, sums, strict=True)]
    return [*lines, _line(f"{family.name}_sum", {}, found.seconds), _line(f"{family.name}_count", {}, sums[-1])]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
