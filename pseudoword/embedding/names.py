"""Which names a new word may have: they become file names, and people type them into prompts."""

from __future__ import annotations

import unicodedata

from pseudoword.errors import SettingsError

MAX_NAME_LENGTH = 100
_MAX_NAME_BYTES = 200  # room for a suffix in a file name of at most 255 bytes

_ALLOWED_PUNCTUATION = "._-"
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}
# What A1111's prompt parser reads as an operator, and what embedding files use as keys of their own.
_TAKEN_WORDS = {"and", "break", "string_to_param", "string_to_token", "emb_params", "clip_l", "clip_g", "clip_h"}


def check_name(name: str) -> str:
    """`name` in Unicode's composed form if a new embedding may be called so; else raises SettingsError.

    Letters and digits of any script, dots, hyphens and underscores are allowed: nothing that a file system, the prompt
    syntax of A1111 (`(word:1.2)`, `[a|b]`, `<lora:x>`), or ComfyUI's `embedding:word` would read as something else.
    """
    if not name:
        raise SettingsError("An embedding needs a name; write one, such as my-cat.")
    composed = unicodedata.normalize("NFC", name)
    problem = _problem(composed)
    if problem is not None:
        shown = ascii(name if len(name) <= MAX_NAME_LENGTH else name[:MAX_NAME_LENGTH] + "…")
        raise SettingsError(f"The name {shown} cannot be used for an embedding: {problem}.")
    return composed


def _problem(name: str) -> str | None:
    if not any(character.isalnum() for character in name):
        return "it has no letter or digit"
    if len(name) > MAX_NAME_LENGTH or len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
        return f"it is longer than {MAX_NAME_LENGTH} characters or {_MAX_NAME_BYTES} bytes; shorten it"
    for character in name:
        if not character.isalnum() and character not in _ALLOWED_PUNCTUATION and not unicodedata.combining(character):
            return f"it contains {character!a}; use letters, digits, dots, hyphens and underscores"
    if name.startswith(".") or name.endswith(".") or ".." in name:
        return "it starts or ends with a dot or has two in a row"
    if name.split(".")[0].lower() in _WINDOWS_DEVICES:
        return "Windows keeps that name for a device"
    if name.lower() in _TAKEN_WORDS:
        return "prompts or embedding files already use that word for something else"
    if name.lower().endswith(".preview"):
        return "the WebUI takes pictures that end so for previews"
    return None
