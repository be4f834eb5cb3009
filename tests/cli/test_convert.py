"""`pseudoword convert`: from any format to any other, beside the file or elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pseudoword.embedding import SUFFIXES, Embedding, load_embedding, save_embedding
from tests.cli.small_world import World

VECTORS = torch.linspace(-1, 1, 2 * 768).reshape(2, 768)


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    return save_embedding(Embedding("my-cat", {"clip_l": VECTORS}), tmp_path / "my-cat.safetensors")


@pytest.mark.parametrize("format", ["pt", "diffusers", "card"])
def test_every_format_is_written_beside_the_file(world: World, file: Path, format: str) -> None:
    answer = world.run("convert", file, "--to", format, "--json")
    path = Path(answer.result["path"])
    assert path.parent == file.parent and path.suffix in SUFFIXES[format]  # type: ignore[index]
    assert answer.result | {"path": ""} == {
        **{"path": "", "format": format, "word": "my-cat"},
        **{"vectors": 2, "architecture": "sd1"},
    }
    torch.testing.assert_close(load_embedding(path).vectors["clip_l"], VECTORS, rtol=1e-3, atol=1e-3)


def test_a_card_shows_the_picture_that_is_given(world: World, file: Path) -> None:
    Image.new("RGB", (40, 60), "red").save("red.jpg")
    shown = world.run("convert", file, "--to", "card", "--preview", "red.jpg", "--output", "red.png", "--json").result
    plain = world.run("convert", file, "--to", "card", "--json").result
    with Image.open(shown["path"]) as red, Image.open(plain["path"]) as pattern:
        middle = red.height // 3, red.width // 2
        assert np.allclose(np.asarray(red)[middle], (255, 0, 0), atol=8)
        assert not np.allclose(np.asarray(pattern)[middle], (255, 0, 0), atol=8)
    torch.testing.assert_close(load_embedding(Path(shown["path"])).vectors["clip_l"], VECTORS)


def test_a_card_keeps_its_picture(world: World, file: Path) -> None:
    Image.new("RGB", (40, 60), "red").save("red.jpg")
    world.run("convert", file, "--to", "card", "--preview", "red.jpg")
    shown = world.run("convert", "my-cat.png", "--to", "card", "--half", "--output", "again.png", "--json").result
    with Image.open(shown["path"]) as again:
        assert np.allclose(np.asarray(again)[again.height // 3, again.width // 2], (255, 0, 0), atol=8)


@pytest.mark.parametrize("format", ["safetensors", "pt", "diffusers"])
def test_numbers_of_16_bits_take_half_the_room(world: World, file: Path, format: str) -> None:
    whole, half = (
        Path(world.run("convert", file, "--to", format, "--output", name, *flags, "--json").result["path"])
        for name, flags in (("whole", ()), ("half", ("--half",)))
    )
    assert abs(whole.stat().st_size - half.stat().st_size - 2 * VECTORS.numel()) <= 128
    assert torch.equal(load_embedding(half).vectors["clip_l"], VECTORS.half().float())


def test_a_file_that_exists_is_kept_unless_it_may_be_overwritten(world: World, file: Path) -> None:
    answer = world.run("convert", file, "--to", "safetensors")
    assert answer.code == 1
    assert "already exists" in answer.err
    assert world.run("convert", file, "--to", "safetensors", "--overwrite").code == 0


def test_the_output_may_be_elsewhere_and_is_named(world: World, file: Path) -> None:
    answer = world.run("convert", file, "--to", "pt", "--output", "else/where.pt")
    assert Path("else/where.pt").is_file()
    assert f"{Path('else/where.pt')}: the word my-cat, 2 vectors, for sd1" in answer.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing.pt", "--to", "pt"], 1, "nothing.pt cannot be read"),
        (["my-cat.safetensors", "--to", "pt", "--output", "x.png"], 1, "x.png ends with .png"),
        (["my-cat.safetensors", "--to", "doc"], 2, "invalid choice: 'doc'"),
        (["my-cat.safetensors"], 2, "required: --to"),
        (["vast.safetensors", "--to", "pt", "--half"], 1, "vast has values up to 70000, and fp16 ends at 65504"),
        (["my-cat.safetensors", "--to", "pt", "--preview", "x.jpg"], 1, "--preview is what a card shows"),
        (["my-cat.safetensors", "--to", "card", "--preview", "x.jpg"], 1, "The preview x.jpg cannot be used"),
    ],
)
def test_mistakes_are_named(world: World, file: Path, arguments: list[str], code: int, said: str) -> None:
    save_embedding(Embedding("vast", {"clip_l": torch.full((1, 768), 70_000.0)}), Path("vast"))
    answer = world.run("convert", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
