"""Pictures of a prompt with different layers: each is read with its own, and so is what it is not to show."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pseudoword.diffusion import Sampling
from pseudoword.inspect.strips import layers_row
from pseudoword.jobs.host import Host
from pseudoword.jobs.strips.strips import Strips
from pseudoword.scoring import ClipScorer
from pseudoword.text import encode_prompts
from pseudoword.text.layer_list import layer_list
from tests import tiny_models
from tests.inspect.words import random_rows
from tests.jobs.small_host import small_host
from tests.jobs.small_strips import ended, start

WORDS = {"zonk": {"clip_l": random_rows(2)}}
ROW = layers_row("a cat by zonk", WORDS, layer_list("all; 1=0.5,3=0.5", [tiny_models.LAYERS]), "a zonk")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return small_host(tmp_path)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    pytest.importorskip("open_clip")
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("clip"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


def opened(png: bytes | None) -> Image.Image:
    assert png is not None
    return Image.open(io.BytesIO(png))


def test_prompt_and_negative_prompt_are_read_with_the_layers_of_the_picture(host: Host) -> None:
    job, model = ended(start(Strips(host), [ROW], [7])), host.model()
    assert job.watch().made == (4,)
    for place, shot in enumerate(ROW.shots):
        assert shot.layers is not None
        told, against = (encode_prompts(model, [text], WORDS, shot.layers) for text in ("a cat by zonk", "a zonk"))
        (expected,) = model.generate(told, against, Sampling(32, 32, 4, 5.0), [7])
        enlarged = expected.resize((256, 256), Image.Resampling.NEAREST)
        assert opened(job.picture(0, place)).tobytes() == enlarged.tobytes()
    assert len({job.picture(0, place) for place in range(4)}) == 4


def test_each_layer_is_scored_and_the_sheet_says_what_is_recommended(host: Host, scorer: ClipScorer) -> None:
    job = ended(start(Strips(replace(host, scorer=lambda: scorer)), [ROW], [7, 8]))
    now = job.watch()
    assert now.state == "finished" and now.scores is not None and now.checkpoint == ("7" * 64, "tiny")
    assert now.scores.read == "a cat by" and len(now.scores.scores) == 4
    pictures = opened(job.picture(0, 1))
    features = scorer.image_features([pictures.crop((0, 0, 256, 256)).resize((32, 32), Image.Resampling.NEAREST)])
    (score,) = (features @ scorer.text_features(["a cat by"]).T).flatten().tolist()
    assert now.scores.scores[1][0] == pytest.approx(score, abs=1e-5)
    assert opened(job.sheet()).width >= 1000


def test_without_clip_there_are_pictures_and_the_way_to_a_recommendation(host: Host) -> None:
    now = ended(start(Strips(host), [ROW], [7])).watch()
    assert (now.state, now.scores, now.figures) == ("finished", None, (None,))
    assert "--clip" in now.no_figures and now.no_figures.endswith("no layer can be recommended.")


def test_a_word_of_another_model_is_named(host: Host) -> None:
    row = layers_row("a wide", {"wide": {"clip_l": random_rows(1, 5)}}, layer_list("2", [3]))
    failed = ended(start(Strips(host), [row], [7])).watch()
    assert failed.state == "failed" and "'wide' has vectors of shape (1, 5)" in failed.message
