"""Who waited for whom, from a log of the holds of the WebUI's queue (see `launch_logged`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

TRAINING = "training "  # how the names of our threads begin
CLEARLY_S = 0.05  # later; a thread may be held up between the question for the time and its place in the queue


@dataclass(frozen=True)
class Hold:
    """Somebody's hold of the lock; times in seconds of the monotonic clock."""

    thread: str
    wanted: float
    got: float
    released: float

    @property
    def is_training(self) -> bool:
        """Whether it is a slice of a training, and no request."""
        return self.thread.startswith(TRAINING)

    @property
    def held(self) -> float:
        """How long."""
        return self.released - self.got

    def shared_with(self, other: Hold) -> float:
        """Seconds of our wait in which `other` held the lock."""
        return max(0.0, min(self.got, other.released) - max(self.wanted, other.got))


@dataclass(frozen=True)
class Wait:
    """How a request came to its turn: seconds from its arrival at the queue until it had the lock.

    `total` is `behind_training` and `behind_requests` and the moments between two holds. `slices` are those of the
    training that had a part of it.
    """

    total: float
    behind_training: float
    behind_requests: float
    slices: int

    @property
    def not_behind_requests(self) -> float:
        """What the request would not have waited without the training, and the moments between two holds."""
        return self.total - self.behind_requests


def holds(log: Path, since: float = 0.0, until: float = float("inf")) -> list[Hold]:
    """Those in `log` that reach into the time between two, in the order that they had the lock."""
    found = [Hold(*json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    return sorted((hold for hold in found if hold.released >= since and hold.got <= until), key=lambda hold: hold.got)


def waits(found: Sequence[Hold]) -> list[Wait]:
    """Of every request among `found`."""
    result = []
    for one in found:
        if one.is_training:
            continue
        shared = [(other, one.shared_with(other)) for other in found if other is not one]
        behind = [seconds for other, seconds in shared if other.is_training and seconds > 0]
        others = sum(seconds for other, seconds in shared if not other.is_training)
        result.append(Wait(one.got - one.wanted, sum(behind), others, len(behind)))
    return result


def overtaken(found: Sequence[Hold]) -> int:
    """How many of `found` had their turn after somebody who came clearly later."""
    return sum(any(other.wanted > one.wanted + CLEARLY_S and other.got < one.got for other in found) for one in found)


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Median, 95th percentile and maximum."""
    ordered = sorted(values)
    if not ordered:
        return {"median": None, "p95": None, "max": None}
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median": round(median(ordered), 3), "p95": round(p95, 3), "max": round(ordered[-1], 3)}
