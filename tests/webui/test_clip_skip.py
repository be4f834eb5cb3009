"""CLIP skip over the API of a real WebUI: its own setting's bits, nothing left for others, and pictures that say it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.webui.place import BUILTIN
from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from pseudoword.text.layer_panel import OF_CHECKPOINT, OF_WORDS, WRITTEN
from tests.webui.clip_skip_pictures import CAT, keys_of, picture, pictures, pixels, with_setting
from tests.webui.server import CHECKPOINT, OTHER_CHECKPOINT, Webui, add_other_checkpoint, furnished, running

LONG = ", ".join(f"a (red:1.2) cat number {number}" for number in range(25))
SHAPES_OF_PROMPTS = [CAT, LONG, "a cat BREAK a dog", "a [cat:dog:0.5]", "a cat AND a dog :0.5", "a [cat|dog]", ""]
FAILING = """
from modules import scripts

class Failing(scripts.Script):
    def title(self):
        return "Failing"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process_batch(self, p, *args, **kwargs):
        if "explode" in p.prompts[0]:
            p.sample = lambda **_: 1 / 0
"""
STYLES = "name,prompt,negative_prompt\nsecond layer,<clipskip:2>,\nnegative layer,,<clipskip:3>\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI with styles, a script that fails, a second checkpoint, and words that say how they were trained."""
    folder = furnished(tmp_path_factory.mktemp("clip-skip"))
    (folder / "styles.csv").write_text(STYLES)
    (folder / "config.json").write_text(
        json.dumps({"CLIP_stop_at_last_layers": 1, "sd_model_checkpoint": f"{CHECKPOINT}.safetensors"})
    )
    (folder / "extensions" / "failing" / "scripts").mkdir(parents=True)
    (folder / "extensions" / "failing" / "scripts" / "failing.py").write_text(FAILING)
    add_other_checkpoint(folder)
    for name, clip_skip in (("toma", 2), ("fep", 3), ("dax", None)):
        word = Embedding(name, {"clip_l": torch.full((1, 128), 0.01)}, EmbeddingMetadata(clip_skip=clip_skip))
        save_embedding(word, folder / "embeddings" / f"{name}.safetensors")
    with running(folder, "--api") as webui:
        yield webui


# ---- the WebUI's own setting -----------------------------------------------------------------------------------------


def test_it_is_the_webui_s_own_setting_to_the_bit_and_told_with_its_key(place: Webui) -> None:
    for clip_skip in (1, 2, 3, 8):
        theirs = with_setting(place, clip_skip, negative_prompt="blurry")
        by_tag = picture(place, f"{CAT} <clipskip:{clip_skip}>", negative_prompt="blurry")
        by_panel = picture(place, CAT, WRITTEN, str(clip_skip), negative_prompt="blurry")
        assert by_tag[0] == by_panel[0] == theirs[0]
        assert by_panel[1] == theirs[1] and keys_of(by_tag[1]) == keys_of(theirs[1])


@pytest.mark.parametrize("prompt", SHAPES_OF_PROMPTS)
def test_every_kind_of_prompt_is_read_with_the_layer(place: Webui, prompt: str) -> None:
    theirs = with_setting(place, 2, prompt)
    assert picture(place, prompt, WRITTEN, 2)[0] == picture(place, f"{prompt}<clipskip:2>")[0] == theirs[0]
    assert theirs[0] != picture(place, prompt)[0]


@pytest.mark.parametrize(
    "more",
    [
        {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7},
        {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.7, "hr_checkpoint_name": OTHER_CHECKPOINT},
        {"refiner_checkpoint": OTHER_CHECKPOINT, "refiner_switch_at": 0.5},
        {"batch_size": 2, "n_iter": 2},
    ],
    ids=["hires", "hires with another checkpoint", "refiner", "batches"],
)
def test_every_kind_of_generation_follows_it(place: Webui, more: dict[str, Any]) -> None:
    plain = pictures(place, **more)  # first: the WebUI's first one of a kind may differ from the same by a rounding
    theirs = pictures(place, override_settings={"CLIP_stop_at_last_layers": 2}, **more)
    ours = pictures(place, CAT, WRITTEN, "2", **more)
    assert ours == theirs and len(ours) >= more.get("batch_size", 1)
    assert not [1 for one, other in zip(ours, plain, strict=True) if one[0] == other[0]]


