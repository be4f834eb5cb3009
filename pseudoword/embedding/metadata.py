"""What is known about an embedding besides its vectors, and how files spell it.

`modelspec.*` keys follow version 1.0.1 of Stability AI's Model Metadata Standard; facts about the training that it has
no key for stand under `pseudoword.*`. All values are strings, as the safetensors format wants.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TEXT_KEYS = {
    "architecture": "modelspec.architecture",
    "title": "modelspec.title",
    "description": "modelspec.description",
    "author": "modelspec.author",
    "date": "modelspec.date",
    "resolution": "modelspec.resolution",
    "trigger_phrase": "modelspec.trigger_phrase",
    "trained_on": "pseudoword.trained_on",
    "trained_on_sha256": "pseudoword.trained_on_sha256",
    "recipe": "pseudoword.recipe",
}
_NUMBER_KEYS = {"steps": "pseudoword.steps", "clip_skip": "modelspec.encoder_layer"}

NAME_KEY = "pseudoword.name"
HASH_KEY = "modelspec.hash_sha256"
_HASHES = ("modelspec.hash_", "sshs_")  # of one file's bytes, wrong in any other
_WRITTEN_ANEW = {NAME_KEY, HASH_KEY, "modelspec.sai_model_spec", "modelspec.implementation"}

_ARCHITECTURE_IDS = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-512",
    "sdxl": "stable-diffusion-xl-v1-base",
}
_ABSOLUTE_PATH = re.compile(r"^(?:[A-Za-z]:[\\/]|[\\/]|~[\\/])")


@dataclass(frozen=True)
class EmbeddingMetadata:
    """Facts about an embedding; an empty text or None means that it isn't known.

    `architecture` is modelspec's ("stable-diffusion-v1/textual-inversion") and told from the vectors when empty;
    `date` is ISO 8601; `resolution` is "512x512"; `trained_on` is the checkpoint's title and `trained_on_sha256` its
    hash; `clip_skip` 1 is the last layer of the text encoder; `recipe` says how the vectors came about (settings or a
    formula). `extra` holds further keys as the file spells them, ours beginning with `pseudoword.`.
    """

    architecture: str = ""
    title: str = ""
    description: str = ""
    author: str = ""
    date: str = ""
    resolution: str = ""
    trigger_phrase: str = ""
    trained_on: str = ""
    trained_on_sha256: str = ""
    steps: int | None = None
    clip_skip: int | None = None
    recipe: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def metadata_to_strings(metadata: EmbeddingMetadata, name: str, architecture: str) -> dict[str, str]:
    """The keys and values that a file gets for the word `name`; `architecture` is "sd1", "sd2" or "sdxl".

    Folders of absolute paths are left out: they tell strangers about the author's machine.
    """
    known = {key: getattr(metadata, field_name) for field_name, key in _TEXT_KEYS.items()}
    numbers = {key: getattr(metadata, field_name) for field_name, key in _NUMBER_KEYS.items()}
    strings = {key: str(value) for key, value in metadata.extra.items()}
    strings.update({key: str(number) for key, number in numbers.items() if number is not None})
    strings.update({key: value for key, value in known.items() if value})
    strings = {
        encodable(key): encodable(value if key == _TEXT_KEYS["description"] else without_folders(value))
        for key, value in strings.items()
        if key not in _WRITTEN_ANEW
    }
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.implementation": "diffusers",
        "modelspec.title": name,
        NAME_KEY: name,
        **strings,
        "modelspec.architecture": _architecture_id(metadata, architecture),
        "modelspec.trigger_phrase": encodable(metadata.trigger_phrase if name in metadata.trigger_phrase else name),
    }


def metadata_from_strings(strings: Mapping[str, str]) -> EmbeddingMetadata:
    """What `strings` say, the other way round; numbers that are none are left unknown, keys of others are kept."""
    texts = {field_name: strings.get(key, "") for field_name, key in _TEXT_KEYS.items()}
    numbers = {field_name: _number(strings.get(key, "")) for field_name, key in _NUMBER_KEYS.items()}
    understood = {*_TEXT_KEYS.values(), *_NUMBER_KEYS.values(), *_WRITTEN_ANEW}
    extra = {k: v for k, v in strings.items() if k not in understood and not k.startswith(_HASHES)}
    return EmbeddingMetadata(**texts, **numbers, extra=extra)  # type: ignore[arg-type]


def encodable(text: str) -> str:
    """`text` with � for halves of characters, which Linux has in the names of some files and UTF-8 cannot say."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_folders(text: str) -> str:
    """`text` with only the last part kept of an absolute path; JSON is searched through for them."""
    if text[:1] in ("{", "["):
        try:
            return json.dumps(_without_folders_deep(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text
    return re.split(r"[\\/]", text.rstrip("\\/"))[-1] if _ABSOLUTE_PATH.match(text) and "\n" not in text else text


def _without_folders_deep(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_folders_deep(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders_deep(item) for item in value]
    return without_folders(value) if isinstance(value, str) else value


def _architecture_id(metadata: EmbeddingMetadata, architecture: str) -> str:
    given = metadata.architecture
    if given and given not in _ARCHITECTURE_IDS:
        return encodable(given)
    base = _ARCHITECTURE_IDS[given or architecture]
    # SD 2 comes at two sizes, and its larger one predicts v: for loaders they are two architectures.
    if base == "stable-diffusion-v2-512" and "768" in metadata.resolution:
        base = "stable-diffusion-v2-768-v"
    return base + "/textual-inversion"


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None
