"""CLIP models are fetched when somebody asks for it: how far that is can be seen, and it can be ended at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pseudoword.errors import SettingsError
from pseudoword.jobs.scoring.clip_downloads import ClipDownloads, Download
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.turns import Turns
from pseudoword.scoring.clip_files import tokenizing
from pseudoword.scoring.downloading import from_address
from pseudoword.scoring.models import text_settings_of
from tests.architecture.source import ROOT
from tests.jobs.small_host import wait_until
from tests.scoring.small_hub import PIECE, SmallHub, small_hub

pytest.importorskip("open_clip")

NAME, REPOSITORY = "ViT-B-32:laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
WEIGHTS = save({"weight": torch.arange(6_000_000, dtype=torch.float32)})  # 24 MB: the client reads 10 at a time
SIGLIP, SIGLIP_REPOSITORY = "ViT-B-16-SigLIP:webli", "timm/ViT-B-16-SigLIP"
FILES = {
    f"/{REPOSITORY}/resolve/main/{name}": WEIGHTS
    for name in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """The hub that downloads of this test go to; what they bring lies in the test's own folder."""
    with small_hub(FILES) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


@pytest.fixture
def downloads() -> Iterator[ClipDownloads]:
    found = ClipDownloads(ClipModels(Turns()))
    yield found
    found.end()


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What downloads of this test bring is what is on this disk."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub" / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub" / "hub"), raising=False)


def tokenizer_files() -> dict[str, bytes]:
    """A tokenizer of three words, as Hugging Face's package writes it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1, "cat": 2, "dog": 3}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    return {"tokenizer.json": words.to_str().encode(), "tokenizer_config.json": json.dumps(config).encode()}


def latest(downloads: ClipDownloads) -> Download:
    assert downloads.latest is not None
    return downloads.latest


def ended(downloads: ClipDownloads) -> Download:
    wait_until(lambda: latest(downloads).state != "downloading")
    return latest(downloads)


def fetched_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == WEIGHTS]


def test_it_is_told_how_far_it_is_and_the_file_is_there_in_the_end(
    hub: SmallHub, downloads: ClipDownloads, tmp_path: Path
) -> None:
    hub.leave.clear()
    downloads.start(NAME)
    wait_until(lambda: (latest(downloads).done or 0) > 0)
    on_the_way = latest(downloads)
    assert on_the_way.state == "downloading" and on_the_way.total == len(WEIGHTS)
    assert on_the_way.done is not None and on_the_way.done <= hub.before_waiting < len(WEIGHTS)
    with pytest.raises(SettingsError, match=f"{NAME} is being downloaded"):
        downloads.start("ViT-L-14:openai")
    assert not fetched_below(tmp_path)
    hub.leave.set()
    end = ended(downloads)
    assert (end.state, end.message) == ("finished", f"{NAME} is on this disk now.")
    assert fetched_below(tmp_path)


def test_it_is_cancelled_while_the_network_keeps_it_waiting_and_asked_for_again(
    hub: SmallHub, downloads: ClipDownloads, tmp_path: Path
) -> None:
    hub.leave.clear()
    downloads.start(NAME)
    wait_until(lambda: (latest(downloads).done or 0) > 0)
    downloads.cancel()
    assert (latest(downloads).state, latest(downloads).message) == (
        "cancelled",
        f"The download of {NAME} was cancelled.",
    )
    assert not fetched_below(tmp_path)
    with pytest.raises(SettingsError, match="Nothing is being downloaded"):
        downloads.cancel()
    hub.leave.set()
    downloads.start(NAME)
    assert ended(downloads).state == "finished" and fetched_below(tmp_path)


def test_a_hub_that_has_no_such_file_is_told(hub: SmallHub, downloads: ClipDownloads, tmp_path: Path) -> None:
    hub.files.clear()
    downloads.start(NAME)
    end = ended(downloads)
    assert end.state == "failed" and end.message.startswith(f"{NAME} could not be downloaded")
    assert "try again" in end.message and not fetched_below(tmp_path)


def test_a_model_comes_with_the_tokenizer_that_it_needs_and_is_not_here_without_it(
    hub: SmallHub, downloads: ClipDownloads, fetched: None, tmp_path: Path
) -> None:
    if not text_settings_of("ViT-B-16-SigLIP").get("hf_tokenizer_name"):
        pytest.skip("this open_clip does not know that model")
    place, files = f"/{SIGLIP_REPOSITORY}/resolve/main/", tokenizer_files()
    hub.files = {place + name: WEIGHTS for name in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")}
    clips = ClipModels(Turns())
    downloads.start(SIGLIP)
    end = ended(downloads)  # before the gigabytes of its weights, which alone are of no use
    assert end.state == "failed" and "tokenizer_config.json" in end.message and not fetched_below(tmp_path)
    hub.files |= {place + name: content for name, content in files.items()}
    downloads.start(SIGLIP)
    assert ended(downloads).state == "finished" and fetched_below(tmp_path)
    assert clips.default().name == SIGLIP
    tokenizer = tokenizing(text_settings_of("ViT-B-16-SigLIP"), None)
    assert tokenizer.frame("Dog, cat")[:3] == [3, 2, 0] and tokenizer.count("a dog") == 2
    for path in tmp_path.rglob("tokenizer_config.json"):
        path.unlink()
    assert clips.default().name == "pseudoword-mini"
    assert SIGLIP in [model.name for model in clips.elsewhere()]


def test_a_model_that_could_not_be_used_is_refused_before_it_is_fetched(
    hub: SmallHub, downloads: ClipDownloads, tmp_path: Path
) -> None:
    downloads.start("roberta-ViT-B-32:laion2b_s12b_b32k")
    end = ended(downloads)
    assert end.state == "failed" and "its text tower lies on a server" in end.message


def test_what_cannot_be_downloaded_is_told_at_once(downloads: ClipDownloads) -> None:
    assert downloads.latest is None
    with pytest.raises(SettingsError, match="on this disk already"):
        downloads.start("pseudoword-mini")
    with pytest.raises(SettingsError, match="No model is chosen"):
        downloads.start("")


def test_the_command_line_fetches_it_too(hub: SmallHub, tmp_path: Path) -> None:
    hub.files = {path: content[: 4 * PIECE] for path, content in FILES.items()}
    program = [sys.executable, "-m", "pseudoword", "score", "--download-clip", NAME, "--json"]
    answer = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout.splitlines()[-1])["result"]
    assert told["name"] == NAME and Path(told["weights"]).read_bytes() == next(iter(hub.files.values()))


def test_a_file_at_an_address_lies_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with small_hub({"/RN50.pt": WEIGHTS}) as hub:
        assert from_address(f"{hub.address}/RN50.pt", tmp_path).read_bytes() == WEIGHTS
        assert [path.name for path in tmp_path.iterdir()] == ["RN50.pt"]
        os.remove(tmp_path / "RN50.pt")
        with pytest.raises(Exception, match="404"):
            from_address(f"{hub.address}/gone.pt", tmp_path)
        assert not list(tmp_path.iterdir())


def test_the_end_of_the_program_ends_it(hub: SmallHub, downloads: ClipDownloads) -> None:
    hub.before_waiting = PIECE
    hub.leave.clear()
    downloads.start(NAME)
    downloads.end()
    assert latest(downloads).state == "cancelled"
