from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pseudoword.embedding import Embedding, load_embedding, save_embedding
from pseudoword.errors import EmbeddingFileError, ModelError, PseudowordError, SettingsError, TrainingError
from pseudoword.training.dataset import find_pictures
from pseudoword.training.events import Finished, Preparing, PreviewMade, Saved, StepDone, Validated, Warned
from pseudoword.training.trainer import TrainingRun
from tests.tiny_models import SIZE, WIDTH, TinyModel
from tests.training.small_runs import (
    WORD,
    bits,
    draw_shades,
    of_kind,
    one_thread,
    pictures,
    run_in,
    settings,
    taught_model,
    timeless_history,
)


def all_weights(model: TinyModel) -> dict[str, Tensor]:
    text: Any = model.text_encoders[0]
    parts: dict[str, nn.Module] = {"unet": model.unet, "encoder": model.encoder, "text": text._model}
    return {f"{part}.{name}": weight for part, module in parts.items() for name, weight in module.named_parameters()}


def test_only_the_new_vectors_learn(tmp_path: Path) -> None:
    model = TinyModel()
    before = {name: weight.clone() for name, weight in all_weights(model).items()}
    run = run_in(tmp_path, model, settings())
    list(run.events())

    assert all(torch.equal(weight, before[name]) for name, weight in all_weights(model).items())
    assert all(weight.grad is None and not weight.requires_grad for weight in all_weights(model).values())
    start = run_in(tmp_path / "other", model, settings(steps=1, learning_rate="1e-30"))
    list(start.events())
    moved = run.result("last").vectors["clip_l"] - start.result("last").vectors["clip_l"]
    assert moved.norm() > 0.01


@pytest.mark.parametrize("norm", ["vocabulary", "free"])
def test_a_word_for_a_colour_that_the_model_can_draw_is_learned(tmp_path: Path, norm: str) -> None:
    wanted = settings(start="red", steps=40, validate_every=20, preview_every=0, learning_rate="0.02", norm=norm)
    run = TrainingRun(
        taught_model(), wanted, find_pictures(draw_shades(tmp_path / "pictures"), wanted), tmp_path / "run"
    )
    losses = [event.loss for event in of_kind(run.events(), Validated)]
    assert len(losses) == 3 and losses[2] < losses[0] * 0.98

    lengths = run.result("last").vectors["clip_l"].norm(dim=1)
    usual = taught_model().text_encoders[0].vocabulary.norm(dim=1).mean()
    assert torch.allclose(lengths, usual) == (norm == "vocabulary")


def test_one_seed_gives_one_run_and_another_seed_another_with_the_same_validation(tmp_path: Path) -> None:
    runs = [run_in(tmp_path / str(place), TinyModel(), settings(seed=seed)) for place, seed in enumerate((1, 1, 2))]
    events = [list(run.events()) for run in runs]
    assert bits(runs[0]) == bits(runs[1])
    assert bits(runs[0])["last clip_l"] != bits(runs[2])["last clip_l"]
    first = [of_kind(one, Validated)[0].loss for one in events]  # of the start, which is the same
    assert first[0] == first[1] == first[2]


def test_the_order_of_events_and_what_they_say(tmp_path: Path) -> None:
    events = list(run_in(tmp_path, TinyModel(), settings()).events())
    assert [event.step for event in of_kind(events, StepDone)] == list(range(1, 13))
    assert [event.step for event in of_kind(events, Validated)] == [0, 4, 8, 12]
    assert [event.step for event in of_kind(events, Saved)] == [0, 5, 10, 12]
    assert {0, 6, 12} <= {event.step for event in of_kind(events, PreviewMade)}
    finished = events[-1]
    assert isinstance(finished, Finished) and (finished.reason, finished.step) == ("steps", 12)
    best = min(of_kind(events, Validated), key=lambda event: event.loss)
    assert finished.best_step == best.step and finished.figures["best validation loss"] == best.loss
    assert finished.figures["start validation loss"] == of_kind(events, Validated)[0].loss
    assert finished.figures["seconds"] > 0
    step = of_kind(events, StepDone)[-1]
    assert step.seconds > 0 and step.seconds_left == 0 and step.learning_rate == 0.05


