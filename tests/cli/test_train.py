"""`pseudoword train`, as a person and as a program use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pseudoword.embedding import Embedding, load_embedding, save_embedding
from pseudoword.training.run_folder import locked
from tests.cli.small_world import QUICK, WORD, World


def test_training_leaves_the_word_in_a_clear_place_and_says_what_to_do_with_it(world: World) -> None:
    answer = world.train()
    assert answer.code == 0, answer.err
    path = Path("runs", WORD, f"{WORD}.safetensors")
    assert load_embedding(path).name == WORD
    assert str(path) in answer.out
    assert f"generate 'a photo of {WORD}' --model" in answer.out
    assert "Pictures: 4." in answer.err


def test_a_program_gets_one_json_object_a_line_and_the_result_last(world: World) -> None:
    answer = world.train("--json", "--validate-every", 2, "--clip", *world.clip, "--preview-every", 3)
    assert answer.err == ""
    events = [line["event"] for line in answer.lines[:-1]]
    assert [event for event in events if event in ("step", "validated", "preview", "finished")] == [
        *("validated", "preview", "step", "step", "validated", "step", "validated", "preview", "finished")
    ]
    encoded = [(line["done"], line["total"]) for line in answer.lines if line.get("event") == "preparing"]
    assert encoded[-1] == (4, 4)
    result = answer.result
    assert result["word"] == WORD
    assert load_embedding(Path(result["embedding"])).vector_count == 1
    assert {"best likeness", "best editability", "best validation loss"} <= result["figures"].keys()
    assert Path(result["contact_sheet"]).is_file() and Path(result["curve"]).is_file()


def test_clip_chooses_the_start_where_it_is_given(world: World) -> None:
    answer = world.train("--json", "--start", "auto", "--clip", *world.clip)
    extra = load_embedding(Path(answer.result["embedding"])).metadata.extra
    assert extra["pseudoword.start_words"]


def test_without_clip_another_model_needs_words_to_start_from_and_says_so_before_loading(world: World) -> None:
    answer = world.run("train", world.pictures, "--name", WORD, "--model", world.model)
    assert answer.code == 1
    assert "--start cat, or give a CLIP model with --clip" in answer.err
    assert "Model:" not in answer.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--clip", "no.json", "no.safetensors"], "'no.json', which is given with --clip, is not a file"),
        (["--start", "file:nothing.pt"], "nothing.pt cannot be read as an embedding"),
        (["--start", "file:notes.pt"], "notes.pt cannot be read as an embedding"),
    ],
)
def test_files_that_flags_name_are_looked_at_before_the_model_is_loaded(
    world: World, flags: list[str], said: str
) -> None:
    Path("notes.pt").write_text("no embedding")
    answer = world.train(*flags)
    assert answer.code == 1
    assert said in answer.err
    assert "Model:" not in answer.err


def test_bad_pictures_among_good_ones_are_named(world: World, tmp_path: Path) -> None:
    for picture in world.pictures.iterdir():
        (tmp_path / "mixed").mkdir(exist_ok=True)
        (tmp_path / "mixed" / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "mixed" / "broken.png").write_bytes(b"no picture")
    answer = world.run(
        *("train", tmp_path / "mixed", "--name", WORD, "--model", world.model, "--start", "dog", "--steps", 1, *QUICK)
    )
    assert answer.code == 0
    assert "warning: broken.png was skipped: it is no picture" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train"], 2, "the following arguments are required: IMAGES, --name"),
        (["train", "nowhere", "--name", "zxq"], 1, "'nowhere' does not exist"),
        (["train", ".", "--name", "zxq"], 1, "is empty; put pictures into it"),
        (["train", ".", "--name", "a/b"], 1, "cannot be used for an embedding"),
        (["train", ".", "--name", "zxq", "--steps", "0"], 1, "steps is 0"),
        (["train", ".", "--name", "zxq", "--steps", "many"], 2, "--steps: invalid whole number value: 'many'"),
        (["train", ".", "--name", "zxq", "--learning-rate", "1e-3:x"], 1, "character 6 begins 'x'"),
        (["train", ".", "--name", "zxq", "--crop", "middle"], 1, "crop is 'middle', but one of center, random, none"),
        (["train", ".", "--name", "zxq", "--frobnicate"], 2, "unrecognized arguments: --frobnicate"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_slow(
    world: World, arguments: list[str], code: int, said: str
) -> None:
    answer = world.run(*arguments)
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.startswith("pseudoword: ") and said in answer.err
    assert answer.err.count("\n") == 1 and "Traceback" not in answer.err
    as_json = world.run(*arguments, "--json")
    assert as_json.code == code
    assert as_json.err == ""
    assert said in as_json.lines[-1]["error"]


def test_a_model_that_is_not_there_is_named(world: World) -> None:
    answer = world.run("train", world.pictures, "--name", WORD, "--model", "nothing.safetensors", "--start", "dog")
    assert answer.code == 1
    assert "The model 'nothing.safetensors' does not exist" in answer.err


def test_a_name_that_the_model_knows_is_refused(world: World) -> None:
    answer = world.run("train", world.pictures, "--name", "the", "--model", world.model, "--start", "dog")
    assert answer.code == 1
    assert "The model knows the word 'the' already" in answer.err


def test_a_name_of_another_trained_word_is_refused(world: World) -> None:
    assert world.train().code == 0
    answer = world.train("--output", "elsewhere")
    assert answer.code == 1
    assert f"There is a word '{WORD}' already, in " in answer.err
    assert f"delete the folder {Path('runs', WORD)}, or train in it, with --restart" in answer.err


def test_a_word_that_no_run_here_made_is_not_overwritten(world: World) -> None:
    path = Path("runs", WORD, f"{WORD}.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody's")
    answer = world.train()
    assert answer.code == 1
    assert f"There is a word '{WORD}' already, in {path}" in answer.err
    assert path.read_bytes() == b"somebody's"


def test_a_finished_run_is_not_done_again_but_goes_on_with_more_steps(world: World) -> None:
    assert world.train().code == 0
    again = world.train("--json")
    assert again.result["step"] == 3
    assert "step" not in [line.get("event") for line in again.lines]
    longer = world.train("--json", steps=5)
    assert [line["step"] for line in longer.lines if line.get("event") == "step"] == [4, 5]


def test_a_run_cannot_go_on_with_other_settings(world: World) -> None:
    assert world.train().code == 0
    answer = world.train("--learning-rate", "0.01")
    assert answer.code == 1
    assert "learning_rate was '0.001' and is '0.01'" in answer.err
    assert "With --restart that run is removed" in answer.err


def test_a_word_is_learned_anew_where_that_is_asked_for(world: World) -> None:
    assert world.train().code == 0
    folder = Path("runs", WORD)
    (folder / "previews" / "step-000001.png").write_bytes(b"of the earlier run")
    (folder / "notes.txt").write_text("somebody's")
    earlier = load_embedding(folder / f"{WORD}.safetensors").vectors["clip_l"]
    answer = world.train("--restart", "--learning-rate", "0.01", "--json", steps=2)
    assert [line["step"] for line in answer.lines if line.get("event") == "step"] == [1, 2]
    assert not load_embedding(folder / f"{WORD}.safetensors").vectors["clip_l"].equal(earlier)
    assert (folder / "notes.txt").read_text() == "somebody's"
    assert not (folder / "previews" / "step-000001.png").exists()


def test_a_word_may_be_asked_for_anew_where_there_is_none(world: World) -> None:
    assert world.train("--restart").code == 0


def test_what_cannot_be_learned_anew_is_kept(world: World) -> None:
    assert world.train().code == 0
    own = Path("runs", WORD, f"{WORD}.safetensors")
    before = own.read_bytes()
    wide = save_embedding(Embedding("wide", {"clip_l": torch.ones(1, 768)}), Path("wide.safetensors"))
    attempts: dict[str, list[object]] = {
        "32 wide": ["--start", f"file:{wide}"],
        "copy that file elsewhere first": ["--start", f"file:{own}"],
        "layer": ["--clip-skip", 9],
    }
    for said, flags in attempts.items():
        answer = world.train("--restart", *flags)
        assert answer.code == 1
        assert said in answer.err
    assert own.read_bytes() == before
    assert world.train("--json").result["step"] == 3


def test_a_run_that_is_under_way_is_not_removed(world: World) -> None:
    assert world.train().code == 0
    with locked(Path("runs", WORD)):
        answer = world.train("--restart")
    assert answer.code == 1
    assert "Another run is training in" in answer.err
    assert Path("runs", WORD, "checkpoint.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole consoles only")
def test_ctrl_c_saves_and_the_same_command_goes_on_to_the_same_word(world: World) -> None:
    root = Path(__file__).parents[2]
    arguments = ["train", world.pictures, "--name", WORD, "--model", world.model, "--start", "the dog", "--steps", "60"]
    command = [sys.executable, "-m", "pseudoword", *map(str, arguments), *QUICK, "--save-every", "1000"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [*command, "--restart", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("step") == 5:
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors == ""
    said = json.loads(rest.splitlines()[-1])["error"]
    assert said.startswith("Stopped at step ") and f"--name {WORD}" in said
    assert "--restart" not in said
    resumed = world.run(*arguments, *QUICK, "--save-every", 1000, "--json")
    steps = [line["step"] for line in resumed.lines if line.get("event") == "step"]
    assert 5 < steps[0] < 60 and steps[-1] == 60
    Path("runs").rename("interrupted")
    assert world.run(*arguments, *QUICK, "--save-every", 1000).code == 0
    vectors = [
        load_embedding(Path(folder, WORD, f"{WORD}.safetensors")).vectors["clip_l"].tolist()
        for folder in ("runs", "interrupted")
    ]
    assert vectors[0] == vectors[1]
