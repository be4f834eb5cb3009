"""`pseudoword generate`: words are found, pictures say how they were made, mistakes are named."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pseudoword
from pseudoword.cli import model_choice
from pseudoword.cli.infotext import Recipe, infotext
from pseudoword.diffusion import Sampling
from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from pseudoword.hosts.diffusers import StandaloneModel
from pseudoword.jobs import picture_portions
from pseudoword.jobs.layers.checkpoint_layers import FILE, CheckpointLayers, WantedLayers
from pseudoword.text.layer_choice import one_layer, parse_layers
from tests.cli.small_world import WORD, Answer, World
from tests.tiny_models import WIDTH, TinyModel


def save_word(
    path: Path, name: str = WORD, width: int = WIDTH, clip_skip: int | None = None, value: float = 0.07
) -> Path:
    """A word that changes pictures; an embedding of a real model is 768 wide, the tiny one's `WIDTH`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = EmbeddingMetadata(clip_skip=clip_skip)
    return save_embedding(Embedding(name, {"clip_l": torch.full((2, width), value)}, metadata), path)


def generate(world: World, *arguments: object) -> Answer:
    return world.run("generate", "--model", world.model, "--steps", 2, *arguments)


def pixels(path: str | Path) -> list[int]:
    with Image.open(path) as picture:
        return list(np.asarray(picture).flatten().tolist())


def text_of(path: str | Path) -> str:
    with Image.open(path) as picture:
        return str(picture.info["parameters"])


def test_words_in_runs_are_known_by_themselves_in_any_case(world: World) -> None:
    save_word(Path("runs", WORD, f"{WORD}.safetensors"))
    with_word = generate(world, f"a photo of {WORD.upper()}", "--seed", 1, "--json")
    without = generate(world, "a photo of", "--seed", 1, "--json")
    assert with_word.result["words"] == [WORD]
    assert without.result["words"] == []
    assert pixels(with_word.result["pictures"][0]["path"]) != pixels(without.result["pictures"][0]["path"])


@pytest.mark.parametrize("place", [f"words/deep/{WORD}.safetensors", "words"])
def test_words_are_taken_from_files_and_folders_that_are_given(world: World, place: str) -> None:
    save_word(Path("words", "deep", f"{WORD}.safetensors"))
    assert generate(world, f"a {WORD}", "--embeddings", place, "--json").result["words"] == [WORD]


def test_pictures_are_counted_on_and_say_their_seeds(world: World) -> None:
    first = generate(world, "a dog", "--seed", 7, "--count", 2)
    assert first.out.split() == [str(Path("generated", name)) for name in ("00001-7.png", "00002-8.png")]
    assert generate(world, "a dog", "--seed", 8).out.split() == [str(Path("generated", "00003-8.png"))]
    assert pixels("generated/00002-8.png") == pixels("generated/00003-8.png")
    assert "Seed: 8," in text_of("generated/00002-8.png")


