"""Pictures that a WebUI makes over its API, with the CLIP skip panel filled in, and what their infotexts say of it."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from typing import Any

from PIL import Image

from tests.webui.server import Webui

CAT = "a photo of a red cat"
Picture = tuple[bytes, str]


def pictures(webui: Webui, prompt: str = CAT, *panel: Any, route: str = "txt2img", **more: Any) -> list[Picture]:
    """Pixels and infotext of every picture that the WebUI makes of `prompt`, with the panel filled in so."""
    asked = {"prompt": prompt, "seed": 7, "steps": 4, "width": 64, "height": 64, "cfg_scale": 5, **more}
    if panel:
        asked["alwayson_scripts"] = {"Pseudoword CLIP skip": {"args": [True, *panel]}}
    answer = webui.ask(f"/sdapi/v1/{route}", {"sampler_name": "Euler a", **asked})
    assert answer.status == 200, answer
    infotexts = json.loads(answer.json["info"])["infotexts"]
    return [(pixels(image), text) for image, text in zip(answer.json["images"], infotexts, strict=False)]


def pixels(encoded: str) -> bytes:
    with Image.open(BytesIO(base64.b64decode(encoded))) as image:
        return image.tobytes()


def picture(webui: Webui, prompt: str = CAT, *panel: Any, **more: Any) -> Picture:
    """The first of them."""
    return pictures(webui, prompt, *panel, **more)[0]


def with_setting(webui: Webui, clip_skip: int, prompt: str = CAT, **more: Any) -> Picture:
    """As the WebUI itself makes it with its own setting."""
    return picture(webui, prompt, override_settings={"CLIP_stop_at_last_layers": clip_skip}, **more)


def keys_of(infotext: str) -> dict[str, str]:
    """What an infotext says of layers."""
    found = re.findall(r'(Clip skip[\w ]*): ("[^"]*"|[^,]*)', infotext.rpartition("\n")[2])
    return {key: value.strip('"') for key, value in found}
