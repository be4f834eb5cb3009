"""CLIP scores over the API of a real WebUI: each picture says its own, the best are kept, and nothing else changes."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.webui.place import BUILTIN
from pseudoword.builtin import OPEN_CLIP_FOLDER
from pseudoword.scoring import ClipScorer
from pseudoword.scoring.infotext import infotext_in
from tests.webui.clip_skip_pictures import CAT
from tests.webui.scored_pictures import PANEL, Answered, as_told, generated, keys_of
from tests.webui.server import Webui, furnished, running

FOUR: dict[str, Any] = {"batch_size": 2, "n_iter": 2}
BUILT_IN = "pseudoword-mini"
# An extension whose panels do what breaks things: pictures changed at the last moment, and a batch that fails.
MEDDLING = """
from PIL import ImageOps
from modules import scripts

class Meddling(scripts.Script):
    def title(self):
        return "Meddling"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process_batch(self, p, *args, **kwargs):
        if "explode" in p.prompts[0] and p.iteration:
            p.sample = lambda **_: 1 / 0

    def postprocess_image_after_composite(self, p, pp, *args):
        if "inverted" in p.prompt:
            pp.image = ImageOps.invert(pp.image)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI with an extension that meddles after ours, a broken CLIP model, and a copy of the built-in one."""
    folder = furnished(tmp_path_factory.mktemp("score"))
    (folder / "extensions" / "zz-meddling" / "scripts").mkdir(parents=True)
    (folder / "extensions" / "zz-meddling" / "scripts" / "meddling.py").write_text(MEDDLING)
    clips = folder / "models" / "CLIP"
    shutil.copytree(OPEN_CLIP_FOLDER, clips / "the copy")
    shutil.copytree(OPEN_CLIP_FOLDER, clips / "broken")
    weights = clips / "broken" / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with running(folder, "--api") as webui:
        yield webui


@pytest.fixture(scope="module")
def scorer() -> ClipScorer:
    return ClipScorer.builtin()


def score(scorer: ClipScorer, pixels: bytes, text: str, size: tuple[int, int] = (64, 64)) -> str:
    """The CLIPScore as it is told, by our own way over the same features."""
    picture = Image.frombytes("RGB", size, pixels)
    cosine = float(scorer.image_features([picture])[0] @ scorer.text_features([text])[0])
    return f"{100 * max(cosine, 0):.1f}"


# ---- every picture says its own score --------------------------------------------------------------------------------


def test_each_picture_of_all_batches_has_its_own_score(place: Webui, scorer: ClipScorer) -> None:
    made = generated(place, True, **FOUR)
    assert made.scores == [score(scorer, image, CAT) for image in made.images] and len(set(made.scores)) > 1
    assert made.scores == as_told(made.facts["CLIP score"])
    assert (
        keys_of(made.infotexts[0])
        == {
            "CLIP score": made.scores[0],
            "CLIP model": "the copy",  # the default is what somebody put there
            "CLIP model hash": scorer.identity[:10],
        }
    )


def test_the_prompt_is_cleaned_and_another_text_can_be_compared(place: Webui, scorer: ClipScorer) -> None:
    made = generated(place, True, prompt="a (photo:1.3) of a [blue:red:0.2] cat <lora:none:1>")
    assert made.scores == [score(scorer, made.images[0], CAT)]
    other = generated(place, True, "", "a yellow sun, shining: bright")
    assert other.scores == [score(scorer, other.images[0], "a yellow sun, shining: bright")]
    assert keys_of(other.infotexts[0])["CLIP score text"] == "a yellow sun, shining: bright"
    assert other.images == generated(place).images


@pytest.mark.parametrize(
    "more",
    [
        {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7},
        {"route": "img2img", "denoising_strength": 0.8},
        {"route": "img2img", "denoising_strength": 0.8, "mask": True, "inpainting_fill": 1},
    ],
    ids=["hires", "img2img", "inpainting"],
)
def test_every_kind_of_generation_is_scored_as_it_is_shown(
    place: Webui, scorer: ClipScorer, more: dict[str, Any]
) -> None:
    size = (128, 128) if "enable_hr" in more else (64, 64)
    if more.get("route") == "img2img":
        more = {**more, "init_images": [encoded(penguin())]}
    if more.get("mask"):
        more["mask"] = encoded(half())
    generated(place, **more, **FOUR)  # the WebUI's first one of a kind may differ from the same again by a rounding
    plain = generated(place, **more, **FOUR)
    made = generated(place, True, **more, **FOUR)
    assert made.images == plain.images and not plain.facts
    assert made.scores == [score(scorer, image, CAT, size) for image in made.images]


def penguin() -> Image.Image:
    return Image.open(sorted((BUILTIN / "samples" / "penguin").glob("*.png"))[0]).resize((64, 64))


def half() -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 64, 32))
    return mask


def encoded(picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_the_picture_is_scored_as_other_extensions_leave_it(place: Webui, scorer: ClipScorer) -> None:
    made = generated(place, True, prompt="an inverted cat")
    assert made.scores == [score(scorer, made.images[0], "an inverted cat")]


def test_what_is_saved_says_the_same(place: Webui) -> None:
    made = generated(place, True, **FOUR, save_images=True)
    files = saved(place)
    assert made.info["index_of_first_image"] == 1
    assert list(map(keys_of, files["samples"])) == list(map(keys_of, made.infotexts[1:]))
    assert keys_of(files["grids"][0]).keys() == {"CLIP model", "CLIP model hash"}  # a grid has no score of its own


def saved(webui: Webui) -> dict[str, list[str]]:
    """The infotexts of the files that were saved, in the order of their names; the files are taken away."""
    found: dict[str, list[str]] = {"samples": [], "grids": []}
    for path in sorted((webui.folder / "outputs").rglob("*.png")):
        found["grids" if "grid" in str(path.parent.parent) else "samples"].append(infotext_in(path.read_bytes()))
        path.unlink()
    return found


def test_a_long_prompt_says_so(place: Webui) -> None:
    long = ", ".join(f"a red cat number {number}" for number in range(25))
    cut, mean = (generated(place, True, "", "", 0, False, 0, way, prompt=long) for way in ("cut", "mean"))
    assert keys_of(cut.infotexts[0])["CLIP score long text"] == "cut"
    assert keys_of(mean.infotexts[0])["CLIP score long text"] == "mean"
    assert cut.scores != mean.scores


def test_a_prompt_without_words_has_no_score(place: Webui) -> None:
    made = generated(place, True, prompt="<lora:none:1>")
    assert made.scores == [None] and made.facts["CLIP score"] == [None]


# ---- the best are kept -----------------------------------------------------------------------------------------------


def best(all_of_them: Answered, count: int) -> list[int]:
    scores = all_of_them.facts["CLIP score"]
    return sorted(range(len(scores)), key=lambda place: -scores[place])[:count]


@pytest.mark.parametrize("best_first", [False, True])
def test_the_best_are_kept_with_all_that_belongs_to_them(place: Webui, best_first: bool) -> None:
    everything = generated(place, True, **FOUR)
    made = generated(place, True, "", "", 2, best_first, **FOUR)
    kept = best(everything, 2) if best_first else sorted(best(everything, 2))
    assert made.images == [everything.images[number] for number in kept]
    assert made.infotexts == [everything.infotexts[number] for number in kept]
    assert made.info["all_seeds"] == [7 + number for number in kept] and made.info["seed"] == 7 + kept[0]
    assert made.facts["CLIP pictures left out"] == 2 and len(made.facts["CLIP score"]) == 2


def test_only_what_is_kept_is_saved_and_the_grid_shows_it(place: Webui) -> None:
    everything = generated(place, True, **FOUR)
    made = generated(place, True, "", "", 2, True, **FOUR, save_images=True)
    files = saved(place)
    assert [keys_of(text)["CLIP score"] for text in files["samples"]] == made.scores[1:]
    assert made.images[1:] == [everything.images[number] for number in best(everything, 2)]
    assert len(files["grids"]) == 1 and made.info["index_of_first_image"] == 1


def test_where_all_are_kept_each_is_saved_with_its_own_score(place: Webui) -> None:
    made = generated(place, True, "", "", 4, True, **FOUR, save_images=True)
    assert len(set(made.scores[1:])) == 4
    assert saved(place)["samples"] == made.infotexts[1:]


def test_pictures_below_the_minimum_are_left_out_but_never_all(place: Webui) -> None:
    everything = generated(place, True, **FOUR)
    scores = everything.facts["CLIP score"]
    middle = sum(sorted(scores)[1:3]) / 2
    made = generated(place, True, "", "", 0, False, middle, **FOUR)
    assert made.facts["CLIP score"] == [score for score in scores if score >= middle]
    made = generated(place, True, "", "", 0, False, 99.9, **FOUR, save_images=True)
    assert made.facts["CLIP score"] == [max(scores)] and made.facts["CLIP pictures left out"] == 3
    assert [keys_of(text)["CLIP score"] for text in saved(place)["samples"]] == as_told([max(scores)])


def test_masks_stay_with_their_pictures(place: Webui) -> None:
    asked: dict[str, Any] = {
        "route": "img2img",
        "init_images": [encoded(penguin())],
        "mask": encoded(half()),
        "override_settings": {"return_mask": True, "return_mask_composite": True},
        **FOUR,
    }
    everything = generated(place, True, **asked)
    assert len(everything.images) == 12
    made = generated(place, True, "", "", 1, True, **asked)
    first = 3 * best(everything, 1)[0]
    assert made.images == everything.images[first : first + 3]


def test_a_failure_in_the_middle_saves_the_best_of_what_was_made(place: Webui) -> None:
    failed = {
        "prompt": "explode",
        "steps": 1,
        "width": 64,
        "height": 64,
        "save_images": True,
        **FOUR,
        "alwayson_scripts": {PANEL: {"args": [True, "", "", 1]}},
    }
    assert place.ask("/sdapi/v1/txt2img", failed).status == 500
    assert len(saved(place)["samples"]) == 1
    assert generated(place, True).scores != [None]


def test_who_interrupts_gets_the_best_of_what_is_finished(place: Webui) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(generated, place, True, "", "", 1, save_images=True, steps=20, n_iter=50)
        while place.ask("/sdapi/v1/progress").json["state"]["job_no"] < 2:
            pass
        place.ask("/sdapi/v1/interrupt", {})
        made = asked.result()
    scores = made.facts["CLIP score"]
    assert len([score for score in scores if score is not None]) == 1 and len(scores) <= 2
    assert [keys_of(text)["CLIP score"] for text in saved(place)["samples"]] == as_told(
        [score for score in scores if score is not None]
    )


# ---- scripts ---------------------------------------------------------------------------------------------------------


def plot(x: str, y: str = "", lone: bool = False) -> dict[str, Any]:
    """The X/Y/Z plot with seeds at X, and steps at Y."""
    axes = [1, x, [], 4 if y else 0, y, [], 0, "", []]
    return {
        "script_name": "x/y/z plot",
        "script_args": [*axes, True, lone, False, False, False, False, False, 0, True],
    }


def test_a_plot_has_a_sheet_of_scores(place: Webui) -> None:
    plain = generated(place, **plot("7,8", "2,4", lone=True))
    made = generated(place, True, **plot("7,8", "2,4", lone=True))
    assert len(made.images) == len(plain.images) + 1 and made.images[:1] + made.images[2:] == plain.images
    cells = made.infotexts[2:]
    told = made.facts["CLIP score"]
    assert as_told([scores[0] for scores in told.values()]) == [keys_of(cell)["CLIP score"] for cell in cells]
    assert list(told) == ["Seed: 7, Steps: 2", "Seed: 8, Steps: 2", "Seed: 7, Steps: 4", "Seed: 8, Steps: 4"]
    assert "CLIP score" not in keys_of(made.infotexts[0]) and made.info["index_of_first_image"] == 2
    short = generated(place, True, **plot("7,8"))
    assert len(short.images) == 2


def test_prompts_of_a_list_are_each_compared_with_themselves(place: Webui, scorer: ClipScorer) -> None:
    lines = ["a red cat", "a yellow sun", "a penguin"]
    script: dict[str, Any] = {
        "script_name": "prompts from file or textbox",
        "script_args": [False, False, "start", "\n".join(lines)],
    }
    made = generated(place, True, **script, prompt="")
    pictures = made.images[-3:]
    assert made.scores[-3:] == [score(scorer, image, line) for image, line in zip(pictures, lines, strict=True)]


def test_a_script_that_puts_pieces_together_is_left_alone(place: Webui) -> None:
    start = encoded(penguin())
    asked: dict[str, Any] = {
        "route": "img2img",
        "init_images": [start],
        "script_name": "sd upscale",
        "script_args": ["", 16, "Lanczos", 2],
    }
    generated(place, **asked)  # the WebUI's first one of a kind may differ from the same again by a rounding
    plain = generated(place, **asked)
    made = generated(place, True, "", "", 1, True, 50, **asked)
    assert made.images == plain.images and not keys_of(made.infotexts[0])


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["broken", "no such model", "ViT-B-32:openai"])
def test_without_a_model_pictures_are_as_they_were_and_say_why(place: Webui, model: str) -> None:
    made = generated(place, True, model, "", 1, True, 90, **FOUR)
    assert made.images == generated(place, **FOUR).images
    told = keys_of(made.infotexts[0])
    assert told == {"CLIP score note": "not scored (ModelError)"}
    assert str(place.folder) not in json.dumps(made.info)


def test_models_are_chosen_by_name(place: Webui, scorer: ClipScorer) -> None:
    made = generated(place, True, BUILT_IN)
    assert keys_of(made.infotexts[0])["CLIP model"] == BUILT_IN
    assert made.scores == [score(scorer, made.images[0], CAT)]


def test_programs_that_send_nonsense_are_answered(place: Webui) -> None:
    plain = generated(place, **FOUR)
    nonsense: list[list[Any]] = [
        [True, None, None, "many", "x", [1], {}],
        [True, "", "", -3, None, "inf", "all"],
        ["yes"],
        [None] * 9,
    ]
    for panel in nonsense:
        assert generated(place, *panel, **FOUR).images == plain.images


def test_nothing_is_left_for_others(place: Webui) -> None:
    saved(place)
    first = generated(place, **FOUR, save_images=True)
    files = saved(place)
    generated(place, True, "", "", 1, **FOUR)
    again = generated(place, **FOUR, save_images=True)
    assert (again.images, again.infotexts) == (first.images, first.infotexts) and not again.facts
    assert saved(place) == files


def test_off_it_is_as_if_it_were_not_there(place: Webui, tmp_path: Path) -> None:
    folder = furnished(tmp_path)
    for file in (folder / "extensions").rglob("*.py"):
        file.unlink()
    with running(folder, "--api") as without:
        theirs = generated(without, **FOUR)
    for ours in (generated(place, **FOUR), generated(place, False, "", "", 1, True, 50, **FOUR)):
        assert (ours.images, ours.infotexts) == (theirs.images, theirs.infotexts)
    assert generated(place, True, **FOUR).images == theirs.images


# ---- pictures say it again -------------------------------------------------------------------------------------------


def test_the_panel_is_filled_from_an_infotext_and_left_by_one_without_a_score(place: Webui) -> None:
    made = generated(place, True, BUILT_IN, "a red cat, sitting")
    answer = place.ask("/sdapi/v1/txt2img", {"infotext": made.infotexts[0]})
    assert answer.status == 200, answer
    assert json.loads(answer.json["info"])["infotexts"] == made.infotexts
    plain = generated(place)
    answer = place.ask("/sdapi/v1/txt2img", {"infotext": plain.infotexts[0]})
    assert json.loads(answer.json["info"])["infotexts"] == plain.infotexts
