"""The layers that a host remembers for its checkpoints: said and changed."""

from __future__ import annotations

from ...errors import SettingsError
from ...text.layer_choice import parse_layers
from ..host import Host
from ..strips.strip_job import StripWatched
from .checkpoint_layers import CheckpointLayers, WantedLayers

NO_CHECKPOINT = "No checkpoint is loaded whose hash is known; make a picture first."


def remembered(host: Host) -> tuple[str, WantedLayers | None] | None:
    """The title of the loaded checkpoint and what is remembered for it; None where no checkpoint is known."""
    loaded = host.checkpoint()
    if loaded is None or host.checkpoint_layers is None:
        return None
    return loaded[1], host.checkpoint_layers.wanted(loaded[0])


def remembered_says(host: Host) -> str:
    """A sentence about what is remembered."""
    known = remembered(host)
    if known is None:
        return NO_CHECKPOINT
    title, wanted = known
    if wanted is None:
        return f"Nothing is remembered for {title}."
    negative = f", and {wanted.negative.text} for the negative prompt" if wanted.negative else ""
    return f"Remembered for {title}: CLIP skip {wanted.prompt.text}{negative}."


def remember(host: Host, layers: str, compared: StripWatched | None) -> str:
    """Remember `layers`, or where that is empty what was recommended, for the checkpoint that was `compared`.

    Without a comparison it is the loaded one. Returns what to tell. Raises SettingsError where there is nothing to
    remember or nothing to remember it for, EmbeddingFileError where the table cannot be written.
    """
    checkpoint = host.checkpoint() if compared is None or compared.checkpoint is None else compared.checkpoint
    if checkpoint is None or host.checkpoint_layers is None:
        raise SettingsError(NO_CHECKPOINT)
    if layers.strip():
        wanted = parse_layers(layers.strip())
    else:
        scores = None if compared is None or compared.state != "finished" else compared.scores
        found = None if scores is None else scores.recommendation.layers
        if found is None:
            raise SettingsError("No layer was recommended; write the one to remember, such as 2.")
        wanted = parse_layers(found.text)
    sha256, title = checkpoint
    host.checkpoint_layers.remember(sha256, WantedLayers(wanted, title=title))
    return f"CLIP skip {wanted.text} is remembered for {title}."


def forget(host: Host) -> str:
    """Forget what is remembered for the loaded checkpoint; returns what to tell. Raises SettingsError without one."""
    loaded = host.checkpoint()
    if loaded is None or host.checkpoint_layers is None:
        raise SettingsError(NO_CHECKPOINT)
    sha256, title = loaded
    if host.checkpoint_layers.wanted(sha256) is None:
        return f"Nothing was remembered for {title}."
    host.checkpoint_layers.forget(sha256)
    return f"Nothing is remembered for {title} any more."


def wanted_clip_skip(table: CheckpointLayers, sha256: str) -> dict[str, int]:
    """The training setting that a checkpoint wants; none where nothing is known of it, or a blend is remembered."""
    wanted = table.wanted(sha256)
    layers = () if wanted is None else wanted.prompt.blend.clip_skips
    return {"clip_skip": layers[0]} if len(layers) == 1 else {}
