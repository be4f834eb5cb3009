"""Our figures beside those of other extensions that look into embeddings, on the same files in the real WebUI.

PSEUDOWORD_PEERS_DIR names a folder with the script of one or both: `embedding_inspector.py` (tkalayci71/
embedding-inspector) and `embedding_merge.py` (klimaleksus/stable-diffusion-webui-embedding-merge).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.webui.place import Webui

PEERS = os.environ.get("PSEUDOWORD_PEERS_DIR", "")
PROGRAM = Path(__file__).with_name("inside_peers.py")
FAMILIES = {"Stable Diffusion 1": "pseudoword-mini", "Stable Diffusion 2": "random-sd2", "SDXL": "random-sdxl"}
KNOWN_BY_INSPECTOR = ["Stable Diffusion 1", "Stable Diffusion 2"]
SINGLE_PRECISION = 1e-6  # what numbers about 1 differ by that were computed in float32


def needs(script: str) -> pytest.MarkDecorator:
    """Skips where the script is not there."""
    is_there = PEERS and (Path(PEERS) / script).is_file()
    return pytest.mark.skipif(not is_there, reason=f"PSEUDOWORD_PEERS_DIR names no folder with {script}")


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The largest differences by checkpoint and extension; all are found in one process."""
    webui = Webui.named()
    data = webui.furnished(tmp_path_factory.mktemp("webui"), with_extension=False)
    clip = data / "models" / "Stable-diffusion" / "pseudoword-mini" / "tokenizer"
    job = {"clip": str(clip), "open_clip": "ViT-S-32-alt", "checkpoints": list(FAMILIES.values())}
    return webui.run(data, PROGRAM, {**job, "peers": str(Path(PEERS).resolve())})


@needs("embedding_inspector.py")
@pytest.mark.parametrize("family", KNOWN_BY_INSPECTOR)
def test_nearest_tokens_and_lengths_are_those_of_embedding_inspector(family: str, differences: Any) -> None:
    found = differences[FAMILIES[family]]["embedding-inspector"]
    assert found["tokens"] == 30 * 7
    assert found["their cosines' difference there"] < SINGLE_PRECISION  # of equals, theirs are in any order
    assert max(found["cosine"], found["norm"]) < SINGLE_PRECISION
    assert found["minimum and maximum"] == 0


@needs("embedding_inspector.py")
@pytest.mark.parametrize("family", KNOWN_BY_INSPECTOR)
def test_a_sum_is_what_embedding_inspector_mixes(family: str, differences: Any) -> None:
    assert differences[FAMILIES[family]]["embedding-inspector's mixer"]["number"] < SINGLE_PRECISION


@needs("embedding_merge.py")
@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_are_those_in_embedding_merge_s_tables(family: str, differences: Any) -> None:
    found = differences[FAMILIES[family]]["embedding-merge"]
    sums = {name: found.pop(name) for name in ("sum", "absolute sum")}  # of hundreds of numbers
    assert max(found.values()) < SINGLE_PRECISION and max(sums.values()) < 100 * SINGLE_PRECISION


@needs("embedding_merge.py")
@pytest.mark.parametrize("family", FAMILIES)
def test_arithmetic_gives_what_embedding_merge_s_expressions_give(family: str, differences: Any) -> None:
    found = differences[FAMILIES[family]]["embedding-merge's expressions"]
    assert len(found) == 6 and max(found.values()) < SINGLE_PRECISION
