"""Every host keeps to the contract; the WebUI's is held to it in `tests.webui`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pseudoword.diffusion import DiffusionModel
from tests import tiny_models
from tests.hosts.contract import CONTRACT


def standalone(folder: Path) -> DiffusionModel:
    pytest.importorskip("diffusers")
    from pseudoword.hosts.diffusers import load_model

    return load_model(tiny_models.save_folder(folder / "tiny-model"))


HOSTS: dict[str, Callable[[Path], DiffusionModel]] = {
    "standalone": standalone,
    "tiny": lambda folder: tiny_models.TinyModel(),
    "tiny, v-prediction": lambda folder: tiny_models.TinyModel("v"),
}


@pytest.mark.parametrize("promise", CONTRACT)
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_keeps_its_promises(host: str, promise: Callable[[DiffusionModel], None], tmp_path: Path) -> None:
    promise(HOSTS[host](tmp_path))
