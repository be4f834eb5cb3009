"""What is doubtful about a training set: on sample pictures, by the CLIP model that ships."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from pseudoword.builtin import SAMPLES, sample_sets
from pseudoword.decoding import decode_picture
from pseudoword.errors import DatasetError
from pseudoword.scoring import ClipScorer
from pseudoword.training.caption_fit import EVERYDAY, caption_fits
from pseudoword.training.dataset import files_without, find_pictures
from pseudoword.training.near_duplicates import difference_hash, near_duplicates
from pseudoword.training.picture_sharpness import BLURRED_FROM, edge_spread
from pseudoword.training.round_trip import as_picture, psnr, round_trip
from pseudoword.training.set_check import Checked, SeenByClip, check_set, checked_json, measure, remarks_on
from pseudoword.training.set_outliers import belongings, contrast_of
from tests.tiny_models import TinyModel
from tests.training.doubtful_sets import DOUBTFUL, fill_doubtful, sample
from tests.training.small_runs import settings

pytest.importorskip("open_clip")

SIZE, FACTOR = 64, 8
THINGS = tuple(name for name in sample_sets() if name != "blob-style")


@pytest.fixture(scope="module")
def scorer() -> ClipScorer:
    return ClipScorer.builtin()


@pytest.fixture(scope="module")
def contrast(scorer: ClipScorer) -> float:
    return contrast_of([scorer.image_features([sample(thing, number) for number in (1, 2, 3)]) for thing in THINGS])


def checked(
    folder: Path, scorer: ClipScorer, contrast: float, is_reliable: bool = True, **changes: Any
) -> list[Checked]:
    """A whole folder, without the VAE."""
    wanted = settings(**changes)
    pictures = find_pictures(folder, wanted).pictures
    decoded = [decode_picture(picture.path) for picture in pictures]
    measured = [
        measure(picture, pixels, wanted, SIZE, FACTOR) for picture, pixels in zip(pictures, decoded, strict=True)
    ]
    features = scorer.image_features([pixels.rgb for pixels in decoded])
    texts = {picture.filewords: scorer.text_features([picture.filewords])[0] for picture in pictures}
    texts.pop("", None)
    everyday = scorer.text_features(EVERYDAY)
    return check_set(measured, SeenByClip(features, contrast, scorer.logit_scale, everyday, texts, is_reliable))


def kinds(found: Sequence[Checked]) -> dict[str, list[str]]:
    """What was found, by the pictures' names; those with findings only."""
    return {one.measured.picture.path.name: [finding.kind for finding in one.findings] for one in found if one.findings}


# ---- the whole -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sample_sets())
@pytest.mark.parametrize("count", [3, 4, 5])
def test_good_sets_of_three_to_five_pictures_come_out_clean(
    name: str, count: int, tmp_path: Path, scorer: ClipScorer, contrast: float
) -> None:
    for path in sorted((SAMPLES / name).iterdir()):
        if path.name[0] <= str(count):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert kinds(checked(tmp_path, scorer, contrast)) == {}


def test_what_is_wrong_with_a_set_is_found(tmp_path: Path, scorer: ClipScorer, contrast: float) -> None:
    found = checked(fill_doubtful(tmp_path / "set"), scorer, contrast)
    assert kinds(found) == {
        "1-twemoji.png": ["caption"],
        "6-stranger.png": ["outlier"],
        "7-copy.jpg": ["duplicate"],
        "8-blurred.png": ["blurred"],
        "9-small.png": ["small", "duplicate"],
    }
    assert tuple(one.measured.picture.path.name for one in found if one.leaves_out) == DOUBTFUL
    said = {finding.kind: finding.sentence for one in found for finding in one.findings}
    assert "“a train”" in said["caption"] and "of 92 everyday texts" in said["caption"]
    assert "40 × 40 pixels and is enlarged 1.6 times to 64 × 64" in said["small"]
    assert "nearly the same as 5-blob.png" in said["duplicate"] and "of 128 bits" in said["duplicate"]


