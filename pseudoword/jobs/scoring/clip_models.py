"""The CLIP models that pictures are scored with on this host: which there are, and the one that is in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

import torch

from ...errors import ModelError
from ...scoring.models import ClipModel, choose_default, load_model, models_at, models_here, pretrained_models

if TYPE_CHECKING:
    from ...scoring import ClipScorer

CPU = torch.device("cpu")
_Place: TypeAlias = tuple[ClipModel, torch.device]


class ClipModels:
    """Offers the models on this disk, those at `places` first, and keeps the latest that was used in memory.

    Passes on another `device()` than the CPU, which is the diffusion model's, are made inside `turns` only; where it
    does not stay there (`stays()`), it is moved away after use. Everything may be called from any thread.
    """

    def __init__(
        self,
        turns: AbstractContextManager[None],
        places: Callable[[], Sequence[Path]] = lambda: (),
        given: Callable[[], Sequence[ClipModel]] = lambda: (),
        device: Callable[[], torch.device] = lambda: CPU,
        stays: Callable[[], bool] = lambda: True,
    ) -> None:
        self._turns = turns
        self._places, self._given = places, given
        self._device, self._stays = device, stays
        self._lock = threading.Lock()  # guards what is in memory, and is held while it is read from the disk
        self._in_memory: tuple[_Place, ClipScorer] | None = None
        self._alive: WeakValueDictionary[_Place, ClipScorer] = WeakValueDictionary()  # that somebody works with

    def here(self) -> list[ClipModel]:
        """The models on this disk, also such that cannot be used; a place without any is passed over.

        Raises MissingExtra where open_clip is not installed.
        """
        places = [place for place in self._places() if holds_models(place)]
        return [*self._given(), *models_here(places)]

    def elsewhere(self) -> list[ClipModel]:
        """Those that open_clip could download. Raises MissingExtra."""
        return [model for model in pretrained_models() if model.weights is None]

    def default(self) -> ClipModel:
        """The one a flag names, else the best that is here, else the built-in one. Raises MissingExtra."""
        return next(iter(self._given()), None) or choose_default(self.here())

    def named(self, name: str) -> ClipModel:
        """The one called `name`, or without a name the default. Raises ModelError, MissingExtra."""
        if not name:
            return self.default()
        for model in [*self.here(), *self.elsewhere()]:
            if model.name.lower() == name.lower():
                return model
        raise ModelError(f"No CLIP model is called {name[:100]!r}; read the list of models again and choose one.")

    @contextmanager
    def using(self, model: ClipModel, *, inside_turn: bool = False) -> Iterator[ClipScorer]:
        """`model`, ready for passes, for about a second at a time where others may wait for the device.

        Who has the turn already, as a generation of the WebUI has, says so with `inside_turn`. Raises ModelError, also
        for one that is not on this disk: nothing is downloaded here.
        """
        device = self._device()
        scorer = self._loaded(model, device)
        if device.type == CPU.type:
            yield scorer  # which was loaded there, and is never moved
            return
        with nullcontext() if inside_turn else self._turns:
            scorer.move(device)
            try:
                yield scorer
            finally:
                if not self._stays():
                    scorer.move(CPU)

    def _loaded(self, model: ClipModel, device: torch.device) -> ClipScorer:
        """`model` for passes on `device` alone: when the setting is changed, others may still use it elsewhere."""
        place = (model, device)
        with self._lock:
            if self._in_memory is None or self._in_memory[0] != place:
                self._in_memory = None  # two at a time may be more than there is room for
                # Two jobs with a model each would load theirs again for every few pictures.
                self._in_memory = (place, self._alive.get(place) or load_model(model))
                self._alive[place] = self._in_memory[1]
            return self._in_memory[1]


def given_model(config: Path, weights: Path) -> ClipModel:
    """The model of two files that a flag names. Raises ModelError where one of them is not there."""
    for path in (config, weights):
        if not path.is_file():
            raise ModelError(f"{str(path)!r}, which is given as a CLIP model, is not a file; give its two files.")
    return ClipModel(config.parent.name, "given", weights, config, size_bytes=weights.stat().st_size)


def holds_models(place: Path) -> bool:
    """Whether there is a CLIP model at `place`."""
    try:
        return bool(models_at(place))
    except (ModelError, OSError):
        return False
