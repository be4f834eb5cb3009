"""Layers of prompts that say words of the library, and what is remembered for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pseudoword.diffusion import LoadedEncoders
from pseudoword.embedding import Embedding, EmbeddingMetadata
from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect.layer_scores import layer_scores
from pseudoword.inspect.prompt_layers import prompt_layers
from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers, WantedLayers
from pseudoword.jobs.layers.layer_inspection import check_inside, inside, layers_strip
from pseudoword.jobs.layers.layers_of_prompts import layers_for, layers_of_prompts
from pseudoword.jobs.layers.remembered_layers import forget, remember, remembered_says, wanted_clip_skip
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.jobs.strips.strip_job import StripWatched
from pseudoword.text.layer_choice import parse_layers
from tests.inspect.words import random_rows
from tests.jobs.small_host import wait_until
from tests.jobs.small_library import library_host, library_in, put, rows, toy, without_model
from tests.jobs.small_strips import ended

HASH = "7" * 64


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    """Its library has the words zonk, of two vectors, and one of another model; it keeps a table of layers."""
    folder = library_in(tmp_path)
    put(folder, toy("zonk", 2))
    put(folder, Embedding("wide", {"clip_l": rows(1, 768)}))
    table = CheckpointLayers(tmp_path / "layers.json")
    return Inspector(library_host(folder, checkpoint_layers=table, checkpoint=lambda: (HASH, "tiny")))


def table_of(inspector: Inspector) -> CheckpointLayers:
    table = inspector.host.checkpoint_layers
    assert table is not None
    return table


# ---- a prompt's layers ----------------------------------------------------------------------------------------------


def test_a_strip_knows_the_words_of_the_library_and_leaves_the_tag_out(inspector: Inspector) -> None:
    row = layers_strip(inspector, "a zonk <clipskip:2>", "<clipskip:3>ugly", "all")
    assert [shot.prompt for shot in row.shots] == ["a zonk "] * 3 and row.negative == "ugly"
    assert set(row.shots[0].words) == {"zonk"}
    assert torch.equal(row.shots[0].words["zonk"]["clip_l"], rows(2))


def test_a_prompt_is_followed_inside_with_the_words_of_the_library(inspector: Inspector) -> None:
    found = inside(inspector, "a zonk <clipskip:2>, red", "")
    encoder = inspector.host.model().text_encoders[0]
    expected = prompt_layers(encoder, "a zonk , red", {"zonk": {"clip_l": rows(2)}})
    assert torch.equal(found.norms, expected.norms) and found.encoder == "clip_l"
    assert [piece.text for piece in found.pieces][:3] == ["a", "zonk", "zonk"]


def test_each_encoder_can_be_asked_for(inspector: Inspector) -> None:
    encoder = inspector.host.model().text_encoders[0]

    class Second:
        """The same encoder under another name."""

        name = "clip_g"

        def __getattr__(self, name: str) -> object:
            return getattr(encoder, name)

    two = LoadedEncoders("xl", "xl-1", "sdxl", [encoder, Second()])  # type: ignore[list-item]
    both = Inspector(replace(inspector.host, encoders=lambda: two))
    assert inside(both, "a cat", "clip_g").encoder == "clip_g" and inside(both, "a cat", "").encoder == "clip_l"
    with pytest.raises(SettingsError, match="no text encoder 'clip_h'; it has clip_l, clip_g"):
        inside(both, "a cat", "clip_h")


def test_what_cannot_be_looked_into_is_told_before_the_model_is_waited_for(inspector: Inspector) -> None:
    with inspector.host.turns:
        check_inside(inspector, "a zonk")
        for prompt, problem, said in [
            ("", SettingsError, "holds no token"),
            ("<clipskip:2>", SettingsError, "holds no token"),
            ("x" * 20_001, SettingsError, "20,001 characters"),
            ("a wide", ModelError, "'wide' has vectors of shape"),
        ]:
            with pytest.raises(problem, match=said):
                check_inside(inspector, prompt)
        bare = Inspector(without_model(inspector.host))
        with pytest.raises(ModelError, match="No model is loaded"):
            check_inside(bare, "a cat")
        with pytest.raises(ModelError, match="No model is loaded"):
            layers_strip(bare, "a cat", "", "all")


# ---- remembered -----------------------------------------------------------------------------------------------------


def compared(inspector: Inspector, leads: Mapping[int, float]) -> StripWatched:
    """A comparison of layers that has ended, whose second layer leads by so much with each seed."""
    job = ended(inspector.strips.start([layers_strip(inspector, "a cat", "", "all")], [1, 2, 3, 4], 1, 1.0))
    (row,) = [layers_strip(inspector, "a cat", "", "all")]
    last = torch.tensor([[0.5 + 0.01 * seed, 0.5] for seed in range(4)])
    features = [last, last + torch.tensor([[leads[seed], 0.0] for seed in range(4)]), last]
    figures = layer_scores(row, [1, 2, 3, 4], features, lambda _: torch.tensor([[1.0, 0.0]]))
    wait_until(lambda: job.has_ended)
    return replace(job.watch(), figures=(figures,))


def test_what_was_recommended_is_remembered_said_and_forgotten(inspector: Inspector) -> None:
    host = inspector.host
    assert remembered_says(host) == "Nothing is remembered for tiny."
    clear = compared(inspector, {0: 0.3, 1: 0.301, 2: 0.302, 3: 0.3})
    assert remember(host, "", clear) == "CLIP skip 2 is remembered for tiny."
    assert remembered_says(host) == "Remembered for tiny: CLIP skip 2."
    assert table_of(inspector).wanted(HASH) == WantedLayers(parse_layers("2"), title="tiny")
    assert remember(host, " 1=1,2=3 ", clear) == "CLIP skip 1=0.25,2=0.75 is remembered for tiny."
    assert "any more" in forget(host) and "was remembered" in forget(host)
    assert table_of(inspector).entries() == {}


def test_where_nothing_was_recommended_the_layer_must_be_written(inspector: Inspector) -> None:
    unclear = compared(inspector, {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0})
    for watched in (None, unclear):
        with pytest.raises(SettingsError, match="No layer was recommended; write the one"):
            remember(inspector.host, " ", watched)
    with pytest.raises(SettingsError, match="is not a layer"):
        remember(inspector.host, "second", unclear)
    assert remember(inspector.host, "3", None) == "CLIP skip 3 is remembered for tiny."


def test_it_is_remembered_for_the_checkpoint_that_made_the_pictures(inspector: Inspector) -> None:
    other = replace(inspector.host, checkpoint=lambda: ("8" * 64, "other"))
    remember(other, "2", compared(inspector, {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0}))
    assert set(table_of(inspector).entries()) == {HASH}
    assert remembered_says(other) == "Nothing is remembered for other."


def test_without_a_checkpoint_there_is_nothing_to_remember_for(inspector: Inspector) -> None:
    bare = replace(inspector.host, checkpoint=lambda: None)
    assert "No checkpoint is loaded" in remembered_says(bare)
    with pytest.raises(SettingsError, match="No checkpoint is loaded"):
        remember(bare, "2", None)
    with pytest.raises(SettingsError, match="No checkpoint is loaded"):
        forget(bare)


def test_a_negative_prompt_that_somebody_gave_other_layers_is_told(inspector: Inspector) -> None:
    table_of(inspector).remember(HASH, WantedLayers(parse_layers("2"), parse_layers("3")))
    assert remembered_says(inspector.host) == "Remembered for tiny: CLIP skip 2, and 3 for the negative prompt."


def test_words_are_read_as_they_were_trained_and_other_prompts_as_the_checkpoint_wants(inspector: Inspector) -> None:
    host, model = inspector.host, inspector.host.model()
    table, blend = host.checkpoint_layers, parse_layers("1=0.5,2=0.5")
    trained, unknown = (
        Embedding("w", {"clip_l": random_rows(1)}, EmbeddingMetadata(clip_skip=skip)) for skip in (3, None)
    )

    def read(*words: Embedding, prompt: str = "a cat", negative: str = "") -> str:
        found = layers_of_prompts(prompt, negative, layers_for(table, model, words), model)
        return " ".join([found.text, *found.notes])

    assert read() == "1"
    remember(host, blend.text, None)
    assert read() == read(unknown) == read(trained, unknown) == blend.text
    assert read(trained) == "3"
    assert read(trained, prompt="a cat <clipskip:2>") == read(prompt="a cat <clipskip:2/1>") == "2"
    assert read(negative="<clipskip:3>") == "1=0.5,2=0.5, negative 3"
    assert "3> contradicts <clipskip:2>" in read(prompt="<clipskip:2><clipskip:3>")
    table_of(inspector).remember(HASH, WantedLayers(parse_layers("2"), parse_layers("3")))
    assert read() == "2, negative 3"


def test_a_single_layer_is_what_trainings_begin_with(inspector: Inspector) -> None:
    table = table_of(inspector)
    assert wanted_clip_skip(table, HASH) == {}
    table.remember(HASH, WantedLayers(parse_layers("2")))
    assert wanted_clip_skip(table, HASH) == {"clip_skip": 2}
    table.remember(HASH, WantedLayers(parse_layers("1=0.5,2=0.5")))
    assert wanted_clip_skip(table, HASH) == {}
