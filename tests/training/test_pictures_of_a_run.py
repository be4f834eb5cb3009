from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pseudoword.training.contact_sheet import contact_sheet, fitted_into, row_of
from pseudoword.training.curve import curve_picture, smoothed
from pseudoword.training.events import Finished, PreviewMade
from tests.tiny_models import SIZE, TinyModel, save_open_clip
from tests.training.small_runs import of_kind, run_in, settings, timeless_history

WHITE = (255, 255, 255)


def test_pictures_of_any_shape_fit_into_squares_and_transparency_shows_white() -> None:
    wide = Image.new("RGBA", (64, 16), (0, 0, 0, 0))
    fitted = fitted_into(wide, 32)
    assert fitted.size == (32, 8) and fitted.mode == "RGB" and fitted.getpixel((3, 3)) == WHITE
    row = row_of([wide, Image.new("L", (8, 8), 0)], 32)
    assert row.size == (68, 32)
    assert row.getpixel((0, 0)) == WHITE and row.getpixel((36 + 16, 16)) == (0, 0, 0)


def test_a_label_longer_than_its_row_is_not_cut() -> None:
    row = Image.new("RGB", (16, 16), "black")
    narrow, wide = contact_sheet([("a", row)], 32), contact_sheet([("a" * 40, row)], 32)
    assert narrow.width < 50 < wide.width and narrow.height == wide.height


def test_smoothing_looks_back_only() -> None:
    assert smoothed([1.0, 3.0, 5.0], 2) == [1.0, 2.0, 4.0]


def test_a_curve_can_be_drawn_of_a_run_that_has_done_nothing() -> None:
    pytest.importorskip("matplotlib")
    assert curve_picture([]).startswith(b"\x89PNG")


def test_the_contact_sheet_has_a_row_for_training_before_after_and_best(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    events = list(run_in(tmp_path, TinyModel(), settings()).events())
    rows = {"training", "before", "after", "best"}
    with Image.open(tmp_path / "run" / "contact-sheet.png") as sheet:
        assert sheet.width >= 4 * 128 and sheet.height >= len(rows) * 128
        assert sheet.convert("RGB").getpixel((sheet.width - 1, 0)) == WHITE
    with Image.open(tmp_path / "run" / "curve.png") as curve:
        assert curve.convert("RGB").getpixel((2, 2)) == WHITE
    finished = events[-1]
    assert isinstance(finished, Finished)
    for preview in of_kind(events, PreviewMade):
        assert preview.likeness is None and all(path.exists() for path in preview.pictures)
    steps = {preview.step for preview in of_kind(events, PreviewMade)}
    assert {0, 6, 12, finished.best_step} == steps
    with Image.open(tmp_path / "run" / "previews" / "step-000006.png") as row:
        assert row.size == (4 * SIZE + 3 * 4, SIZE)


def test_likeness_and_editability_are_measured_where_a_scorer_is_given(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    from pseudoword.scoring import ClipScorer
    from pseudoword.training.trainer import TrainingRun
    from tests.training.small_runs import pictures

    folder = save_open_clip(tmp_path / "clip")
    scorer = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    wanted = settings(steps=2, preview_every=1, start="auto", vectors=2)
    run = TrainingRun(TinyModel(), wanted, pictures(tmp_path / "pictures", wanted), tmp_path / "run", scorer)
    events = list(run.events())
    previews = of_kind(events, PreviewMade)
    assert all(-1 <= preview.likeness <= 1 and -1 <= preview.editability <= 1 for preview in previews)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.figures["start likeness"] == previews[0].likeness
    assert finished.figures["last editability"] == previews[-1].editability
    assert len(run.result("best").metadata.extra["pseudoword.start_words"].split()) == 2
    assert any(record["event"] == "preview" and record["likeness"] for record in timeless_history(tmp_path))
