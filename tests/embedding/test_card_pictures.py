"""The picture on a card can be had again, and a card that is made anew shows it as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pseudoword.embedding import Embedding, save_embedding
from pseudoword.embedding.card_picture import HEIGHT, WIDTH, draw_card, preview_of
from pseudoword.embedding.files import card_picture
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words
from tests.embedding.test_other_programs import ask, needs

ABOVE_THE_NAME = 440  # rows of a card


def photo(seed: int = 0, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """A picture in which no two places look the same."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["moon", "Ågård", "W" * 60]), st.integers(1, 9))
def test_a_card_that_is_drawn_anew_shows_the_very_same_picture(seed: int, name: str, count: int) -> None:
    shown = draw_card(words.sd1(), photo(seed))
    kept = preview_of(shown, words.sd1())
    assert kept is not None and kept.size == (WIDTH, WIDTH)
    again = draw_card(Embedding(name, words.sd1(count=count).vectors), kept)
    assert np.array_equal(np.asarray(again)[:ABOVE_THE_NAME], np.asarray(shown)[:ABOVE_THE_NAME])


def test_nothing_of_the_former_name_is_left(tmp_path: Path) -> None:
    black = Image.new("RGB", (9, 9))
    card = save_embedding(words.sd1("WWWWWW"), tmp_path / "a", "card", preview=black)
    kept = card_picture(card)
    assert kept is not None
    assert np.abs(np.asarray(kept, np.int64)).max() <= 3
    plain, again = (draw_card(words.sd1("i"), picture) for picture in (black, kept))
    assert np.abs(np.asarray(plain, np.int64) - np.asarray(again)).max() <= 3


@pytest.mark.parametrize("word", [words.sd1(), words.sd2(), words.sdxl()], ids=["SD 1", "SD 2", "SDXL"])
def test_a_pattern_of_the_vectors_is_no_picture_to_keep(word: Embedding, tmp_path: Path) -> None:
    assert card_picture(save_embedding(word, tmp_path / "a", "card")) is None
    assert card_picture(save_embedding(word, tmp_path / "b", "card", preview=photo())) is not None


def test_it_is_found_where_the_texts_of_the_picture_are_lost_and_where_the_hidden_part_is(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "a", "card", preview=photo())
    whole = card_picture(path)
    with Image.open(path) as card:
        assert isinstance(card, PngImagePlugin.PngImageFile)
        card.save(tmp_path / "pixels.png")
        texts = PngImagePlugin.PngInfo()
        for keyword, text in card.text.items():
            texts.add_text(keyword, text)
        left = (card.width - WIDTH) // 2
        card.crop((left, 0, left + WIDTH, HEIGHT)).save(tmp_path / "text.png", pnginfo=texts)
    for name in ("pixels.png", "text.png"):
        found = card_picture(tmp_path / name)
        assert whole is not None and found is not None and found.tobytes() == whole.tobytes()


def test_what_is_no_card_has_no_such_picture(tmp_path: Path) -> None:
    photo().save(tmp_path / "photo.png")
    for path in (save_embedding(words.sd1(), tmp_path / "w"), tmp_path / "photo.png", tmp_path / "nowhere.png"):
        with pytest.raises(EmbeddingFileError, match=path.name):
            card_picture(path)


@needs("PSEUDOWORD_WEBUI_DIR")
def test_a_card_of_a1111_is_shown_whole(tmp_path: Path) -> None:
    ask("a1111", "PSEUDOWORD_WEBUI_DIR", "write", tmp_path)
    expected = Image.linear_gradient("L").resize((512, 512)).convert("RGB")
    for name in ("both.png", "pixels.png", "text.png"):
        found = card_picture(tmp_path / name)
        assert found is not None and found.tobytes() == expected.tobytes()
