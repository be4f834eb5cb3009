"""A run that was killed ends as one that was not, to the bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pseudoword.training.events import Preparing
from pseudoword.training.trainer import TrainingRun
from tests.tiny_models import TinyModel
from tests.training.killed_runs import MOMENTS
from tests.training.small_runs import bits, one_thread, run_in, settings, timeless_history

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL"),
]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs that were killed, one for each moment."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.training.killed_runs", str(folder), *MOMENTS]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    signals = json.loads(ended.stdout.splitlines()[-1])
    assert signals == dict.fromkeys(MOMENTS, signal.SIGKILL), ended.stderr
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRun, Path]:
    """A run that nobody killed, and its folder."""
    one_thread()
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = run_in(folder, TinyModel(), settings())
    list(run.events())
    return run, folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_goes_on_to_the_same_bits_and_the_same_history(
    moment: str, killed: Path, uninterrupted: tuple[TrainingRun, Path]
) -> None:
    one_thread()
    run = run_in(killed / moment, TinyModel(), settings())
    first, *_ = [event for event in run.events() if not isinstance(event, Preparing)]
    assert (first.step > 0) == ("while-the-first" not in moment)  # there, no checkpoint was complete

    whole, folder = uninterrupted
    assert bits(run) == bits(whole)
    assert timeless_history(killed / moment) == timeless_history(folder)
    names = [{path.name for path in (place / "run").rglob("*")} for place in (killed / moment, folder)]
    assert names[0] == names[1]  # nothing half written is left
    for preview in sorted((folder / "run" / "previews").iterdir()):
        assert (killed / moment / "run" / "previews" / preview.name).read_bytes() == preview.read_bytes()
