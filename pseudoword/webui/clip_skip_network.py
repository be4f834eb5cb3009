"""`<clipskip:…>` in prompts, and layers as axes of the WebUI's X/Y/Z plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modules import extra_networks, scripts

from ..errors import SettingsError
from ..text.layer_choice import NETWORK, parse_layers
from .clip_skip_generation import AXES, take_hold

GRID = "xyz_grid.py"
AXIS_LABELS = {
    "prompt": "[Pseudoword] CLIP skip",
    "negative": "[Pseudoword] CLIP skip of the negative prompt",
    "hires": "[Pseudoword] CLIP skip of the hires pass",
}


class ClipSkipNetwork(extra_networks.ExtraNetwork):  # type: ignore[misc]  # the WebUI has no annotations
    """What the WebUI finds in prompts as `<clipskip:…>` and takes out of them; called for every batch."""

    def __init__(self) -> None:
        super().__init__(NETWORK)

    def activate(self, p: Any, params_list: Sequence[Any]) -> None:
        """Before a batch is encoded, and again before its hires pass."""
        take_hold(p)

    def deactivate(self, p: Any) -> None:
        """After a generation: nothing was changed but `p`, which ends with it."""


def add_clip_skip() -> None:
    """Make the syntax and the axes known; called when the WebUI has loaded all scripts, before its page is built."""
    extra_networks.register_extra_network(ClipSkipNetwork())
    for script in scripts.scripts_data:
        if Path(script.path).name == GRID:
            add_axes(script.module)


def add_axes(grid: Any) -> None:
    """Add the axes to the WebUI's script for grids, unless it has them."""
    known = {option.label for option in grid.axis_options}
    for place, label in AXIS_LABELS.items():
        if label not in known:
            kind = grid.AxisOptionTxt2Img if place == "hires" else grid.AxisOption
            grid.axis_options.append(kind(label, str, applying(place), confirm=confirm))


def applying(place: str) -> Callable[[Any, str, Sequence[str]], None]:
    """What the grid calls for each of its cells: as if the value were written in the panel."""

    def apply(p: Any, value: str, _: Sequence[str]) -> None:
        setattr(p, AXES, {**getattr(p, AXES, {}), place: value})

    return apply


def confirm(_: Any, values: Sequence[str]) -> None:
    """Complain before the first picture of a value that is none, as the WebUI's own axes do."""
    for value in values:
        try:
            parse_layers(value)
        except SettingsError as problem:
            raise RuntimeError(str(problem)) from None