def test_a_model_that_does_not_know_such_pictures_only_hints(
    tmp_path: Path, scorer: ClipScorer, contrast: float
) -> None:
    found = checked(fill_doubtful(tmp_path / "set"), scorer, contrast, is_reliable=False)
    assert kinds(found)["6-stranger.png"] == ["outlier"]
    assert tuple(one.measured.picture.path.name for one in found if one.leaves_out) == DOUBTFUL[1:]


def test_without_clip_sizes_and_edges_are_looked_at_all_the_same(tmp_path: Path) -> None:
    wanted = settings()
    pictures = find_pictures(fill_doubtful(tmp_path / "set"), wanted).pictures
    measured = [measure(picture, decode_picture(picture.path), wanted, SIZE, FACTOR) for picture in pictures]
    assert kinds(check_set(measured, None)) == {"8-blurred.png": ["blurred"], "9-small.png": ["small"]}
    assert remarks_on(9, None) == []


def test_names_of_files_are_captions_where_the_templates_take_them(
    tmp_path: Path, scorer: ClipScorer, contrast: float
) -> None:
    (tmp_path / "set").mkdir()
    for number, name in ((1, "1 a strawberry"), (2, "2 a_train")):
        sample("strawberry", number).save(tmp_path / "set" / f"{name}.png")
    templates = tmp_path / "templates.txt"
    templates.write_text("a photo of [name], [filewords]")
    found = checked(tmp_path / "set", scorer, contrast, templates=str(templates))
    assert [one.measured.picture.filewords for one in found] == ["a strawberry", "a train"]
    assert all(one.caption is not None for one in found)
    assert not any(one.caption for one in checked(tmp_path / "set", scorer, contrast))


def test_how_little_few_pictures_tell_is_said(tmp_path: Path, scorer: ClipScorer, contrast: float) -> None:
    clip = SeenByClip(torch.zeros(0, 1), 1, 1, torch.zeros(0, 1), {}, True)
    assert "nobody can say" in remarks_on(2, clip)[0]
    assert "grossly" in remarks_on(3, clip)[0] and "grossly" in remarks_on(5, clip)[0]
    assert remarks_on(6, clip) == []


def test_all_of_it_can_be_told_to_programs(tmp_path: Path, scorer: ClipScorer, contrast: float) -> None:
    rows = [checked_json(one) for one in checked(fill_doubtful(tmp_path / "set"), scorer, contrast)]
    small = next(row for row in rows if row["name"] == "9-small.png")
    assert (small["width"], small["enlargement"], small["leave_out"], small["psnr"]) == (40, 1.6, True, None)
    assert [finding["kind"] for finding in small["findings"]] == ["small", "duplicate"]


# ---- who belongs ---------------------------------------------------------------------------------------------------


def test_a_stranger_is_found_and_nobody_else_is_called_one(scorer: ClipScorer, contrast: float) -> None:
    pictures = [sample("strawberry", number) for number in range(1, 6)]
    found = belongings(scorer.image_features([*pictures, sample("helicopter", 4)]), contrast)
    assert [one.is_outlier for one in found] == [False] * 5 + [True]
    assert found[5].with_others < found[0].with_others < found[5].among_others


def test_of_two_pictures_none_is_called_a_stranger(scorer: ClipScorer, contrast: float) -> None:
    assert belongings(scorer.image_features([sample("pizza", 1), sample("octopus", 2)]), contrast) == []


