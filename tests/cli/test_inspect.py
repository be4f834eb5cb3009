"""`pseudoword inspect` on words of the tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pseudoword.cli import main
from pseudoword.embedding import Embedding, load_embedding, save_embedding
from tests import tiny_models


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("diffusers")
    return str(tiny_models.save_folder(tmp_path_factory.mktemp("inspect") / "tiny-model"))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder with two words, one of them twice, and something broken."""
    folder = tmp_path / "words"
    dog = tiny_models.text_model().get_input_embeddings().weight[tiny_models.tokenizer().tokenize("dog")].detach()
    save_embedding(Embedding("zxqv-dog", {"clip_l": dog + 0.001}), folder / "zxqv-dog.safetensors")
    save_embedding(Embedding("zxqv-two", {"clip_l": torch.ones(2, dog.shape[1])}), folder / "zxqv-two.pt", "pt")
    save_embedding(Embedding("zxqv-same", {"clip_l": torch.ones(2, dog.shape[1])}), folder / "zxqv-same.safetensors")
    (folder / "broken.pt").write_bytes(b"nothing")
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """What a program reads of a call: the result, or the error."""
    assert main(["inspect", *arguments, "--json"]) == code
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    return last["result"] if code == 0 else last["error"]


def test_a_word_near_another_is_told_with_its_plots(
    model: str, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, plots = str(words / "zxqv-dog.safetensors"), tmp_path / "plots"
    [word] = said(capsys, file, "--model", model, "--plots", str(plots))["words"]
    assert word["name"] == "zxqv-dog" and word["vectors"][0]["nearest"]["cosine"][0]["token"] == "dog"
    assert any("dog" in finding for finding in word["findings"])
    for path in plots.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width >= 600
    assert len(list(plots.glob("*.png"))) == 4 and len(list(plots.glob("*.csv"))) == 5


def test_a_folder_is_a_table_with_its_broken_files(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = said(capsys, str(words), "--sort", "name", "--csv", str(tmp_path / "table.csv"))
    text = json.dumps(table)
    assert all(name in text for name in ("zxqv-dog", "zxqv-two", "zxqv-same", "broken.pt"))
    assert (tmp_path / "table.csv").read_text().count("\n") == 5
    assert [row["name"] for row in said(capsys, str(words), "--search", "dog")["rows"]] == ["zxqv-dog"]


def test_a_prompt_is_shown_as_the_text_encoder_gets_it(
    model: str, words: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(capsys, str(words), "--model", model, "--prompt", "a photo of zxqv-two")
    assert shown["chunks"] == 1 and "zxqv-two" in [piece["text"] for piece in shown["pieces"]]


def test_a_word_is_made_of_others_and_what_was_there_is_kept(
    model: str, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ["--expression", "0.5*zxqv-two + dog", "--output", str(tmp_path / "made.safetensors"), "--model", model]
    assert said(capsys, str(words), *made)["vectors"] == 2
    assert load_embedding(tmp_path / "made.safetensors").vector_count == 2
    assert "already exists" in said(capsys, str(words), *made, code=1)
    said(capsys, str(words), *made, "--overwrite")
    assert (tmp_path / "made.safetensors.former").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "nothing to look into"),
        (["nowhere.safetensors"], "nowhere.safetensors"),
        (["--expression", "dog"], "--output"),
        (["--expression", "dog +", "--output", "x.safetensors"], "^"),
    ],
)
def test_what_cannot_be_is_said(
    model: str, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in said(capsys, *arguments, "--model", model, code=1)
