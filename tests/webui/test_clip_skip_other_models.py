"""CLIP skip over the API of a real WebUI with Stable Diffusion 2 and SDXL, made small and random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.webui.place import ROOT
from benchmarks.webui.place import Webui as Program
from pseudoword.text.layer_panel import OF_CHECKPOINT, WRITTEN
from tests.webui.clip_skip_pictures import CAT, keys_of, picture, with_setting
from tests.webui.server import CHECKPOINT, Webui, furnished, running

SD2, SDXL = "random-sd2", "random-sdxl"
SETTINGS = {
    "CLIP_stop_at_last_layers": 1,
    "sd_model_checkpoint": f"{CHECKPOINT}.safetensors",
    "show_progress_type": "Approx cheap",  # the usual one is a network that the WebUI fetches for SDXL
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI with a checkpoint of each kind."""
    folder = furnished(tmp_path_factory.mktemp("other-models"))
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    clip = folder / "models" / "Stable-diffusion" / CHECKPOINT / "tokenizer"
    job = {"clip": str(clip), "open_clip": "ViT-S-32-alt", "names": [SD2, SDXL]}
    Program.named().run(folder, ROOT / "tests" / "webui" / "inside_making_checkpoints.py", job)
    with running(folder, "--api") as webui:
        yield webui


@pytest.fixture(params=[SD2, SDXL])
def webui(place: Webui, request: pytest.FixtureRequest) -> tuple[Webui, str]:
    """The WebUI with one of them loaded, and which."""
    return use(place, request.param), request.param


def use(place: Webui, checkpoint: str) -> Webui:
    """The WebUI with `checkpoint` loaded."""
    assert place.ask("/sdapi/v1/options", {"sd_model_checkpoint": checkpoint}).status == 200
    picture(place)  # the WebUI's first one of a kind may differ from the same again by a rounding
    return place


def test_each_layer_gives_another_picture_and_going_back_the_first(webui: tuple[Webui, str]) -> None:
    place, _ = webui
    first = picture(place)
    assert keys_of(first[1]) == {}
    layers = ("2", "3", "1=0.5,2=0.5")
    ours = {text: picture(place, CAT, WRITTEN, text) for text in layers}
    assert len({first[0], *(image for image, _ in ours.values())}) == len(layers) + 1
    for text, (image, infotext) in ours.items():
        assert keys_of(infotext) == {"Clip skip prompt": text}
        assert picture(place, f"{CAT} <clipskip:{text}>")[0] == image
    assert picture(place, CAT, WRITTEN, "1")[0] == first[0]
    assert picture(place) == first


def test_the_webui_s_own_setting_has_no_effect_there_and_ours_has(webui: tuple[Webui, str]) -> None:
    place, _ = webui
    theirs = with_setting(place, 2)
    assert theirs[0] == picture(place)[0] != picture(place, CAT, WRITTEN, "2")[0]
    both = with_setting(place, 2, f"{CAT} <clipskip:3>")
    assert keys_of(both[1]) == {"Clip skip": "2", "Clip skip prompt": "3"}
    assert both[0] == picture(place, CAT, WRITTEN, "3")[0]


def test_the_prompt_and_the_negative_prompt_have_layers_of_their_own(webui: tuple[Webui, str]) -> None:
    place, _ = webui
    more: dict[str, Any] = {"negative_prompt": "blurry"}
    apart = picture(place, CAT, WRITTEN, "2", "1", **more)
    assert keys_of(apart[1]) == {"Clip skip prompt": "2", "Clip skip negative prompt": "1"}
    assert apart[0] not in (picture(place, **more)[0], picture(place, CAT, WRITTEN, "2", **more)[0])
    answer = place.ask("/sdapi/v1/txt2img", {"infotext": apart[1]})
    assert json.loads(answer.json["info"])["infotexts"] == [apart[1]], "pasted back it is the same"


def test_the_encoders_of_sdxl_have_layers_of_their_own(place: Webui) -> None:
    use(place, SDXL)
    found = {layers: picture(place, CAT, WRITTEN, layers) for layers in ("1", "2", "2/1", "1/2")}
    assert len({image for image, _ in found.values()}) == len(found)
    assert keys_of(found["2/1"][1]) == {"Clip skip prompt": "2/1"}
    assert picture(place, f"{CAT} <clipskip:2/1>")[0] == found["2/1"][0]
    assert picture(place, CAT, WRITTEN, "2/2")[0] == found["2"][0]


def test_layers_of_two_encoders_are_told_where_there_is_one(place: Webui) -> None:
    use(place, SD2)
    told = picture(place, CAT, WRITTEN, "2/1")
    keys = keys_of(told[1])
    assert "this model has one, and reads with 2" in keys.pop("Clip skip note") and keys == {"Clip skip prompt": "2"}
    assert told[0] == picture(place, CAT, WRITTEN, "2")[0]


def test_what_each_checkpoint_wants_is_remembered_by_its_hash(webui: tuple[Webui, str]) -> None:
    place, name = webui
    wanted = "2/1" if name == SDXL else "3"
    answer = place.ask("/pseudoword/v1/layers/remembered", {"layers": wanted})
    assert answer.status == 200 and answer.json["says"] == f"CLIP skip {wanted} is remembered for {name}."
    ours = picture(place, CAT, OF_CHECKPOINT)
    assert ours == picture(place, CAT, WRITTEN, wanted) != picture(place)


def test_layers_that_the_model_has_not_are_told_and_nothing_is_changed(webui: tuple[Webui, str]) -> None:
    place, _ = webui
    ours = picture(place, f"{CAT} <clipskip:99>")
    assert ours[0] == picture(place)[0] and "choose 1 to" in keys_of(ours[1])["Clip skip note"]


def test_looking_inside_tells_each_encoder(place: Webui) -> None:
    for checkpoint, encoders in ((SD2, ["open_clip_h"]), (SDXL, ["clip_l", "clip_g"])):
        use(place, checkpoint)
        for encoder in encoders:
            table = place.ask(f"/pseudoword/v1/layers/prompt.csv?text=a+cat&encoder={encoder}")
            assert table.status == 200 and table.content.startswith(b"number,chunk"), table