def test_the_preparation_tells_of_each_picture_and_can_be_stopped(tmp_path: Path) -> None:
    run = run_in(tmp_path, TinyModel(), settings())
    going = run.events()
    assert [next(going), next(going)] == [Preparing(0, 1, 4), Preparing(0, 2, 4)]
    assert not torch.is_inference_mode_enabled()
    going.close()
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
    events = run.events()
    assert of_kind(events, Preparing)[-1] == Preparing(0, 4, 4)
    assert isinstance(run.result("last").metadata.steps, int)
    assert "preparing" not in {record["event"] for record in timeless_history(tmp_path)}


def test_the_folder_holds_the_best_and_the_last_step_as_embeddings(tmp_path: Path) -> None:
    run = run_in(tmp_path, TinyModel(), settings())
    list(run.events())
    for which in ("best", "last"):
        embedding = load_embedding(tmp_path / "run" / which / f"{WORD}.safetensors")
        assert embedding.name == WORD
        assert torch.equal(embedding.vectors["clip_l"], run.result(which).vectors["clip_l"])
        assert embedding.metadata.trained_on_sha256 == "7" * 64
        assert str(tmp_path) not in str(embedding.metadata)
    metadata = load_embedding(tmp_path / "run" / "last" / f"{WORD}.safetensors").metadata
    assert metadata.steps == 12
    assert {key: value for key, value in metadata.extra.items() if key != "pseudoword.validation_loss"} == {
        "pseudoword.pictures": "4",
        "pseudoword.learning_rate": "0.05",
        "pseudoword.seed": "0",
        "pseudoword.start_words": "the dog",
    }
    assert float(metadata.extra["pseudoword.validation_loss"]) > 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "settings.json", "checkpoint.safetensors", "history.jsonl", "best", "last", "previews", "in-use.lock",
        "curve.png", "contact-sheet.png",
    }  # fmt: skip


def test_the_best_step_is_that_of_the_lowest_validation_loss_and_its_vectors_are_kept(tmp_path: Path) -> None:
    wanted = settings(start="red", steps=20, validate_every=5, preview_every=0, learning_rate="0.05", norm="free")
    found = find_pictures(draw_shades(tmp_path / "pictures"), wanted)
    run = TrainingRun(taught_model(), wanted, found, tmp_path / "run")
    losses: dict[int, float] = {}
    vectors: dict[int, Tensor] = {}
    for event in run.events():
        if isinstance(event, Preparing):
            continue
        vectors[event.step] = run.result("last").vectors["clip_l"]
        if isinstance(event, Validated):
            losses[event.step] = event.loss
    best = min(losses, key=lambda step: losses[step])
    assert run.result("best").metadata.steps == best != 0
    assert torch.equal(run.result("best").vectors["clip_l"], vectors[best])


def test_a_run_that_no_longer_improves_stops_by_itself(tmp_path: Path) -> None:
    stays = {"learning_rate": "1e-9", "steps": 50, "validate_every": 2, "patience": 3, "preview_every": 0}
    events = list(run_in(tmp_path / "a", TinyModel(), settings(**{**stays, "early_stop": True})).events())
    assert isinstance(events[-1], Finished) and events[-1].reason == "early stop" and events[-1].step < 20
    events = list(run_in(tmp_path / "b", TinyModel(), settings(**{**stays, "steps": 20})).events())
    assert isinstance(events[-1], Finished) and events[-1].reason == "steps" and events[-1].step == 20


def test_without_validation_preview_and_checkpoints_only_the_result_is_written(tmp_path: Path) -> None:
    run = run_in(tmp_path, TinyModel(), settings(validate_every=0, preview_every=0, save_every=0))
    events = list(run.events())
    assert [type(event) for event in events] == [Preparing] * 4 + [StepDone] * 12 + [Saved, Finished]
    assert torch.equal(run.result("best").vectors["clip_l"], run.result("last").vectors["clip_l"])
    assert (tmp_path / "run" / "best" / f"{WORD}.safetensors").exists()


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("min_snr", [None, 5.0])
def test_both_kinds_of_prediction_train_with_and_without_min_snr(tmp_path: Path, prediction: Any, min_snr: Any) -> None:
    run = run_in(tmp_path, TinyModel(prediction), settings(min_snr=min_snr, preview_every=0, steps=3))
    losses = [event.loss for event in of_kind(run.events(), StepDone)]
    assert len(losses) == 3 and all(0 < loss < 100 for loss in losses)


