"""Other programs load what we write, and we read what they write: asked of their own code, not of ours.

A1111, ComfyUI and Forge are no packages. To run their tests, name the folder of each (its repository, checked out):
PSEUDOWORD_WEBUI_DIR, PSEUDOWORD_COMFYUI_DIR, PSEUDOWORD_FORGE_DIR. Each runs in a process of its own, since they
replace torch.load; ComfyUI needs einops, psutil, sentencepiece and torchsde, which PYTHONPATH may name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pseudoword.embedding import Embedding, FileFormat, load_embedding, save_embedding
from pseudoword.embedding.optimiser_file import load_moments
from tests import tiny_models
from tests.embedding import words

PEERS = Path(__file__).parent / "peers"
WRITTEN: list[tuple[FileFormat, str]] = [
    ("safetensors", ""),
    ("pt", ""),
    ("diffusers", ".bin"),
    ("diffusers", ".safetensors"),
]
IDS = ["safetensors", "pt", "diffusers bin", "diffusers safetensors"]


def ask(program: str, variable: str, *arguments: object) -> None:
    """Runs the script of `program` in the folder that the environment `variable` names."""
    command = [sys.executable, str(PEERS / f"{program}.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd=os.environ[variable], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Error" not in done.stderr and "error" not in done.stderr, done.stderr[-2000:]


def needs(variable: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not os.environ.get(variable), reason=f"{variable} does not name a folder with that program"
    )


def a1111_finds(folder: Path, width: int, result: Path) -> dict[str, Any]:
    ask("a1111", "PSEUDOWORD_WEBUI_DIR", "load", folder, width, result)
    found: dict[str, Any] = torch.load(result, weights_only=False)
    return found


def forge_finds(folder: Path, width: int, result: Path) -> dict[str, Any]:
    ask("forge", "PSEUDOWORD_FORGE_DIR", folder, width, result)
    found: dict[str, Any] = torch.load(result, weights_only=False)
    return found


def write_in_all_formats(word: Embedding, folder: Path, half: bool = False) -> None:
    """One file per format; file and word get the same name, which says the format."""
    folder.mkdir()
    for format, suffix in [*WRITTEN, ("card", "")]:
        name = f"{format}{suffix.replace('.', '-')}"
        renamed = Embedding(name, word.vectors, word.metadata)
        save_embedding(renamed, folder / f"{name}{suffix}", format, half=half)
    with Image.open(folder / "card.png") as card:
        card.save(folder / "pixels.png")


WEBUIS = pytest.mark.parametrize(
    "finds",
    [
        pytest.param(a1111_finds, marks=needs("PSEUDOWORD_WEBUI_DIR"), id="A1111"),
        pytest.param(forge_finds, marks=needs("PSEUDOWORD_FORGE_DIR"), id="Forge"),
    ],
)
NAMES = {"safetensors", "pt", "diffusers-bin", "diffusers-safetensors", "card"}


@WEBUIS
@pytest.mark.parametrize(("word", "width"), [(words.sd1(), 768), (words.sd2(), 1024)], ids=["SD 1", "SD 2"])
def test_the_webuis_find_our_words_in_every_format(finds: Any, word: Embedding, width: int, tmp_path: Path) -> None:
    write_in_all_formats(word, tmp_path / "words")
    (tmp_path / "words" / "card.png").rename(tmp_path / "words" / "text.png")
    found = finds(tmp_path / "words", width, tmp_path / "result")
    # Both cards say inside that they are called "card".
    assert set(found) == NAMES
    (vectors,) = word.vectors.values()
    assert all(torch.equal(entry["vectors"], vectors) for entry in found.values())


@WEBUIS
def test_the_webuis_find_our_sdxl_words_in_every_format(finds: Any, tmp_path: Path) -> None:
    word = words.sdxl()
    write_in_all_formats(word, tmp_path / "words")
    found = finds(tmp_path / "words", 768 + 1280, tmp_path / "result")
    assert set(found) == NAMES | {"pixels"}  # a card of SDXL has no place for its name: it is called as its file
    for entry in found.values():
        assert all(torch.equal(entry["vectors"][encoder], word.vectors[encoder]) for encoder in word.vectors)


@WEBUIS
@pytest.mark.parametrize("word", [words.sd1(), words.sdxl()], ids=["SD 1", "SDXL"])
def test_the_webuis_find_our_words_of_16_bits_in_every_format(finds: Any, word: Embedding, tmp_path: Path) -> None:
    write_in_all_formats(word, tmp_path / "words", half=True)
    (tmp_path / "words" / "pixels.png").unlink()
    found = finds(tmp_path / "words", sum(rows.shape[1] for rows in word.vectors.values()), tmp_path / "result")
    assert set(found) == NAMES
    for entry in found.values():
        by_encoder = entry["vectors"] if len(word.vectors) > 1 else {"clip_l": entry["vectors"]}
        assert all(torch.equal(by_encoder[e].float(), rows.half().float()) for e, rows in word.vectors.items())


@needs("PSEUDOWORD_WEBUI_DIR")
def test_a1111_shows_what_we_know_about_a_pt(tmp_path: Path) -> None:
    write_in_all_formats(words.sd1(), tmp_path / "words")
    for name, entry in a1111_finds(tmp_path / "words", 768, tmp_path / "result").items():
        assert entry["count"] == 3 and len(entry["hash"]) == 64
        if name in ("pt", "card"):
            assert (entry["step"], entry["sd_checkpoint"], entry["sd_checkpoint_name"]) == (
                1200, "0123456789", "model-v1.safetensors"
            )  # fmt: skip


@needs("PSEUDOWORD_WEBUI_DIR")
def test_we_read_what_a1111s_own_training_writes(tmp_path: Path) -> None:
    ask("a1111", "PSEUDOWORD_WEBUI_DIR", "write", tmp_path)
    vectors = torch.load(tmp_path / "vectors", weights_only=True)
    for name in ("word.pt", "both.png", "pixels.png", "text.png"):
        word = load_embedding(tmp_path / name)
        assert word.name == "word" and torch.equal(word.vectors["clip_l"], vectors)
        assert (word.metadata.steps, word.metadata.trained_on) == (250, "model-v1")


@needs("PSEUDOWORD_WEBUI_DIR")
def test_we_read_what_a1111s_own_training_keeps_of_its_optimiser(tmp_path: Path) -> None:
    ask("a1111", "PSEUDOWORD_WEBUI_DIR", "write", tmp_path)
    moments = load_moments(tmp_path / "word.pt.optim", load_embedding(tmp_path / "word.pt").vectors["clip_l"])
    assert moments["step"].item() == 1
    assert torch.allclose(moments["exp_avg"], torch.full((3, 768), 0.1))  # after one gradient of ones
    assert torch.allclose(moments["exp_avg_sq"], torch.full((3, 768), 0.001))


@needs("PSEUDOWORD_WEBUI_DIR")
def test_we_read_the_card_that_a1111_ships_as_its_own_test() -> None:
    word = load_embedding(Path(os.environ["PSEUDOWORD_WEBUI_DIR"]) / "modules/textual_inversion/test_embedding.png")
    assert word.vector_count >= 1 and word.architecture == "sd1"


@needs("PSEUDOWORD_COMFYUI_DIR")
@pytest.mark.parametrize("word", [words.sd1(), words.sd2(), words.sdxl()], ids=["SD 1", "SD 2", "SDXL"])
def test_comfyui_loads_our_words_in_every_format_by_name_with_and_without_suffix(
    word: Embedding, tmp_path: Path
) -> None:
    write_in_all_formats(word, tmp_path / "words")
    for card in (tmp_path / "words").glob("*.png"):
        card.unlink()  # ComfyUI reads no cards
    width = next(iter(word.vectors.values())).shape[1]
    ask("comfyui", "PSEUDOWORD_COMFYUI_DIR", tmp_path / "words", width, tmp_path / "result")
    found = torch.load(tmp_path / "result", weights_only=False)
    assert len(found) == 8
    for by_key in found.values():
        for encoder, vectors in word.vectors.items():
            key = "clip_h" if encoder == "open_clip_h" else encoder
            assert torch.equal(by_key[key], vectors)


# --- diffusers --------------------------------------------------------------------------------------------------------


def pipeline() -> Any:
    """diffusers' real pipeline around the tiny models."""
    diffusers = pytest.importorskip("diffusers")
    from transformers import CLIPTokenizer

    unet, vae = tiny_models.diffusers_parts()
    parts = {
        "unet": unet,
        "vae": vae,
        "text_encoder": tiny_models.text_model(),
        "tokenizer": clip_tokenizer(CLIPTokenizer),
    }
    parts |= {"scheduler": diffusers.DDIMScheduler(), "safety_checker": None, "feature_extractor": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False)


