"""This WebUI as a host of trainings and inspections: one object for the process, however often its UI is reloaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import call_queue, paths_internal, sd_models, shared

from ..builtin import CHECKPOINT
from ..hosts.vocabularies import read_vocabularies, vocabulary_widths
from ..hosts.webui.loaded_encoders import loaded_encoders
from ..hosts.webui.model import loaded_model
from ..hosts.webui.queue_turns import QueueTurns
from ..jobs.host import CPU_JOBS, Host, Shelf
from ..jobs.job_board import JobBoard
from ..jobs.library.inspector import Inspector
from ..jobs.scoring.clip_models import ClipModels, given_model
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.folders import is_below
from ..jobs.server.limits import parse_limits
from ..jobs.server.people import People
from ..jobs.server.server_log import log_to
from ..jobs.training.trainings import Trainings
from ..scoring.models import ClipModel
from .access import user_known_to
from .clip_skip_table import checkpoint_layers, loaded_checkpoint
from .settings_page import clip_stays, first_preset, runs_folder, scoring_device, slice_seconds, words_folder
from .words import embedding_files, embedding_folders, publish, read_words_again, refuse_taken_name, template_files

if TYPE_CHECKING:
    from ..scoring import ClipScorer

NO_OUTPUTS = (
    "make a picture first, or name a folder (where others come in, too, one that the WebUI was started with as "
    "--pseudoword-folder)"
)


@lru_cache(maxsize=1)
def host() -> Host:
    """It is made when the first page is built."""
    return Host(
        model=loaded_model,
        scorer=scorer,
        turns=QueueTurns(call_queue.queue_lock),
        runs=runs_folder(),
        slice_s=slice_seconds,
        refuse_name=refuse_taken_name,
        publish=publish,
        words=embedding_files,
        templates=template_files,
        folders=readable_folders(),
        defaults=defaults,
        first_preset=first_preset,
        encoders=loaded_encoders,
        library=embedding_folders,
        library_cache=Path(paths_internal.data_path) / "pseudoword" / "library.sqlite3",
        shelf=Shelf(checkpoint_files, vocabulary_widths, read_vocabularies),
        word_place=lambda name: words_folder() / f"{name}.safetensors",
        words_changed=read_words_again,
        checkpoint_layers=checkpoint_layers(),
        checkpoint=loaded_checkpoint,
        features=Path(paths_internal.data_path) / "pseudoword" / "clip-features.sqlite",
        outputs=output_folders,
        no_outputs=NO_OUTPUTS,
        may_fetch=shared.cmd_opts.pseudoword_fetch_urls,
        clips=clip_models(),
        people=People(user_known_to(api_auth()), is_shared, lambda: shared.cmd_opts.pseudoword_admin or ()),
        limits=parse_limits(shared.cmd_opts.pseudoword_limit or ()),
        is_ready=has_model,
        resumes=shared.cmd_opts.pseudoword_resume,
        cpu_jobs=max(shared.cmd_opts.pseudoword_cpu_jobs or CPU_JOBS, 1),
    )


@lru_cache(maxsize=1)
def board() -> JobBoard:
    """The list of jobs of this process."""
    log_to(host().runs, host().measures)
    return JobBoard(host())


@lru_cache(maxsize=1)
def trainings() -> Trainings:
    """The trainings of this process."""
    inspector(), scorings()  # before the list is opened all that may be in it is known
    return Trainings(host(), board())


@lru_cache(maxsize=1)
def inspector() -> Inspector:
    """What looks into embeddings in this process."""
    return Inspector(host(), board())


@lru_cache(maxsize=1)
def scorings() -> Scorings:
    """What scores pictures in this process."""
    return Scorings(host(), board())


def api_auth() -> str | None:
    """Names and passwords of programs, where there are such."""
    return shared.cmd_opts.api_auth if shared.cmd_opts.api else None


def has_model() -> bool:
    """Whether a checkpoint is loaded, which comes after the page."""
    return sd_models.model_data.sd_model is not None


def is_shared() -> bool:
    """Whether others than who sits at this computer may come in."""
    options = shared.cmd_opts
    return bool(options.webui_is_non_local or options.gradio_auth or options.gradio_auth_path)


def clip_models() -> ClipModels:
    """The CLIP models for scores and searches, on the CPU, where they are in nobody's way, or by setting on the GPU."""
    return ClipModels(QueueTurns(call_queue.queue_lock), clip_folders, clips_of_flag, scoring_device, clip_stays)