def test_accumulated_passes_learn_what_one_large_batch_learns(tmp_path: Path) -> None:
    large = run_in(tmp_path / "large", TinyModel(), settings(batch=4, accumulate=1))
    small = run_in(tmp_path / "small", TinyModel(), settings(batch=1, accumulate=4))
    losses = [[event.loss for event in of_kind(run.events(), StepDone)] for run in (large, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    difference = large.result("last").vectors["clip_l"] - small.result("last").vectors["clip_l"]
    assert difference.abs().max() < 1e-3


def test_bf16_learns_about_the_same_as_fp32(tmp_path: Path) -> None:
    vectors = []
    for precision in ("fp32", "bf16"):
        run = run_in(tmp_path / precision, TinyModel(), settings(precision=precision, preview_every=0, steps=4))
        list(run.events())
        vectors.append(run.result("last").vectors["clip_l"].flatten())
    assert torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0) > 0.9
    assert not torch.equal(vectors[0], vectors[1])


def test_it_learns_in_a_thread_that_turned_gradients_off(tmp_path: Path) -> None:
    """Gradio and the WebUI call from threads with inference mode on."""
    model = TinyModel()
    with torch.inference_mode():
        run = run_in(tmp_path / "without", model, settings(preview_every=0))
        list(run.events())
    usual = run_in(tmp_path / "with", TinyModel(), settings(preview_every=0))
    list(usual.events())
    assert bits(run) == bits(usual)


def test_a_name_that_the_model_knows_is_refused_before_anything_starts(tmp_path: Path) -> None:
    wanted = settings(name="dog")
    with pytest.raises(SettingsError, match=r"'dog'.*'my-dog'"):
        run_in(tmp_path, TinyModel(), wanted)
    assert not (tmp_path / "run").exists()


def test_a_start_or_a_layer_that_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    wide, two = tmp_path / "wide.safetensors", tmp_path / "two.safetensors"
    save_embedding(Embedding("wide", {"clip_l": torch.ones(1, 768)}), wide)
    save_embedding(Embedding("two", {"clip_l": torch.ones(2, WIDTH)}), two)
    wrong: list[tuple[dict[str, Any], type[PseudowordError], str]] = [
        ({"start": f"file:{tmp_path / 'missing.safetensors'}"}, EmbeddingFileError, "missing"),
        ({"start": f"file:{wide}"}, ModelError, "768 wide"),
        ({"start": f"file:{two}", "vectors": 3}, SettingsError, "holds 2 vectors, and 3 are asked for"),
        ({"start": "auto"}, SettingsError, "give a scorer, or words"),
        ({"clip_skip": 4}, SettingsError, "choose 1 to 3"),
    ]
    for change, kind, said in wrong:
        with pytest.raises(kind, match=said):
            run_in(tmp_path, TinyModel(), settings(**change))
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_the_file_it_started_from(tmp_path: Path) -> None:
    path = save_embedding(Embedding("old", {"clip_l": torch.ones(1, WIDTH)}), tmp_path / "old.safetensors")
    wanted = settings(start=f"file:{path}", preview_every=0)
    events = run_in(tmp_path, TinyModel(), wanted).events()
    next(event for event in events if isinstance(event, Saved) and event.step == 5)
    events.close()
    path.unlink()
    assert isinstance(list(run_in(tmp_path, TinyModel(), wanted).events())[-1], Finished)


def test_a_word_saved_between_validations_does_not_claim_a_loss_that_was_another_steps(tmp_path: Path) -> None:
    events = run_in(tmp_path, TinyModel(), settings(preview_every=0)).events()  # validated at 4, saved at 5
    next(event for event in events if isinstance(event, Saved) and event.step == 5)
    metadata = load_embedding(tmp_path / "run" / "last" / f"{WORD}.safetensors").metadata
    assert metadata.steps == 5 and "pseudoword.validation_loss" not in metadata.extra
    best = load_embedding(tmp_path / "run" / "best" / f"{WORD}.safetensors").metadata
    assert "pseudoword.validation_loss" in best.extra
    events.close()


def test_large_pictures_are_not_kept_in_memory_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (2400, 1600), "red").save(tmp_path / "pictures" / "large.png")
    Image.new("RGB", (SIZE, SIZE), "blue").save(tmp_path / "pictures" / "small.png")
    wanted = settings(steps=1, preview_every=0)
    run = TrainingRun(TinyModel(), wanted, find_pictures(tmp_path / "pictures", wanted), tmp_path / "run")
    list(run.events())
    assert [picture.size for picture in run._training_images] == [(768, 512), (SIZE, SIZE)]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = (run_in(tmp_path, TinyModel(), settings()) for _ in range(2))
    going = first.events()
    next(going)
    with pytest.raises(TrainingError, match="Another run is training"):
        next(second.events())
    going.close()
    assert isinstance(list(second.events())[-1], Finished)


