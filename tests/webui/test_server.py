"""What programs get from a WebUI that teaches a word meanwhile: its pictures unchanged, and sentences for refusals."""

from __future__ import annotations

import base64
import contextlib
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.webui.server import (
    CHECKPOINT,
    ENDLESS,
    OTHER_CHECKPOINT,
    PICTURES,
    SHORT,
    Answer,
    Webui,
    add_other_checkpoint,
    furnished,
    running,
)

DISK_BYTES = 8_000_000


# ---- beside others ---------------------------------------------------------------------------------------------------


def test_everybody_s_pictures_are_bit_for_bit_as_without_a_training(webui: Webui) -> None:
    before, _ = webui.picture()
    webui.begin("zxqa")
    at = webui.training("zxqa")["step"]
    during, _ = webui.picture()
    assert webui.wait_for_step("zxqa", at + 1)["state"] == "training"
    assert webui.order("zxqa", "pause")["state"] == "paused"
    paused, _ = webui.picture()
    webui.order("zxqa", "resume")
    webui.wait_for_more("zxqa")
    again, _ = webui.picture()
    assert webui.order("zxqa", "stop")["state"] == "stopped"
    after, _ = webui.picture()
    assert before == during == paused == again == after


def test_a_training_that_finished_leaves_the_model_as_it_was_and_the_word_beside_it(webui: Webui) -> None:
    before, _ = webui.picture()
    webui.begin("zxqb", {**SHORT, "preview_every": 15})
    assert "Write zxqb in a prompt" in webui.wait_for_state("zxqb", "finished")["message"]
    assert webui.picture()[0] == before
    with_word, told = webui.picture("a photo of zxqb")
    assert with_word != before and 'TI hashes: "zxqb: ' in told
    assert {"zxqb.safetensors", "zxqb.preview.png"} <= {path.name for path in (webui.folder / "embeddings").iterdir()}


def test_of_two_starts_at_once_one_begins_and_the_other_waits(webui: Webui) -> None:
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda name: webui.teach(name, ENDLESS), ["zxq-one", "zxq-two"]))
    assert [answer.status for answer in answers] == [201, 201]
    waits = next(name for name in ("zxq-one", "zxq-two") if webui.training(name)["state"] == "waiting")
    began = "zxq-two" if waits == "zxq-one" else "zxq-one"
    webui.wait_for_step(began, 2)
    assert webui.training(waits)["state"] == "waiting" and is_a_sentence(webui.training(waits)["message"])
    webui.order(began, "cancel")
    webui.wait_for_step(waits, 2)


# ---- what cannot be used ---------------------------------------------------------------------------------------------


