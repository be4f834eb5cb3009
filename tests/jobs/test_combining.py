"""Expressions in the vocabulary of the loaded model, or in that of a checkpoint file that fits what they name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pseudoword.diffusion import LoadedEncoders
from pseudoword.embedding import Embedding
from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect.expression import names_in
from pseudoword.inspect.expression_parser import parse
from pseudoword.jobs.library.combining import combine, ingredients_of
from pseudoword.jobs.library.inspector import Inspector
from tests.jobs.small_library import library_host, put, rows, shelf_of, toy
from tests.tiny_models import VOCABULARY_SIZE

SD1 = {"clip_l": rows(VOCABULARY_SIZE, 768)}
SDXL = {"clip_l": rows(VOCABULARY_SIZE, 768, seed=1), "clip_g": rows(VOCABULARY_SIZE, 1280)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "embeddings").mkdir()
    return tmp_path / "embeddings"


def test_names_are_found_wherever_they_stand() -> None:
    tree = parse('a + 2*{b}[0] - mean(-c, "d", slerp(e, (f), 0.5))/3')
    assert list(names_in(tree)) == ["a", "b", "c", "e", "f"]


def test_an_expression_is_computed_in_the_vocabulary_of_the_loaded_model(folder: Path) -> None:
    put(folder, toy("zonk"))
    host = library_host(folder)
    found = combine(Inspector(host), "2*ZONK - dog")
    encoder = host.model().text_encoders[0]
    dog = encoder.vocabulary[encoder.tokenizer.tokenize("dog")]
    assert torch.allclose(found.combination.vectors["clip_l"], 2 * toy().vectors["clip_l"] - dog)
    assert [part.name for part in found.combination.ingredients] == ["zonk"] and [*found.vocabularies] == ["clip_l"]
    assert [word.name for word in ingredients_of(Inspector(host), found.combination)] == ["zonk"]


def test_without_a_model_a_checkpoint_file_that_fits_the_first_embedding_is_taken(folder: Path) -> None:
    put(folder, Embedding("large", {"clip_l": rows(1, 768), "clip_g": rows(1, 1280)}))
    put(folder, Embedding("small", {"clip_l": rows(1, 768)}))
    host = library_host(folder, encoders=lambda: None, shelf=shelf_of(one=SD1, two=SDXL))
    inspector = Inspector(host)
    dog = library_host(folder).model().text_encoders[0].tokenizer.tokenize("dog")
    found = combine(inspector, "large + dog - dog").combination.vectors
    assert {encoder: tuple(rows.shape) for encoder, rows in found.items()} == {"clip_l": (1, 768), "clip_g": (1, 1280)}
    assert torch.allclose(combine(inspector, "small + dog - small").combination.vectors["clip_l"], SD1["clip_l"][dog])
    assert [*combine(inspector, "dog").vocabularies] == ["clip_l"]
    with pytest.raises(SettingsError, match="'large' is for Stable Diffusion XL"):
        combine(inspector, "small + large")


def test_a_stable_diffusion_1_word_is_at_home_in_the_vocabularies_of_sdxl(folder: Path) -> None:
    put(folder, Embedding("small", {"clip_l": rows(1, 768)}))
    host = library_host(folder, encoders=lambda: None, shelf=shelf_of(two=SDXL))
    assert [*combine(Inspector(host), "small + dog").combination.vectors] == ["clip_l"]


def test_an_embedding_of_another_model_is_told_with_its_place(folder: Path) -> None:
    put(folder, Embedding("small", {"clip_l": rows(1, 768)}))
    with pytest.raises(SettingsError, match=r"this model wants clip_l 32 wide\.\ndog \+ small\n      \^"):
        combine(Inspector(library_host(folder)), "dog + small")


def test_without_any_vocabulary_it_is_told_what_to_load(folder: Path) -> None:
    put(folder, Embedding("small", {"clip_l": rows(1, 768)}))
    inspector = Inspector(library_host(folder, encoders=lambda: None))
    with pytest.raises(ModelError, match="load a Stable Diffusion 1 checkpoint"):
        combine(inspector, "small + dog")
    with pytest.raises(ModelError, match="load one"):
        combine(inspector, "dog")
    put(folder, toy("odd"))
    with pytest.raises(ModelError, match="load the checkpoint that the embedding was made for"):
        combine(Inspector(inspector.host), "odd")


def test_a_broken_vocabulary_of_the_loaded_model_is_told(folder: Path) -> None:
    host = library_host(folder)
    encoder = host.model().text_encoders[0]
    encoder.vocabulary[7] = torch.nan
    broken = LoadedEncoders("broken", "broken", "sd1", [encoder])
    with pytest.raises(ModelError, match="not finite"):
        combine(Inspector(library_host(folder, encoders=lambda: broken)), "dog")