def output_folders() -> list[Path]:
    """Where the WebUI saves pictures, by its settings; such as exist."""
    options = shared.opts
    named = [options.outdir_samples, options.outdir_txt2img_samples, options.outdir_img2img_samples]
    named += [options.outdir_extras_samples, options.outdir_save]
    found = [path for path in dict.fromkeys(Path(folder).resolve() for folder in named if folder) if path.is_dir()]
    if not is_shared():
        return found
    # Visitors may change these settings: what they name is searched only where everybody may read anyway.
    roots = [Path(paths_internal.default_output_dir), *(readable_folders() or ())]
    return [path for path in found if is_below(path, roots)]


def clip_folders() -> list[Path]:
    """Where CLIP models may lie: the folders of the flag, or one beside the WebUI's other models."""
    named = shared.cmd_opts.pseudoword_clip_folder or [Path(paths_internal.models_path) / "CLIP"]
    return [Path(folder) for folder in named]


def clips_of_flag() -> list[ClipModel]:
    """The CLIP that --pseudoword-clip names."""
    files = shared.cmd_opts.pseudoword_clip
    return [given_model(*map(Path, files))] if files else []


def checkpoint_files() -> list[Path]:
    """The checkpoints that the WebUI knows, the newest first: it is more likely to be wanted than one from long ago."""
    files = [Path(info.filename) for info in sd_models.checkpoints_list.values()]
    return sorted((path for path in files if path.exists()), key=lambda path: -path.stat().st_mtime)


def defaults() -> dict[str, Any]:
    """Settings that follow the WebUI's own: its CLIP skip, which it applies to Stable Diffusion 1.x alone.

    When the page is built no checkpoint may be loaded yet; most are of that kind.
    """
    net = sd_models.model_data.sd_model
    return {} if net is not None and not net.is_sd1 else {"clip_skip": shared.opts.CLIP_stop_at_last_layers}


def private_folders() -> list[Path]:
    """Where Pseudoword keeps what is nobody's business: runs with their pictures, the list of jobs, the log."""
    return [Path(paths_internal.data_path) / "pseudoword", host().runs]


def readable_folders() -> list[Path] | None:
    """Where pictures of the server may be read: those of the flag, else anywhere for who has the computer to himself.

    On a server that others come in to the default is the WebUI's own folders of pictures.
    """
    if shared.cmd_opts.pseudoword_folder:
        return [Path(folder) for folder in shared.cmd_opts.pseudoword_folder]
    if not is_shared():
        return None
    return [Path(paths_internal.default_output_dir)]


@lru_cache(maxsize=1)
def scorer_of_flag() -> ClipScorer | None:
    """The CLIP that --pseudoword-clip names, on the CPU, where it is in nobody's way."""
    from ..scoring.models import load_model

    return next(map(load_model, clips_of_flag()), None)


@lru_cache(maxsize=1)
def builtin_scorer() -> ClipScorer:
    """The CLIP that ships with the built-in model."""
    from ..scoring import ClipScorer

    return ClipScorer.builtin()


def scorer() -> ClipScorer | None:
    """The CLIP that judges pictures: the flag's, else the built-in one for the built-in checkpoint, else none.

    The built-in one knows drawings of things alone, and would misjudge the pictures of another checkpoint.
    """
    given = scorer_of_flag()
    if given is not None or loaded_model().title != Path(CHECKPOINT).stem:
        return given
    return builtin_scorer()
