"""For every test: no network, one thread, no clock, and a header that says which packages the tests run with."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from pseudoword.jobs.scoring.scorings import Scorings

# Read by libraries when they are imported, and by every process that a test starts.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models: a second thread costs more than it brings
os.environ["MPLBACKEND"] = "agg"

# Machines are shared: how long an example takes says nothing. In CI the examples are the same at every run.
settings.register_profile(
    "pseudoword", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("pseudoword")

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
# The longest files begin first: otherwise one worker is left alone with them at the end.
FIRST = ("tests/studio/", "tests/cli/", "tests/attacks/", "tests/run/", "tests/training/")
WORTH_NAMING = ("torch", "transformers", "open_clip_torch", "diffusers", "safetensors", "pillow", "numpy")


def pytest_report_header() -> list[str]:
    """Which of requirements/ the installed packages fit, and their versions."""
    fitting = [name for name in ("standalone", "webui") if fits(REQUIREMENTS / f"{name}.in")]
    pins = f"those of requirements/{fitting[0]}.txt" if fitting else "of neither lock file in requirements/"
    versions = ", ".join(f"{name} {found}" for name in WORTH_NAMING if (found := installed(name)))
    return [f"packages: {pins}", f"  {versions}", "network: only this machine"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in `FIRST` before all others; those of a folder stay in their order."""
    items.sort(key=lambda item: [item.nodeid.startswith(folder) for folder in FIRST], reverse=True)


def fits(requirements: Path) -> bool:
    """Whether everything that a `.in` file pins is installed in that version."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    pinned = [wanted for line in lines if line and (wanted := Requirement(line)).specifier]
    pinned = [wanted for wanted in pinned if wanted.marker is None or wanted.marker.evaluate()]
    return all((found := installed(wanted.name)) and found.split("+")[0] in wanted.specifier for wanted in pinned)


def installed(name: str) -> str | None:
    """The installed version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors: more threads only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny CLIP model."""
    pytest.importorskip("open_clip")
    from tests.scoring.pictures import clip_folder

    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def scorings(tmp_path: Path, clip: Path) -> Iterator[Scorings]:
    """The scorings of a host whose CLIP model is the tiny one."""
    from pseudoword.jobs.scoring.scorings import Scorings
    from tests.jobs.small_scorings import scoring_host

    found = Scorings(scoring_host(tmp_path, clip))
    yield found
    found.end()


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Whatever tries to leave this machine fails at once and says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refusing(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", refusing(socket.socket.connect_ex))
        yield


def refusing(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    """`connect`, but only to this machine."""

    def connect_here(self: socket.socket, address: Any) -> Any:
        far = self.family in (socket.AF_INET, socket.AF_INET6)
        if far and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise PermissionError(f"a test tried to reach {address[0]}; tests run without a network")
        return connect(self, address)

    return connect_here
