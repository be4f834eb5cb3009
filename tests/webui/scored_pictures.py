"""Pictures that a WebUI makes over its API with the CLIP score panel filled in, and what it says of their scores."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.webui.clip_skip_pictures import CAT, pixels
from tests.webui.server import Webui

PANEL = "Pseudoword CLIP score"


@dataclass(frozen=True)
class Answered:
    """The answer to a program: pixels of all images, their infotexts, and the facts about all."""

    images: list[bytes]
    infotexts: list[str]
    info: dict[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What it says of scores as a whole."""
        found: dict[str, Any] = self.info["extra_generation_params"]
        return {key: value for key, value in found.items() if key.startswith("CLIP")}

    @property
    def scores(self) -> list[str | None]:
        """What each infotext says."""
        return [keys_of(text).get("CLIP score") for text in self.infotexts]


def generated(webui: Webui, *panel: Any, prompt: str = CAT, route: str = "txt2img", **more: Any) -> Answered:
    """What the WebUI makes of `prompt`, with the panel filled in so after it was turned on; untouched without any."""
    asked = {"prompt": prompt, "seed": 7, "steps": 4, "width": 64, "height": 64, "cfg_scale": 5, **more}
    if panel:
        asked["alwayson_scripts"] = {PANEL: {"args": list(panel)}}
    answer = webui.ask(f"/sdapi/v1/{route}", {"sampler_name": "Euler a", **asked})
    assert answer.status == 200, answer
    info = json.loads(answer.json["info"])
    return Answered([pixels(image) for image in answer.json["images"]], info["infotexts"], info)


def keys_of(infotext: str) -> dict[str, str]:
    """What an infotext says of scores."""
    found = re.findall(r'(CLIP [\w ]*): ("[^"]*"|[^,]*)', infotext.rpartition("\n")[2])
    return {key: value.strip('"') for key, value in found}


def as_told(scores: list[float | None]) -> list[str | None]:
    """Scores as infotexts tell them."""
    return [None if score is None else f"{score:.1f}" for score in scores]