def test_means_are_those_of_all_pairs() -> None:
    features = torch.nn.functional.normalize(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    for place, one in enumerate(belongings(features, 1)):
        others = [other for other in range(5) if other != place]
        own = [float(features[place] @ features[other]) for other in others]
        among = [float(features[a] @ features[b]) for a in others for b in others if a != b]
        assert one.with_others == pytest.approx(sum(own) / 4, abs=1e-6)
        assert one.among_others == pytest.approx(sum(among) / 12, abs=1e-6)


def test_a_model_that_sees_no_difference_calls_nothing_a_stranger() -> None:
    alike = torch.ones(3, 4) / 2
    assert contrast_of([alike, alike]) == 0.05
    assert not any(one.is_outlier for one in belongings(torch.ones(6, 4) / 2, 0.05))


# ---- nearly the same -----------------------------------------------------------------------------------------------


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "another size": lambda picture: picture.resize((70, 70), Image.Resampling.LANCZOS),
    "a JPEG": as_jpeg,
    "more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.2),
    "a little cut off": lambda picture: picture.crop((3, 3, 125, 125)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_picture_after_a_small_change_is_found(change: str, scorer: ClipScorer) -> None:
    for thing in THINGS:
        pictures = [sample(thing, 3), CHANGES[change](sample(thing, 3))]
        hashes = [difference_hash(picture) for picture in pictures]
        assert near_duplicates(hashes, scorer.image_features(pictures)) == [(0, 1)], thing


def test_two_pictures_of_the_same_thing_are_none(scorer: ClipScorer) -> None:
    for thing in THINGS:
        pictures = [sample(thing, number) for number in range(1, 6)]
        assert near_duplicates([difference_hash(one) for one in pictures], scorer.image_features(pictures)) == []


def test_clip_and_pixels_must_agree() -> None:
    near, far = difference_hash(sample("pizza", 1)), difference_hash(sample("octopus", 2))
    same = torch.eye(2)[[0, 0]]
    assert near_duplicates([near, near], same) == [(0, 1)]
    assert near_duplicates([near, far], same) == []
    assert near_duplicates([near, near], torch.eye(2)) == []


# ---- how sharp -----------------------------------------------------------------------------------------------------


def drawing(side: int = 256) -> Image.Image:
    picture = Image.new("RGB", (side, side), "ivory")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((side // 5, side // 6, side // 2, side // 2), fill="firebrick")
    pen.polygon([(side // 2, side // 2), (side - 20, side // 3), (side - 30, side - 40)], fill="navy")
    return picture


@pytest.mark.parametrize("blur", [1.5, 2, 4])
def test_blur_is_told_from_sharpness(blur: float) -> None:
    sharp = drawing()
    assert (edge_spread(sharp) or 9) < 0.5
    assert (edge_spread(sharp.filter(ImageFilter.GaussianBlur(blur))) or 0) > BLURRED_FROM


def test_what_moved_is_blurred_too() -> None:
    pixels = np.asarray(drawing(), dtype=np.float32)
    moved = np.mean([np.roll(pixels, shift, axis=1) for shift in range(15)], axis=0).astype(np.uint8)
    assert (edge_spread(Image.fromarray(moved)) or 0) > BLURRED_FROM


def test_a_soft_background_is_no_blur() -> None:
    picture = drawing().filter(ImageFilter.GaussianBlur(8))
    picture.paste(drawing(128), (60, 60))
    assert (edge_spread(picture) or 9) < BLURRED_FROM


def test_of_stripes_only_the_edges_across_them_count() -> None:
    stripes = Image.new("L", (128, 128))
    ImageDraw.Draw(stripes).rectangle((0, 40, 127, 80), fill=200)
    assert (edge_spread(stripes) or 9) < 0.5


def test_of_a_picture_without_edges_nothing_is_said() -> None:
    assert edge_spread(Image.new("RGB", (64, 64), "teal")) is None


def test_the_border_of_a_picture_that_is_shown_whole_is_no_edge_of_it(tmp_path: Path) -> None:
    drawing().resize((256, 128)).filter(ImageFilter.GaussianBlur(8)).save(tmp_path / "wide.png")
    wanted = settings(crop="none")
    (picture,) = find_pictures(tmp_path, wanted).pictures
    assert (measure(picture, decode_picture(picture.path), wanted, 128, FACTOR).spread or 0) > BLURRED_FROM


# ---- captions ------------------------------------------------------------------------------------------------------


def test_captions_that_were_mixed_up_are_found() -> None:
    pictures = torch.eye(4)
    texts = ["a", "b", "c", "d"]
    fits = caption_fits(pictures, pictures[[1, 0, 2, 3]], texts, torch.zeros(2, 4), logit_scale=100)
    assert [fit.better for fit in fits] == [1, 0, None, None]
    assert [fit.is_doubtful for fit in fits] == [True, True, False, False]
    assert not any(fit.is_doubtful for fit in caption_fits(pictures, pictures, texts, torch.zeros(2, 4), 100))


def test_a_caption_that_stands_beside_all_pictures_is_not_mixed_up_with_itself() -> None:
    pictures = torch.eye(3)
    same = pictures[[0, 0, 0]]
    assert not any(fit.better for fit in caption_fits(pictures, same, ["a"] * 3, torch.zeros(1, 3), 100))


def test_right_captions_beat_everyday_texts_and_wrong_ones_do_not(scorer: ClipScorer) -> None:
    everyday = scorer.text_features(EVERYDAY)
    picture = scorer.image_features([Image.open(SAMPLES / "blob-style" / "3-cat.png").convert("RGB")])
    texts = ["a cat", "a newspaper on a table"]
    right, wrong = (
        caption_fits(picture, scorer.text_features([text]), [text], everyday, scorer.logit_scale)[0] for text in texts
    )
    assert right.beaten > 0.9 and not right.is_doubtful
    assert wrong.beaten < 0.25 and wrong.is_doubtful


# ---- there and back ------------------------------------------------------------------------------------------------


def test_psnr_is_that_of_the_textbook() -> None:
    pixels = torch.zeros(3, 16, 16)
    assert psnr(pixels, pixels + 0.2) == pytest.approx(20.0)  # range 2, error 0.2: 20·log10(10)
    assert psnr(pixels, pixels) == 100
    half = torch.zeros(1, 2, 2)
    half[..., 0] = 1
    other = pixels.clone()
    other[..., 8:] = 1
    assert psnr(pixels, other, half) == 100 and psnr(pixels, other) < 100


def test_a_picture_goes_through_the_vae_and_others_may_use_the_model_between() -> None:
    passes = []
    pixels = torch.rand(3, 32, 32) * 2 - 1
    made = round_trip(TinyModel(), pixels, None, lambda: passes.append(1))
    assert made.picture.size == (32, 32) and 0 < made.psnr < 30 and passes == [1]
    assert as_picture(pixels).size == (32, 32)


def test_a_picture_that_the_vae_cannot_hold_is_noted_and_stays(tmp_path: Path) -> None:
    wanted = settings()
    pictures = find_pictures(SAMPLES / "pizza", wanted).pictures
    measured = [measure(picture, decode_picture(picture.path), wanted, SIZE, FACTOR) for picture in pictures]
    rates = [28, 27.5, 29, 20, 14]
    found = check_set([replace(one, psnr=rate) for one, rate in zip(measured, rates, strict=True)], None)
    assert kinds(found) == {"4-noto.png": ["round trip"], "5-blob.png": ["round trip"]}
    assert "27.5 dB is the median" in found[3].findings[0].sentence and not found[3].leaves_out


# ---- leaving out ---------------------------------------------------------------------------------------------------


def test_files_are_left_out_of_folders_and_lists(tmp_path: Path) -> None:
    folder = fill_doubtful(tmp_path / "set")
    left = files_without(folder, {folder / "7-copy.jpg"})
    assert folder / "7-copy.jpg" not in left and len(left) == 9
    assert files_without(left, left[:2]) == left[2:]
    with pytest.raises(DatasetError, match="All pictures are left out"):
        files_without(left, left)
    with pytest.raises(DatasetError, match="no picture called 'other.png'"):
        files_without(folder, {folder / "other.png"})