def test_img2img_and_inpainting_follow_it(place: Webui) -> None:
    start = base64.b64encode(sorted((BUILTIN / "samples" / "penguin").glob("*.png"))[0].read_bytes()).decode()
    for more in ({}, {"mask": mask(), "inpainting_fill": 1}):
        asked: dict[str, Any] = {"route": "img2img", "init_images": [start], "denoising_strength": 0.8, **more}
        picture(place, **asked)  # the WebUI's first one of a kind may differ from the same again by a rounding
        theirs = with_setting(place, 2, **asked)
        assert picture(place, f"{CAT} <clipskip:2>", **asked)[0] == theirs[0]
        assert picture(place, CAT, WRITTEN, "2", **asked) == theirs
        assert picture(place, **asked)[0] != theirs[0]


def mask() -> str:
    file = BytesIO()
    half = Image.new("L", (64, 64))
    half.paste(255, (0, 0, 64, 32))
    half.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# ---- what the WebUI has no setting for -------------------------------------------------------------------------------


def test_prompt_negative_prompt_and_hires_pass_have_layers_of_their_own(place: Webui) -> None:
    more: dict[str, Any] = {"negative_prompt": "blurry"}
    ours = picture(place, CAT, WRITTEN, "2", "1", **more)
    assert keys_of(ours[1]) == {"Clip skip prompt": "2", "Clip skip negative prompt": "1"}
    by_tag = picture(place, f"{CAT} <clipskip:2><clipskip:1:negative>", **more)
    in_negative = picture(place, f"{CAT} <clipskip:2>", negative_prompt="blurry <clipskip:1>")
    assert ours[0] == by_tag[0] == in_negative[0]
    assert ours[0] not in (with_setting(place, 1, **more)[0], with_setting(place, 2, **more)[0])

    more |= {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    ours = picture(place, CAT, WRITTEN, "2", "", "3", **more)
    assert keys_of(ours[1]) == {"Clip skip prompt": "2", "Clip skip hires": "3"}
    assert ours[0] == picture(place, f"{CAT} <clipskip:2><clipskip:3:hires>", **more)[0]
    assert ours[0] == picture(place, f"{CAT} <clipskip:2>", hr_prompt=f"{CAT} <clipskip:3>", **more)[0]
    assert ours[0] not in [with_setting(place, clip_skip, **more)[0] for clip_skip in (2, 3)]


def test_a_blend_is_told_and_lies_between(place: Webui) -> None:
    ours = picture(place, CAT, WRITTEN, "2=3,1=1")
    assert keys_of(ours[1]) == {"Clip skip prompt": "1=0.25,2=0.75"}
    assert ours[0] == picture(place, f"{CAT}<clipskip:1=0.25,2=0.75>")[0]
    assert ours[0] not in (picture(place)[0], with_setting(place, 2)[0])
    assert picture(place, CAT, WRITTEN, "2=1,1=0")[0] == with_setting(place, 2)[0]


def test_the_prompt_wins_over_the_panel_and_a_contradiction_is_told(place: Webui) -> None:
    assert picture(place, f"{CAT} <clipskip:2>", WRITTEN, "3", "4")[0] == with_setting(place, 2)[0]
    first = picture(place, f"{CAT} <clipskip:2> <clipskip:3>")
    assert first[0] == with_setting(place, 2)[0]
    assert "<clipskip:3> contradicts <clipskip:2>" in keys_of(first[1])["Clip skip note"]


def test_styles_bring_their_layers(place: Webui) -> None:
    assert picture(place, styles=["second layer"])[0] == with_setting(place, 2, f"{CAT}, ")[0]
    assert picture(place, styles=["negative layer"])[0] == picture(place, f"{CAT} <clipskip:3:negative>")[0]


def test_prompts_of_a_list_have_layers_of_their_own(place: Webui) -> None:
    lines = f"{CAT} <clipskip:2>\n{CAT}\n{CAT} <clipskip:3>"
    script: dict[str, Any] = {
        "script_name": "prompts from file or textbox",
        "script_args": [False, False, "start", lines],
    }
    ours = [image for image, text in pictures(place, "", **script) if not text.startswith("grid")]
    theirs = [with_setting(place, clip_skip)[0] for clip_skip in (2, 1, 3)]
    assert ours[-3:] == theirs


def test_what_the_checkpoint_wants_is_remembered(place: Webui) -> None:
    unknown = picture(place, CAT, OF_CHECKPOINT)
    assert unknown[0] == picture(place)[0] and "not known what pseudoword-mini wants" in unknown[1]
    models = place.ask("/sdapi/v1/sd-models").json
    sha256 = next(model["sha256"] for model in models if model["model_name"] == CHECKPOINT)
    file = place.folder / "pseudoword" / "checkpoint-layers.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({sha256[:10]: {"prompt": "2", "negative": "3"}}))
    wanted = picture(place, CAT, OF_CHECKPOINT)
    file.unlink()
    assert wanted[0] == picture(place, CAT, WRITTEN, "2", "3")[0]
    assert keys_of(wanted[1]) == {"Clip skip prompt": "2", "Clip skip negative prompt": "3"}


def test_words_are_read_as_they_were_trained(place: Webui) -> None:
    assert picture(place, "a photo of toma", OF_WORDS) == with_setting(place, 2, "a photo of toma")
    changing = "a photo of [dax:toma:0.5]"
    assert picture(place, changing, OF_WORDS)[0] == with_setting(place, 2, changing)[0]
    apart = picture(place, "toma", OF_WORDS, negative_prompt="fep")
    assert keys_of(apart[1]) == {"Clip skip prompt": "2", "Clip skip negative prompt": "3"}
    at_odds = picture(place, "fep and toma", OF_WORDS)
    assert at_odds[0] == with_setting(place, 3, "fep and toma")[0]
    assert "different CLIP skips (fep with 3, toma with 2)" in keys_of(at_odds[1])["Clip skip note"]
    unknown = picture(place, "a photo of dax", OF_WORDS)
    assert unknown[0] == picture(place, "a photo of dax")[0] and "No embedding" in keys_of(unknown[1])["Clip skip note"]


def test_it_is_an_axis_of_the_grid(place: Webui) -> None:
    axis = [axes_of_grid(place).index("[Pseudoword] CLIP skip"), '1,2,"1=0.5,2=0.5"', []]
    nothing = [0, "", []]
    lone_images, values_as_text = [False, True, False, False, False, False, False, 0], [True]
    arguments = [*axis, *nothing, *nothing, *lone_images, *values_as_text]
    script: dict[str, Any] = {"script_name": "x/y/z plot", "script_args": arguments}
    made = pictures(place, **script)
    grid, cells = made[0], [image for image, _ in made[1:]]
    alone = [picture(place, CAT, WRITTEN, layers) for layers in ("1", "2", "1=0.5,2=0.5")]
    assert cells == [image for image, _ in alone]
    assert 'X Type: "[Pseudoword] CLIP skip"' in grid[1] or "X Type: [Pseudoword] CLIP skip" in grid[1]
    assert [keys_of(text) for _, text in made[1:]] == [keys_of(text) for _, text in alone]
    assert picture(place)[0] == alone[0][0]


def axes_of_grid(webui: Webui) -> list[str]:
    scripts = webui.ask("/sdapi/v1/script-info").json
    grid = next(script for script in scripts if script["name"] == "x/y/z plot" and not script["is_img2img"])
    found: list[str] = grid["args"][0]["choices"]
    return found


# ---- errors ----------------------------------------------------------------------------------------------------------

WRONG = {"0": "no layer 0", "99": "choose 1 to 8", "x": "'x' is not a layer", "1=0,2=0": "weights of the blend are 0"}


@pytest.mark.parametrize("layers", WRONG)
def test_what_cannot_be_is_told_and_the_setting_is_used(place: Webui, layers: str) -> None:
    theirs = with_setting(place, 3)
    for ours in (
        with_setting(place, 3, f"{CAT} <clipskip:{layers}>"),
        picture(place, CAT, WRITTEN, layers, override_settings={"CLIP_stop_at_last_layers": 3}),
    ):
        told = keys_of(ours[1])
        assert ours[0] == theirs[0] and WRONG[layers] in told.pop("Clip skip note") and told == {"Clip skip": "3"}


def test_programs_that_send_nonsense_are_answered(place: Webui) -> None:
    for panel in (["nowhere", "2"], [WRITTEN, [1, 2]], [WRITTEN, {"a": 1}], [99, None, None, None, None, None, None]):
        assert picture(place, CAT, *panel)[0] == picture(place)[0]


# ---- nothing is left for others --------------------------------------------------------------------------------------


def test_going_back_gives_the_first_picture(place: Webui) -> None:
    first = picture(place)
    assert picture(place, f"{CAT} <clipskip:2>")[0] != first[0]
    assert picture(place) == first
    assert picture(place, CAT, WRITTEN, "3")[0] not in (first[0], picture(place, CAT, WRITTEN, "2")[0])
    assert picture(place) == first


def test_a_generation_that_fails_or_is_interrupted_leaves_nothing(place: Webui) -> None:
    first = picture(place)
    failed = {"prompt": "explode <clipskip:2>", "steps": 1, "width": 64, "height": 64}
    assert place.ask("/sdapi/v1/txt2img", failed).status == 500
    assert picture(place) == first
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(picture, place, "a cat <clipskip:2>", WRITTEN, "3", steps=150, n_iter=50)
        while place.ask("/sdapi/v1/progress").json["state"]["sampling_step"] < 1:
            pass
        place.ask("/sdapi/v1/interrupt", {})
        long.result()
    assert picture(place) == first


def test_everybody_gets_what_he_chose(place: Webui) -> None:
    asked: list[tuple[Any, ...]] = [(), (WRITTEN, "2"), (WRITTEN, "1=0.5,3=0.5"), (WRITTEN, "2", "4"), (WRITTEN, "3")]
    alone = [picture(place, CAT, *panel) for panel in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = [pool.submit(picture, place, CAT, *panel) for panel in asked * 3]
        assert [one.result() for one in together] == alone * 3


def test_off_it_is_as_if_it_were_not_there(place: Webui, tmp_path: Path) -> None:
    folder = furnished(tmp_path)
    for file in (folder / "extensions").rglob("*.py"):
        file.unlink()
    with running(folder, "--api") as without:
        theirs = [picture(without), picture(without, LONG, negative_prompt="blurry")]
    assert theirs == [picture(place), picture(place, LONG, negative_prompt="blurry")]
    off: dict[str, Any] = {"alwayson_scripts": {"Pseudoword CLIP skip": {"args": [False, WRITTEN, "3", "3"]}}}
    assert picture(place, **off) == theirs[0]


# ---- pictures say what was used --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "panel",
    [(WRITTEN, "2"), (WRITTEN, "2", "1"), (WRITTEN, "1=0.5,2=0.5", "", "3"), (WRITTEN, "", "2", "", "4")],
    ids=" ".join,
)
def test_a_picture_can_be_made_again_from_its_infotext(place: Webui, panel: tuple[str, ...]) -> None:
    more = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    sampler = {"hr_sampler_name": "Euler a", "hr_scheduler": "Automatic"}  # the WebUI fails to read these itself
    made = picture(place, CAT, *panel, negative_prompt="blurry", **more, **sampler)
    answer = place.ask("/sdapi/v1/txt2img", {"infotext": made[1], **sampler})
    assert answer.status == 200, answer
    again = json.loads(answer.json["info"])["infotexts"][0]
    assert (pixels(answer.json["images"][0]), again) == made


def test_old_pictures_are_made_as_they_were(place: Webui) -> None:
    old = with_setting(place, 2)
    answer = place.ask("/sdapi/v1/txt2img", {"infotext": old[1]})
    assert pixels(answer.json["images"][0]) == old[0]