def test_without_a_seed_each_call_gives_another_picture(world: World) -> None:
    seeds = {generate(world, "a dog", "--json").result["pictures"][0]["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_one_picture_may_have_a_name(world: World) -> None:
    assert generate(world, "a dog", "--output", "some/dog.png").out.split() == [str(Path("some", "dog.png"))]
    answer = generate(world, "a dog", "--output", "dog.png", "--count", 2)
    assert answer.code == 1
    assert "--output is one file, dog.png, for 2 pictures; give a folder" in answer.err


def test_the_size_is_the_models_own_unless_it_is_given(world: World) -> None:
    for flags, size in (([], (32, 32)), (["--width", 64], (64, 32))):
        with Image.open(generate(world, "a dog", *flags, "--json").result["pictures"][0]["path"]) as picture:
            assert picture.size == size


def test_the_layer_is_the_one_that_the_words_were_trained_with(world: World) -> None:
    save_word(Path("runs", "one", "zxqv-one.safetensors"), "zxqv-one", clip_skip=2)
    save_word(Path("runs", "two", "zxqv-two.safetensors"), "zxqv-two", clip_skip=1)
    layers = [
        generate(world, prompt, "--json").result["clip_skip"]
        for prompt in ("zxqv-one", "zxqv-two", "zxqv-one zxqv-two")
    ]
    assert layers == [2, 1, 1]
    forced = generate(world, "zxqv-one", "--clip-skip", 3, "--json").result
    assert forced["clip_skip"] == 3
    assert "Clip skip: 3" in text_of(forced["pictures"][0]["path"])


def test_a_layer_that_the_prompt_names_is_followed_and_not_read_as_text(world: World) -> None:
    save_word(Path("runs", "one", "zxqv-one.safetensors"), "zxqv-one", clip_skip=3)

    def made(prompt: str, *flags: object) -> tuple[bytes, str]:
        path = generate(world, prompt, "--seed", 1, *flags, "--json").result["pictures"][0]["path"]
        with Image.open(path) as picture:
            return picture.tobytes(), text_of(path)

    by_flag, by_tag = made("a zxqv-one", "--clip-skip", 2), made("a zxqv-one <clipskip:2>", "--clip-skip", 1)
    assert by_flag[0] == by_tag[0] != made("a zxqv-one")[0] and "Clip skip: 2," in by_tag[1]
    apart = made("a dog", "--negative", "a cat <clipskip:2>")
    assert apart[0] != made("a dog", "--negative", "a cat")[0]
    assert "Clip skip prompt: 1, Clip skip negative prompt: 2" in apart[1]
    told = generate(world, "a dog <clipskip:2> <clipskip:x>")
    assert told.code == 0 and "<clipskip:x> is not followed" in told.err


def test_without_a_trained_word_the_layer_is_what_is_remembered_for_the_model(world: World) -> None:
    before = generate(world, "a dog", "--seed", 1, "--json").result
    found = world.run("clip-skip", "a dog", "--model", world.model, "--steps", 1, "--seeds", 2, "--remember")
    assert found.code == 0 and "nothing is remembered" in found.err, "two seeds of a random model recommend nothing"
    sha256 = text_of(before["pictures"][0]["path"]).partition("Model hash: ")[2][:10]
    CheckpointLayers(Path("runs", FILE)).remember(sha256, WantedLayers(parse_layers("1=0.5,2=0.5")))
    after = generate(world, "a dog", "--seed", 1, "--json").result
    assert (before["clip_skip"], after["clip_skip"]) == (1, "1=0.5,2=0.5")
    assert 'Clip skip prompt: "1=0.5,2=0.5"' in text_of(after["pictures"][0]["path"])
    assert generate(world, "a dog", "--clip-skip", 1, "--json").result["clip_skip"] == 1


def test_a_prompt_without_any_known_word_is_remarked(world: World) -> None:
    save_word(Path("runs", WORD, f"{WORD}.safetensors"))
    assert f"The prompt uses no trained word; known are {WORD}." in generate(world, "a zxqvtoy").err


def test_a_broken_word_beside_sound_ones_gives_its_reason_when_it_is_said(world: World) -> None:
    save_word(Path("words", f"{WORD}.safetensors"))
    Path("words", "zxqv-broken.pt").write_bytes(b"cut off")
    assert generate(world, f"a {WORD}", "--embeddings", "words").code == 0
    answer = generate(world, "a zxqv-broken", "--embeddings", "words")
    assert answer.code == 1
    assert "zxqv-broken.pt cannot be read as an embedding" in answer.err


def test_where_memory_is_short_fewer_pictures_are_made_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["a dog", "--seed", 7, "--count", 3, "--json"]
    whole = generate(world, *flags, "--output", "whole").result["pictures"]
    small_memory(monkeypatch, room_for=1)
    singly = generate(world, *flags, "--output", "singly").result["pictures"]
    for one_by_one, together in zip(singly, whole, strict=True):  # a batch of another size rounds otherwise
        assert np.allclose(pixels(one_by_one["path"]), pixels(together["path"]), atol=2)


def test_too_little_memory_is_told_with_a_way_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_memory(monkeypatch, room_for=0)
    answer = generate(world, "a dog", "--count", 3)
    assert answer.code == 1
    assert "There is too little memory here for a picture of 32×32; set a smaller --width and --height" in answer.err


def small_memory(monkeypatch: pytest.MonkeyPatch, room_for: int) -> None:
    """Let memory run out where more than `room_for` pictures are made at once."""
    generate = StandaloneModel.generate

    def generate_few(
        self: StandaloneModel, told: Any, against: Any, sampling: Any, seeds: Any, between_steps: Any
    ) -> list[Image.Image]:
        if len(seeds) > room_for:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return generate(self, told, against, sampling, seeds, between_steps)

    monkeypatch.setattr(StandaloneModel, "generate", generate_few)


def test_a_bar_counts_the_steps(world: World) -> None:
    lines = generate(world, "a dog", "--count", 3, "--json").lines
    latest = [line for line in lines if line.get("event") == "progress"][-1]
    assert (latest["done"], latest["total"], latest["counted"]) == (2, 2, "steps")


def test_ctrl_c_ends_it_after_the_step_and_keeps_what_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = StandaloneModel.predict
    passes: list[int] = []

    def interrupted(self: StandaloneModel, *given: Any) -> torch.Tensor:
        passes.append(len(passes))
        if len(passes) == 3:  # the first step of the second portion
            signal.raise_signal(signal.SIGINT)
        return predict(self, *given)

    monkeypatch.setattr(StandaloneModel, "predict", interrupted)
    monkeypatch.setattr(picture_portions, "PIXELS_AT_ONCE", 32 * 32)  # one picture of this model
    answer = generate(world, "a dog", "--count", 2, "--seed", 7)
    assert answer.code == 130 and len(passes) == 3
    assert "Stopping" in answer.err and "Stopped; 1 of 2 pictures are made and kept." in answer.err
    assert [path.name for path in Path("generated").iterdir()] == ["00001-7.png"]


def test_a_model_too_large_for_the_gpu_is_named_and_pictures_are_made_in_half_precision_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def load_model(path: Path | None, **how: Any) -> StandaloneModel:
        asked.append(how)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(model_choice, "load_model", load_model)
    answer = generate(world, "a dog")
    assert answer.code == 1
    assert "too little memory on the GPU for this model" in answer.err and "--device cpu" in answer.err
    generate(world, "a dog", "--device", "cpu")
    world.train()
    assert [(how["device"].type, how["dtype"]) for how in asked] == [
        ("cuda", torch.float16),
        ("cpu", torch.float32),
        ("cuda", torch.float32),
    ]


def test_words_of_another_kind_of_model_only_matter_where_they_are_said(world: World) -> None:
    save_word(Path("runs", "wide", "zxqv-wide.safetensors"), "zxqv-wide", width=768)
    assert generate(world, "a dog").code == 0
    answer = generate(world, "a zxqv-wide")
    assert answer.code == 1
    assert "'zxqv-wide'" in answer.err and "load a model it was made for" in answer.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--count", 0], "--count is 0, but a number from 1 to 1,000"),
        (["--steps", 0], "--steps is 0"),
        (["--seed", -1], "--seed is -1"),
        (["--guidance", "nan"], "--guidance is nan"),
        (["--width", 33], "33×32"),
        (["--width", 10**6], "--width is 1000000"),
        (["--clip-skip", 0], "no layer 0"),
        (["--clip-skip", 9], "layer"),
        (["--embeddings", "nowhere"], "'nowhere' does not exist"),
        (["--embeddings", "."], "holds no embedding"),
        (["--device", "toaster"], "The device 'toaster' is not there; choose one of auto, cpu"),
    ],
)
def test_mistakes_are_named_in_one_sentence(world: World, flags: list[object], said: str) -> None:
    answer = generate(world, "a dog", *flags)
    assert answer.code == 1
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not Path("generated").exists()


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden here"
)
def test_a_place_that_cannot_be_written_is_named(world: World) -> None:
    Path("locked").mkdir(mode=0o500)
    answer = generate(world, "a dog", "--output", "locked")
    assert answer.code == 1
    assert "cannot be written" in answer.err


def test_a_file_where_the_folder_should_be_is_named(world: World) -> None:
    Path("generated").write_text("")
    answer = generate(world, "a dog")
    assert answer.code == 1
    assert "cannot be written" in answer.err


def test_the_text_in_a_picture_is_the_one_that_a1111_writes() -> None:
    recipe = Recipe("a cat, red", "dull", Sampling(512, 768, 30, 7.5), one_layer(2), {"my-cat": "0123456789ab"})
    lines = infotext(recipe, 42, TinyModel()).split("\n")
    assert lines == [
        "a cat, red",
        "Negative prompt: dull",
        "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, "
        'Model hash: 7777777777, Model: tiny, Clip skip: 2, TI hashes: "my-cat: 0123456789ab", '
        f"Version: Pseudoword {pseudoword.__version__}",
    ]


def test_a_word_is_found_where_training_leaves_it(world: World) -> None:
    assert world.train().code == 0
    shutil.rmtree(Path("runs", WORD, "best"))
    assert generate(world, f"a {WORD}", "--json").result["words"] == [WORD]
    assert generate(world, f"a {WORD}", "--embeddings", Path("runs", WORD), "--json").result["words"] == [WORD]