def png(width: int, height: int, *more: bytes, rows: bytes = b"") -> bytes:
    """A gray PNG that claims to be so large; `rows` are its compressed pixels, and `more` are further chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def swollen(megabytes: int) -> bytes:
    """So many megabytes of nothing, compressed."""
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(bytes(1_000_000)) for _ in range(megabytes)) + compressor.flush()


UNFIT_FILES = {
    "a header that claims too much": (lambda: png(60_000, 60_000), "claims more than 64 million pixels"),
    "a real picture that is too large": (
        lambda: png(30_000, 30_000, rows=swollen(113)),
        "claims more than 64 million pixels",
    ),
    "a small picture with a bomb in its text": (
        lambda: png(64, 64, chunk(b"zTXt", b"about\0\0" + swollen(400)), rows=zlib.compress(bytes(64 * 9))),
        "is broken or cut off",
    ),
    "a text": (lambda: b"no picture at all\n" * 100, "no picture in the formats"),
    "nothing": (lambda: b"", "is empty"),
}


@pytest.mark.parametrize("what", UNFIT_FILES)
def test_a_file_that_is_no_usable_picture_is_refused_in_a_sentence(webui: Webui, what: str) -> None:
    make, reason = UNFIT_FILES[what]
    pictures = [{"name": "dog.png", "data": base64.b64encode(make()).decode()}]
    answer = webui.ask("/pseudoword/v1/trainings", {"settings": {"name": "zxqd"}, "pictures": pictures})
    assert_refused(answer, webui, reason)


def test_a_folder_that_is_not_there_is_refused_in_a_sentence(webui: Webui) -> None:
    assert_refused(webui.teach("zxqe", ENDLESS, webui.folder / "nowhere"), webui, "does not exist")


@pytest.mark.parametrize("name", ["../up", "a/b", "con", "cat", "", "a b", "x" * 300, ".."])
def test_a_name_that_no_word_can_have_is_refused_in_a_sentence(webui: Webui, name: str) -> None:
    assert_refused(webui.teach(name, ENDLESS), webui)
    assert not (webui.folder / "pseudoword" / "up").exists()


@pytest.mark.parametrize("path", ["..%2F..%2Fembeddings", "..", "%2E%2E", "con"])
def test_an_order_to_a_name_like_that_finds_nothing(webui: Webui, path: str) -> None:
    for method in ("GET", "POST"):
        assert webui.ask(f"/pseudoword/v1/trainings/{path}/cancel", method=method).status in (404, 405)
    assert (webui.folder / "embeddings").is_dir()


def assert_refused(answer: Answer, webui: Webui, reason: str = "") -> None:
    """One sentence with its reason; nothing has begun, and the server goes on to answer."""
    assert answer.status == 422, answer
    assert is_a_sentence(answer.detail) and reason in answer.detail, answer.detail
    assert "Traceback" not in webui.output[-2000:]
    assert webui.picture()[0]
    states = [training["state"] for training in webui.ask("/pseudoword/v1/trainings").json["trainings"]]
    assert not {"preparing", "training"} & set(states)


def is_a_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and len(text) < 1000


def test_a_training_that_was_cancelled_tells_of_no_pictures(webui: Webui) -> None:
    webui.begin("zxql", {**ENDLESS, "preview_every": 10})
    webui.order("zxql", "cancel")
    seen = webui.wait_for_state("zxql", "cancelled")
    for preview in seen["previews"]:
        assert webui.ask(f"/pseudoword/v1/training/previews/{preview['step']}.png").status == 200


def test_a_setting_that_cannot_be_used_costs_a_training_at_most(tmp_path: Path) -> None:
    with running(furnished(tmp_path / "webui"), "--api") as webui:
        before, _ = webui.picture()
        assert webui.ask("/sdapi/v1/options", {"pseudoword_slice_seconds": "fast"}).status == 200
        webui.teach("zxqm", ENDLESS)
        webui.wait_for("zxqm", lambda seen: seen["step"] > 0 or seen["state"] == "failed")
        assert webui.picture()[0] == before


# ---- what goes wrong on the way --------------------------------------------------------------------------------------


def test_pictures_that_disappear_in_the_middle_stop_nothing(webui: Webui, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(PICTURES, pictures)
    webui.begin("zxqh", {**SHORT, "preview_every": 15}, pictures)
    shutil.rmtree(pictures)
    seen = webui.wait_for_state("zxqh", "finished", "paused", "failed")
    assert seen["state"] == "finished", seen
    assert webui.picture()[0]


def test_another_checkpoint_pauses_the_training_until_its_own_is_back(webui: Webui) -> None:
    add_other_checkpoint(webui.folder)
    webui.ask("/sdapi/v1/refresh-checkpoints", {})
    webui.begin("zxqi")
    choose(webui, OTHER_CHECKPOINT)
    seen = webui.wait_for_state("zxqi", "paused")
    assert CHECKPOINT in seen["message"] and OTHER_CHECKPOINT in seen["message"], seen
    assert is_a_sentence(seen["message"])
    assert webui.picture()[0]
    webui.order("zxqi", "resume")
    still = webui.wait_for_state("zxqi", "paused")
    assert OTHER_CHECKPOINT in still["message"] and still["step"] == seen["step"]
    choose(webui, CHECKPOINT)
    webui.order("zxqi", "resume")
    assert webui.wait_for_step("zxqi", seen["step"] + 2)["state"] == "training"


def choose(webui: Webui, checkpoint: str) -> None:
    """Choose a checkpoint as the field at the top of the page does."""
    answer = webui.ask("/sdapi/v1/options", {"sd_model_checkpoint": f"{checkpoint}.safetensors"})
    assert answer.status == 200, answer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True).returncode == 0:
            yield disk
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
            return
    pytest.skip("mounting a small disk takes root, which the tests do not have here")


def test_a_full_disk_pauses_the_training_until_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    folder = furnished(tmp_path / "webui")
    with running(folder, "--api", "--pseudoword-runs", str(small_disk)) as webui:
        webui.begin("zxqj")
        filling = small_disk / "filling"
        with contextlib.suppress(OSError), open(filling, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        seen = webui.wait_for_state("zxqj", "paused")
        assert "No space left on device" in seen["message"] and is_a_sentence(seen["message"]), seen
        assert webui.picture()[0]
        filling.unlink()
        webui.order("zxqj", "resume")
        assert webui.wait_for_step("zxqj", seen["step"] + 2)["state"] == "training"
        assert webui.order("zxqj", "stop")["state"] == "stopped"
        assert (folder / "embeddings" / "zxqj.safetensors").exists()


def test_a_server_that_was_killed_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    with running(furnished(tmp_path / "webui"), "--api") as webui:
        webui.begin("zxqk")
        reached = webui.wait_for_step("zxqk", 15)["step"]
        webui.kill()
        webui.start()
        assert listed(webui) == [{"name": "zxqk", "state": "paused"}]
        seen = webui.training("zxqk")
        assert seen["step"] >= 10 and is_a_sentence(seen["message"]), f"{seen} after {reached} steps"
        webui.order("zxqk", "resume")
        first = webui.wait_for_step("zxqk", seen["step"] + 1)["step"]
        assert first > 10, f"{first} after {reached} steps with a checkpoint every 10"
        assert webui.wait_for_more("zxqk")["state"] == "training"
        assert listed(webui) == [{"name": "zxqk", "state": "training"}]


def listed(webui: Webui) -> list[dict[str, Any]]:
    trainings: list[dict[str, Any]] = webui.ask("/pseudoword/v1/trainings").json["trainings"]
    return trainings
