"""A host with a tiny model, for tests of what runs on one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pseudoword.jobs.host import Host
from pseudoword.jobs.turns import Turns
from tests.tiny_models import TinyModel

PATIENCE_S = 60


def small_host(runs: Path) -> Host:
    """A host without a scorer."""
    model = TinyModel()
    return Host(lambda: model, lambda: None, Turns(), runs)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread does; fails rather than hangs."""
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.005)
