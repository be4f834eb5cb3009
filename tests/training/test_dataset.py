"""Training pictures are found, looked at, and those that cannot be used are named with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pseudoword.errors import DatasetError
from pseudoword.training.dataset import PictureSet, find_pictures
from pseudoword.training.settings import TrainSettings

SETTINGS = TrainSettings("zxq")


def save_noise(path: Path, size: tuple[int, int] = (48, 40), seed: int = 0, mode: str = "RGB") -> Path:
    """A picture that no other seed gives."""
    values = np.random.default_rng(seed).integers(1, 255, (size[1], size[0], len(mode)), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def names(found: PictureSet) -> list[str]:
    return [picture.path.name for picture in found.pictures]


def reasons(found: PictureSet) -> dict[str, str]:
    return {skip.path.name: skip.reason for skip in found.skipped}


def test_the_pictures_of_a_folder_come_in_the_order_of_their_names_with_their_captions(tmp_path: Path) -> None:
    for seed, name in enumerate(["b.png", "A.jpg", "c.webp"]):
        save_noise(tmp_path / name, seed=seed)
    (tmp_path / "b.txt").write_text("in a box")
    (tmp_path / "notes.md").write_text("no picture")
    found = find_pictures(tmp_path, SETTINGS)
    assert names(found) == ["A.jpg", "b.png", "c.webp"]
    assert [picture.filewords for picture in found.pictures] == ["", "in a box", ""]
    assert [(picture.width, picture.height) for picture in found.pictures] == [(48, 40)] * 3
    assert found.skipped == ()


def test_one_picture_and_a_list_of_places_are_taken_too(tmp_path: Path) -> None:
    first = save_noise(tmp_path / "first.png")
    save_noise(tmp_path / "more" / "second.png", seed=1)
    assert names(find_pictures(first, SETTINGS)) == ["first.png"]
    assert names(find_pictures([tmp_path / "more", first, first], SETTINGS)) == ["second.png", "first.png"]


def test_bad_pictures_among_good_ones_are_named_and_skipped(tmp_path: Path) -> None:
    save_noise(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:900])
    (tmp_path / "empty.jpg").write_bytes(b"")
    save_noise(tmp_path / "tiny.png", size=(15, 40))
    (tmp_path / "phone.heic").write_bytes(b"....ftypheic")
    Image.new("RGBA", (40, 40), (9, 9, 9, 0)).save(tmp_path / "nothing.png")
    save_noise(tmp_path / "z-copy.bmp")
    save_noise(tmp_path / "told.png", seed=7)
    (tmp_path / "told.txt").write_bytes(b"\xff\x00\x81")
    found = find_pictures(tmp_path, SETTINGS)
    assert names(found) == ["good.png"]
    said = reasons(found)
    assert said.keys() == {"broken.png", "empty.jpg", "tiny.png", "phone.heic", "nothing.png", "z-copy.bmp", "told.png"}
    assert "cut off" in said["broken.png"]
    assert "no picture" in said["empty.jpg"]
    assert "15 × 40 pixels" in said["tiny.png"]
    assert ".heic files are not read; save it as PNG or JPEG" in said["phone.heic"]
    assert "transparent all over" in said["nothing.png"]
    assert "same picture as good.png" in said["z-copy.bmp"]
    assert "told.txt is not text" in said["told.png"]


def test_a_picture_whose_caption_is_bad_does_not_take_its_copy_with_it(tmp_path: Path) -> None:
    save_noise(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\x00\x81")
    save_noise(tmp_path / "b.png")
    found = find_pictures(tmp_path, SETTINGS)
    assert names(found) == ["b.png"] and "a.txt is not text" in reasons(found)["a.png"]


def test_if_no_picture_is_usable_the_error_says_why_of_each(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"None of the 7 pictures can be used: 0\.png: it is no picture.*; and 2 more\.$"
    ):
        find_pictures(tmp_path, SETTINGS)
    with pytest.raises(DatasetError, match=r"The only picture cannot be used: 3\.png"):
        find_pictures(tmp_path / "3.png", SETTINGS)


def test_an_empty_folder_says_what_to_put_into_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is empty; put pictures into it, 3 to 10"):
        find_pictures(tmp_path, SETTINGS)


def test_a_folder_with_pictures_further_down_says_where_to_look(tmp_path: Path) -> None:
    save_noise(tmp_path / "cat" / "1.png")
    (tmp_path / "list.txt").write_text("cat")
    with pytest.raises(
        DatasetError, match=r"holds no picture, only 1 other files and the sub-folder 'cat'; give .*cat' if"
    ):
        find_pictures(tmp_path, SETTINGS)


@pytest.mark.parametrize("place", ["nowhere", "x" * 300, "a\0b", "~nobody-of-that-name/pictures"])
def test_a_path_that_is_not_there_is_an_error_of_one_sentence(tmp_path: Path, place: str) -> None:
    with pytest.raises(DatasetError, match="does not exist|cannot be looked at"):
        find_pictures(Path(place) if place.startswith("~") else tmp_path / place, SETTINGS)


def test_no_place_at_all_is_an_error() -> None:
    with pytest.raises(DatasetError, match="No picture was given"):
        find_pictures([], SETTINGS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DatasetError, match="neither a file nor a folder"):
        find_pictures(tmp_path / "pipe.png", SETTINGS)


def test_a_bad_template_file_is_an_error_before_any_picture_is_read(tmp_path: Path) -> None:
    save_noise(tmp_path / "1.png")
    (tmp_path / "templates.txt").write_text("a photo")
    with pytest.raises(DatasetError, match="Line 1 of the template file"):
        find_pictures(tmp_path, TrainSettings("zxq", templates=str(tmp_path / "templates.txt")))


def test_pictures_too_small_for_the_size_of_training_are_skipped(tmp_path: Path) -> None:
    save_noise(tmp_path / "large.png", size=(128, 130))
    save_noise(tmp_path / "small.png", size=(300, 127), seed=1)
    found = find_pictures(tmp_path, TrainSettings("zxq", size=512))
    assert names(found) == ["large.png"]
    assert "300 × 127 pixels, and training at 512 needs 128 on each side" in reasons(found)["small.png"]
    everything = find_pictures(tmp_path, SETTINGS)
    assert names(everything.large_enough(508)) == ["large.png", "small.png"]
    with pytest.raises(DatasetError, match="training at 1024 needs 256"):
        everything.large_enough(1024)


def test_a_picture_that_went_away_meanwhile_is_named(tmp_path: Path) -> None:
    path = save_noise(tmp_path / "a.png")
    (picture,) = find_pictures(tmp_path, SETTINGS).pictures
    assert picture.load().size == (48, 40)
    path.unlink()
    with pytest.raises(DatasetError, match=r"a\.png can no longer be used"):
        picture.load()
