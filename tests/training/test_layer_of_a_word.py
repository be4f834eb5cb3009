"""Training reads its prompts with the layer that is asked for, and the word says which it was."""

from __future__ import annotations

from pathlib import Path

from pseudoword.embedding import load_embedding, save_embedding
from tests.tiny_models import TinyModel
from tests.training.small_runs import bits, run_in, settings


def test_a_word_is_trained_with_the_layer_that_is_asked_for_and_records_it(tmp_path: Path) -> None:
    learned = []
    for clip_skip in (1, 2):
        run = run_in(tmp_path / str(clip_skip), TinyModel(), settings(clip_skip=clip_skip, steps=2, preview_every=0))
        list(run.events())
        word = save_embedding(run.result("last"), tmp_path / f"{clip_skip}.safetensors")
        assert load_embedding(word).metadata.clip_skip == clip_skip
        learned.append(bits(run)["last clip_l"])
    assert learned[0] != learned[1]
