"""Settings → Pseudoword, and what is set there now."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import torch
from modules import devices, paths_internal, shared
from modules.shared import OptionInfo

from ..jobs.server.folders import folder_below
from ..jobs.slices import SLICE_S
from ..jobs.training.saved_settings import saved_settings
from ..ui.presets import PRESETS

LONGEST_SLICE_S = 30.0
SECTION = ("pseudoword", "Pseudoword", "training")
SLICE, RUNS, SUBFOLDER, PRESET, CLIP_ON_GPU, CLIP_STAYS = (
    "pseudoword_slice_seconds",
    "pseudoword_runs_folder",
    "pseudoword_embeddings_subfolder",
    "pseudoword_preset",
    "pseudoword_clip_on_gpu",
    "pseudoword_clip_stays",
)


def add_settings() -> None:
    """Add the page."""
    folders = {"visible": not shared.cmd_opts.hide_ui_dir_config}
    options = {
        SLICE: OptionInfo(
            SLICE_S,
            "Seconds that a training holds the model at a time",
            gr.Slider,
            {"minimum": 0.2, "maximum": LONGEST_SLICE_S, "step": 0.1},
        ).info("generations of others wait this long at most; longer slices train a little faster with --medvram"),
        PRESET: OptionInfo("object", "Settings that the form begins with", gr.Dropdown, first_presets)
        .info("a preset, or settings that were saved in the form")
        .needs_reload_ui(),
        RUNS: OptionInfo("", "Folder of the training runs", component_args=folders)
        .info("empty: pseudoword/runs beside the WebUI's own data")
        .needs_restart(),
        SUBFOLDER: OptionInfo(
            "", "Sub-folder of the embeddings folder where words go that were learned", component_args=folders
        ).info("empty: the folder itself"),
        CLIP_ON_GPU: OptionInfo(False, "Score and search pictures on the GPU").info(
            "faster, and generations wait for it meanwhile; off: on the processor, in nobody's way"
        ),
        CLIP_STAYS: OptionInfo(False, "Keep the CLIP model on the GPU after use").info(
            "off: its memory is free for generations"
        ),
    }
    for name, option in shared.options_section(SECTION, options).items():
        shared.opts.add_option(name, option)


def first_presets() -> dict[str, list[str]]:
    """What the form can begin with."""
    return {"choices": [*PRESETS, *saved_settings(runs_folder())]}


def default_runs() -> Path:
    """Where runs are, unless the settings or a flag say otherwise."""
    return Path(paths_internal.data_path) / "pseudoword" / "runs"


def runs_folder() -> Path:
    """Where runs are. The flag wins, which visitors of the page cannot change."""
    chosen = shared.cmd_opts.pseudoword_runs or shared.opts.data.get(RUNS, "").strip()
    return Path(chosen).expanduser().resolve() if chosen else default_runs()


def slice_seconds() -> float:
    """How long a training holds the model: what is set, where that is a length, which a program may have missed."""
    try:
        seconds = float(shared.opts.data.get(SLICE, SLICE_S))
    except (TypeError, ValueError):
        return SLICE_S
    return seconds if 0 < seconds <= LONGEST_SLICE_S else SLICE_S


def scoring_device() -> torch.device:
    """Where CLIP scores pictures."""
    return devices.device if shared.opts.data.get(CLIP_ON_GPU, False) else torch.device("cpu")


def clip_stays() -> bool:
    """Whether CLIP's memory on the GPU is kept after use."""
    return bool(shared.opts.data.get(CLIP_STAYS, False))


def first_preset() -> str:
    """The preset that the form begins with."""
    chosen: str = shared.opts.data.get(PRESET, "object")
    return chosen


def words_folder() -> Path:
    """Where words go: the WebUI's embeddings folder, or a folder in it."""
    return folder_below(Path(shared.cmd_opts.embeddings_dir), shared.opts.data.get(SUBFOLDER, ""))