def clip_tokenizer(kind: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tiny_models.save_tokenizer(Path(folder))
        return kind.from_pretrained(folder)


def learned(pipe: Any, first_token: str, count: int) -> torch.Tensor:
    """The rows that the text encoder now has for a word of `count` vectors."""
    tokens = [first_token, *(f"{first_token}_{n}" for n in range(1, count))]
    table: torch.Tensor = pipe.text_encoder.get_input_embeddings().weight
    return table[pipe.tokenizer.convert_tokens_to_ids(tokens)].detach()


@pytest.mark.parametrize("half", [False, True], ids=["32 bits", "16 bits"])
@pytest.mark.parametrize(("format", "suffix"), WRITTEN, ids=IDS)
def test_diffusers_loads_our_word_and_calls_it_as_we_do(
    format: FileFormat, suffix: str, half: bool, tmp_path: Path
) -> None:
    pipe = pipeline()
    word = Embedding("moon-cat", {"clip_l": words.vectors(3, tiny_models.WIDTH)}, words.FACTS)
    pipe.load_textual_inversion(str(save_embedding(word, tmp_path / f"file{suffix}", format, half=half)))
    rows = word.vectors["clip_l"]
    assert torch.equal(learned(pipe, "moon-cat", 3), rows.half().float() if half else rows)


def test_diffusers_loads_a_whole_folder_of_ours_by_its_default_file_name(tmp_path: Path) -> None:
    pipe = pipeline()
    word = Embedding("moon-cat", {"clip_l": words.vectors(1, tiny_models.WIDTH)})
    save_embedding(word, tmp_path / "learned_embeds.safetensors", "diffusers")
    pipe.load_textual_inversion(str(tmp_path))
    assert torch.equal(learned(pipe, "moon-cat", 1), word.vectors["clip_l"])


def test_diffusers_loads_both_encoders_of_our_sdxl_word(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    pipe = pipeline()
    word = Embedding(
        "moon-cat", {name: words.vectors(2, tiny_models.WIDTH, seed) for seed, name in enumerate(["clip_l", "clip_g"])}
    )
    tensors = load_file(save_embedding(word, tmp_path / "word"))
    # As its documentation for SDXL says: one call per encoder, with the tensor of that encoder.
    for encoder in ("clip_l", "clip_g"):
        pipe.load_textual_inversion(
            tensors[encoder], token=f"word-{encoder}", text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer
        )
        assert torch.equal(learned(pipe, f"word-{encoder}", 2), word.vectors[encoder])


def test_we_read_what_diffusers_own_example_writes(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    pipe = pipeline()
    pipe.load_textual_inversion({"<cat-toy>": words.vectors(1, tiny_models.WIDTH)[0]})
    learned_embeds = learned(pipe, "<cat-toy>", 1).contiguous()
    # The last lines of its examples/textual_inversion: metadata and a single key, the placeholder token.
    save_file({"<cat-toy>": learned_embeds}, tmp_path / "learned_embeds.safetensors", metadata={"format": "pt"})
    word = load_embedding(tmp_path / "learned_embeds.safetensors")
    assert word.name == "<cat-toy>" and torch.equal(word.vectors["clip_l"], learned_embeds)
