"""Every form of embedding files in the wild is read, whatever the file is called."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from pseudoword.embedding import Embedding, load_embedding, save_embedding
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words

ONE = words.vectors(2, 768, seed=3)
LARGE = words.vectors(2, 1280, seed=4)


def a1111(value: object) -> dict[str, Any]:
    """What A1111's trainer saves."""
    facts = {"name": "moon", "step": 250, "sd_checkpoint": "0123456789", "sd_checkpoint_name": "model-v1"}
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": value}, **facts}


def saved(path: Path, value: object, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("new_zip", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize(
    "value", [ONE, ONE.clone().requires_grad_(), torch.nn.Parameter(ONE)], ids=["tensor", "leaf", "parameter"]
)
def test_a1111s_pt_is_read_with_its_facts(value: torch.Tensor, new_zip: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pt", a1111(value), _use_new_zipfile_serialization=new_zip)
    embedding = load_embedding(path)
    assert torch.equal(embedding.vectors["clip_l"], ONE)
    assert (embedding.name, embedding.architecture, embedding.vector_count) == ("moon", "sd1", 2)
    assert embedding.metadata.steps == 250
    assert embedding.metadata.trained_on == "model-v1" and embedding.metadata.trained_on_sha256 == "0123456789"


def test_the_papers_own_pt_with_a_parameter_dict_is_read(tmp_path: Path) -> None:
    content = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": torch.nn.ParameterDict({"*": ONE})}
    assert torch.equal(load_embedding(saved(tmp_path / "old.pt", content)).vectors["clip_l"], ONE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_that_torch_saves_with_is_read(protocol: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "word.pt", a1111(torch.nn.Parameter(ONE)), pickle_protocol=protocol)
    assert torch.equal(load_embedding(path).vectors["clip_l"], ONE)


def test_diffusers_bin_is_read_and_its_only_key_is_the_word(tmp_path: Path) -> None:
    path = saved(tmp_path / "learned_embeds.bin", {"<moon-cat>": ONE[0]})
    embedding = load_embedding(path)
    assert embedding.name == "<moon-cat>" and torch.equal(embedding.vectors["clip_l"], ONE[:1])


def test_diffusers_safetensors_is_read(tmp_path: Path) -> None:
    save_file({"<moon-cat>": ONE}, tmp_path / "learned_embeds.safetensors")
    embedding = load_embedding(tmp_path / "learned_embeds.safetensors")
    assert embedding.name == "<moon-cat>" and torch.equal(embedding.vectors["clip_l"], ONE)


def test_kohyas_emb_params_are_read_and_the_word_is_the_files_name(tmp_path: Path) -> None:
    facts = {"ss_steps": "10", "modelspec.title": "Moon", "sshs_model_hash": "of other bytes"}
    save_file({"emb_params": ONE}, tmp_path / "moon-cat.safetensors", metadata=facts)
    embedding = load_embedding(tmp_path / "moon-cat.safetensors")
    assert embedding.name == "moon-cat" and torch.equal(embedding.vectors["clip_l"], ONE)
    assert embedding.metadata.title == "Moon" and embedding.metadata.extra == {"ss_steps": "10"}


@pytest.mark.parametrize("keys", [("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_sdxls_two_encoders_are_read(keys: tuple[str, str], suffix: str, tmp_path: Path) -> None:
    content, path = dict(zip(keys, (ONE, LARGE), strict=True)), tmp_path / f"xl{suffix}"
    save_file(content, path) if suffix == ".safetensors" else torch.save(content, path)
    embedding = load_embedding(path)
    assert embedding.architecture == "sdxl" and embedding.name == "xl"
    assert torch.equal(embedding.vectors["clip_l"], ONE) and torch.equal(embedding.vectors["clip_g"], LARGE)


@pytest.mark.parametrize(
    ("width", "encoder", "architecture"),
    [(768, "clip_l", "sd1"), (1024, "open_clip_h", "sd2"), (1280, "clip_g", "sdxl"), (128, "clip_l", "sd1")],
)
def test_the_width_tells_the_encoder_where_the_file_does_not(
    width: int, encoder: str, architecture: str, tmp_path: Path
) -> None:
    save_file({"emb_params": words.vectors(1, width)}, tmp_path / "word.safetensors")
    embedding = load_embedding(tmp_path / "word.safetensors")
    assert set(embedding.vectors) == {encoder} and embedding.architecture == architecture


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_numbers_of_every_precision_become_float32(dtype: torch.dtype, suffix: str, tmp_path: Path) -> None:
    path, stored = tmp_path / f"word{suffix}", ONE.to(dtype)
    save_file({"w": stored}, path) if suffix == ".safetensors" else torch.save({"w": stored}, path)
    assert torch.equal(load_embedding(path).vectors["clip_l"], stored.float())


def test_rows_of_a_larger_tensor_a_transposed_one_and_an_ordered_dict_are_read(tmp_path: Path) -> None:
    table = words.vectors(10, 768)
    assert torch.equal(load_embedding(saved(tmp_path / "a.pt", {"w": table[4:6]})).vectors["clip_l"], table[4:6])
    turned = table.t().contiguous().t()[:3]
    assert torch.equal(load_embedding(saved(tmp_path / "b.pt", {"w": turned})).vectors["clip_l"], turned)
    content = OrderedDict(w=table)
    assert torch.equal(load_embedding(saved(tmp_path / "c.pt", content)).vectors["clip_l"], table)


def test_a_bare_tensor_is_read(tmp_path: Path) -> None:
    assert torch.equal(load_embedding(saved(tmp_path / "bare.bin", ONE)).vectors["clip_l"], ONE)


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "word.safetensors")
    for suffix in (".pt", ".png", ".ckpt", ""):
        assert words.same_vectors(load_embedding(path.rename(tmp_path / f"w{suffix}")), words.sd1())
        path = tmp_path / f"w{suffix}"


def test_a_card_with_only_the_text_is_read_from_any_picture(tmp_path: Path) -> None:
    content = {"string_to_param": {"*": {"TORCHTENSOR": ONE.tolist()}}, "name": "moon", "step": 9}
    info = PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(json.dumps(content).encode()).decode())
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        Image.new(mode, (8, 8)).save(tmp_path / "card.png", pnginfo=info)
        embedding = load_embedding(tmp_path / "card.png")
        assert embedding.name == "moon" and torch.equal(embedding.vectors["clip_l"], ONE)
        assert embedding.metadata.steps == 9


@pytest.mark.parametrize("word", [words.sd1(), words.sdxl(), words.sd1(count=75)], ids=["SD 1", "SDXL", "75 vectors"])
def test_a_card_that_lost_its_texts_is_read_from_its_pixels(word: Embedding, tmp_path: Path) -> None:
    path = save_embedding(word, tmp_path / "card", "card")
    for mode in ("RGB", "RGBA"):
        with Image.open(path) as card:
            card.convert(mode).save(tmp_path / "bare.png")
        with Image.open(tmp_path / "bare.png") as bare:
            assert not getattr(bare, "text", None)
        assert words.same_vectors(load_embedding(tmp_path / "bare.png"), word)


def test_a_card_with_a_black_frame_around_it_is_read(tmp_path: Path) -> None:
    with Image.open(save_embedding(words.sd1(), tmp_path / "card", "card")) as card:
        framed = Image.new("RGB", (card.width + 30, card.height + 30))
        framed.paste(card, (10, 20))
    framed.save(tmp_path / "framed.png")
    assert words.same_vectors(load_embedding(tmp_path / "framed.png"), words.sd1())


@pytest.mark.parametrize(
    "picture", [Image.new("RGB", (64, 64)), Image.new("L", (9, 9), 200), Image.effect_noise((80, 60), 90)]
)
def test_a_picture_without_an_embedding_is_said_to_have_none(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "preview.png")
    with pytest.raises(EmbeddingFileError, match="preview.png .* no embedding is in this picture"):
        load_embedding(tmp_path / "preview.png")


@pytest.mark.parametrize("stored", ["../../evil", "a/b", "C:\\x", "tab\tname", "", "x" * 500])
def test_a_stored_name_that_could_be_a_path_is_not_taken(stored: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.pt", a1111(ONE) | {"name": stored})
    assert load_embedding(path).name == "plain"
