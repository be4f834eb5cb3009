"""The program that the work is done in: the WebUI or the studio, as its trainings and its inspector see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..diffusion import DiffusionModel, LoadedEncoders
from .layers.checkpoint_layers import CheckpointLayers
from .scoring.clip_models import ClipModels
from .server.limits import Limits
from .server.measures import Measures
from .server.people import People
from .slices import SLICE_S

if TYPE_CHECKING:
    from ..scoring import ClipScorer


CPU_JOBS = 2


@dataclass(frozen=True)
class Shelf:
    """Checkpoint files on the disk, of which only vocabularies are read: by encoder their widths, or vectors (V, D)."""

    files: Callable[[], Sequence[Path]]
    widths: Callable[[Path], Mapping[str, int]]
    read: Callable[[Path], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Host:
    """What trainings and inspections need of the program they run in.

    `model` and `scorer` may be asked for at any time; passes go through the model inside `turns` only, the lock of
    whoever uses it, which long work gives back every `slice_s()` seconds. Every run gets a folder of its own in
    `runs`. `refuse_name` raises SettingsError for names that are taken elsewhere. `publish` brings the file of a
    word that was learned to where it is used. `words` and `templates` are the files, by name, that the form offers
    to go on from and to take prompts from. Pictures and other files are read below `folders` only, where these are
    given. `defaults` are settings that the form has at first, where they are not the usual ones, and `first_preset`
    is what is chosen in it.

    `encoders` are those of the loaded model, also of one that cannot be trained on, None without any. `library` are the
    folders and files whose embeddings are inspected, and `library_cache` a file that spares reading them again. `shelf`
    has the vocabularies for those that the loaded model does not fit. `word_place` is where the file of a new word
    called so belongs, and `words_changed` is called after such a file was written. `checkpoint_layers` is the table of
    the layers that checkpoints want, None where none is kept; `checkpoint` are SHA-256 and title of the loaded one.

    `clips` are the CLIP models that pictures are scored and searched with; without any there is the built-in one alone.
    What they say of pictures is remembered in the file `features`. `outputs` are the folders that generated pictures
    are saved in, and `no_outputs` says what to do where there are none. Pictures that are named by an address of the
    web are fetched where `may_fetch`.

    `people` tells who asks, and `limits` how much they may ask for. Jobs begin once it `is_ready`, its model loaded.
    After a restart those that were running go on by themselves where it `resumes`; else they wait as paused. `cpu_jobs`
    of those that need the model of nobody run at a time. What is counted and timed meanwhile is in `measures`.
    """

    model: Callable[[], DiffusionModel]
    scorer: Callable[[], ClipScorer | None]
    turns: AbstractContextManager[None]
    runs: Path
    slice_s: Callable[[], float] = lambda: SLICE_S
    refuse_name: Callable[[str], None] = lambda name: None
    publish: Callable[[Path], None] = lambda word: None
    words: Callable[[], Mapping[str, Path]] = dict
    templates: Callable[[], Mapping[str, Path]] = dict
    folders: Sequence[Path] | None = None
    defaults: Callable[[], Mapping[str, Any]] = dict
    first_preset: Callable[[], str] = lambda: "object"
    encoders: Callable[[], LoadedEncoders | None] = lambda: None
    library: Callable[[], Sequence[Path]] = lambda: ()
    library_cache: Path | None = None
    shelf: Shelf | None = None
    word_place: Callable[[str], Path] = lambda name: Path(f"{name}.safetensors")
    words_changed: Callable[[], None] = lambda: None
    checkpoint_layers: CheckpointLayers | None = None
    checkpoint: Callable[[], tuple[str, str] | None] = lambda: None
    features: Path | None = None
    outputs: Callable[[], Sequence[Path]] = lambda: ()
    no_outputs: str = "name one, or start the studio with --pictures and the folders of yours"
    may_fetch: bool = False
    clips: ClipModels = field(default_factory=lambda: ClipModels(nullcontext()))
    people: People = field(default_factory=People)
    limits: Limits = field(default_factory=Limits)
    is_ready: Callable[[], bool] = lambda: True
    resumes: bool = False
    cpu_jobs: int = CPU_JOBS
    measures: Measures = field(default_factory=Measures)