def test_pictures_too_small_for_the_model_are_named(tmp_path: Path) -> None:
    wanted = settings(preview_every=0, steps=1, size=128)
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (128, 128), "red").save(folder / "large.png")
    Image.new("RGB", (20, 20), "blue").save(folder / "tiny.png")
    found = find_pictures(folder, settings())  # as a caller might that does not know the model's size
    events = list(TrainingRun(TinyModel(), wanted, found, tmp_path / "run").events())
    assert any("tiny.png was skipped" in event.message for event in of_kind(events, Warned))


def test_a_result_before_the_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has not begun"):
        run_in(tmp_path, TinyModel(), settings()).result()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(TrainingError, match="run"):
        list(run_in(tmp_path, TinyModel(), settings()).events())


def test_a_run_stopped_by_its_caller_goes_on_to_the_same_end(tmp_path: Path) -> None:
    one_thread()
    whole = run_in(tmp_path / "whole", TinyModel(), settings())
    list(whole.events())
    for stop_after in (StepDone, Validated, PreviewMade, Saved):
        folder = tmp_path / stop_after.__name__
        going = run_in(folder, TinyModel(), settings()).events()
        next(event for event in going if isinstance(event, stop_after) and event.step > 0)
        going.close()
        resumed = run_in(folder, TinyModel(), settings())
        first = next(event for event in resumed.events())
        assert first.step > 0
        list(resumed.events())
        assert bits(resumed) == bits(whole)
        assert timeless_history(folder) == timeless_history(tmp_path / "whole")


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    list(run_in(tmp_path, TinyModel(), settings(preview_every=0)).events())
    longer = run_in(tmp_path, TinyModel(), settings(steps=20, preview_every=0))
    assert [event.step for event in of_kind(longer.events(), StepDone)] == list(range(13, 21))
    whole = run_in(tmp_path / "whole", TinyModel(), settings(steps=20, preview_every=0))
    list(whole.events())
    assert bits(longer)["last clip_l"] == bits(whole)["last clip_l"]


def test_a_finished_run_started_again_finishes_at_once_and_writes_the_same(tmp_path: Path) -> None:
    list(run_in(tmp_path, TinyModel(), settings()).events())
    history = timeless_history(tmp_path)
    again = list(run_in(tmp_path, TinyModel(), settings()).events())
    assert [type(event) for event in again] == [Preparing] * 4 + [Finished]
    assert timeless_history(tmp_path) == history


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 5}, "seed was 0 and is 5"), ({"batch": 2}, "batch"), ({"start": "cat"}, "start")],
)
def test_a_run_does_not_go_on_with_other_settings(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    list(run_in(tmp_path, TinyModel(), settings(steps=1)).events())
    with pytest.raises(TrainingError, match=named):
        list(run_in(tmp_path, TinyModel(), settings(steps=1, **change)).events())


def test_a_run_does_not_go_on_with_another_model_or_other_pictures(tmp_path: Path) -> None:
    wanted = settings(steps=1)
    list(run_in(tmp_path, TinyModel(), wanted).events())
    other = TinyModel()
    other.sha256 = "8" * 64
    with pytest.raises(TrainingError, match="the model was tiny"):
        list(run_in(tmp_path, other, wanted).events())
    found = pictures(tmp_path / "pictures", wanted)
    (tmp_path / "pictures" / "1.png").unlink()
    fewer = find_pictures(tmp_path / "pictures", wanted)
    with pytest.raises(TrainingError, match=r"the picture 1.png is gone"):
        list(TrainingRun(TinyModel(), wanted, fewer, tmp_path / "run").events())
    assert len(found.pictures) == 4


def test_a_checkpoint_that_is_something_else_is_not_gone_on_from(tmp_path: Path) -> None:
    list(run_in(tmp_path, TinyModel(), settings(steps=1)).events())
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="not a checkpoint"):
        list(run_in(tmp_path, TinyModel(), settings(steps=1)).events())
