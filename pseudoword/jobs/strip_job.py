"""One strip of pictures that is made in a thread of its own, in slices, and can be watched and cancelled meanwhile."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from ..diffusion import DiffusionModel, Sampling
from ..errors import ModelError, PseudowordError, TrainingError
from ..inspect.layer_scores import LayerScores, layer_scores
from ..inspect.layers import PLACE
from ..inspect.strips import Row, Shot, Similarities, similarities
from ..text.prompts import Layers, encode_negative, encode_prompts, vectors_for
from ..training.contact_sheet import png_bytes, row_of
from ..training.memory import out_of_memory_as
from .host import Host
from .slices import Interrupted, Slices
from .strip_sheet import SheetRow, SheetShot, strip_sheet

if TYPE_CHECKING:
    from ..scoring import ClipScorer

log = logging.getLogger(__name__)

State: TypeAlias = Literal["waiting", "making", "finished", "cancelled", "failed"]
RowFigures: TypeAlias = "Similarities | LayerScores"
ENDED: tuple[State, ...] = ("finished", "cancelled", "failed")
LEAST_SHOWN = 256  # pixels along one side
NO_SCORER = (
    "There is no CLIP model for this checkpoint, so the pictures come without figures; start the WebUI with "
    "--pseudoword-clip, or the studio with --clip, to have them measured."
)
NO_RECOMMENDATION = "Without figures no layer can be recommended."
TOO_LITTLE_MEMORY = "There is too little memory for these pictures; take fewer seeds, or end what else uses the memory."


@dataclass(frozen=True)
class StripWatched:
    """What a strip looks like at one moment.

    `done` of `total` pictures are made; `made` says how many shots of each row. `figures` has for each row those of the
    shots so far, None as long as there is nothing to compare; where there will be none, `no_figures` says why.
    `seconds_left` is None as long as nothing is known about it. `checkpoint` are SHA-256 and title of what it is
    made with, None before it began.
    """

    id: str
    state: State
    message: str
    done: int
    total: int
    titles: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    made: tuple[int, ...]
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    figures: tuple[RowFigures | None, ...]
    no_figures: str
    seconds_left: float | None
    checkpoint: tuple[str, str] | None

    @property
    def scores(self) -> LayerScores | None:
        """The figures of a comparison of layers, None where it has none, or where this is something else."""
        return next((found for found in self.figures if isinstance(found, LayerScores)), None)


class StripJob:
    """A strip that is under way. It begins at once; every method may be called from any thread.

    The model of `host` is used inside `turns` only, about `host.slice_s()` seconds at a time.
    """

    def __init__(
        self,
        id: str,
        rows: Sequence[Row],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        host: Host,
        turns: AbstractContextManager[None],
    ) -> None:
        self.id = id
        self._rows, self._seeds, self._steps, self._guidance = tuple(rows), tuple(seeds), steps, guidance
        self._host = host
        self._model: DiffusionModel | None = None
        self._slices = Slices(turns, self._borrowed, host.slice_s, lambda: not self._is_cancelled)
        self._changed = threading.Lock()  # guards what follows
        self._is_cancelled = False
        self._state: State = "waiting"
        self._message = ""
        self._no_figures = ""
        self._pictures: dict[tuple[int, int], bytes] = {}
        self._figures: list[RowFigures | None] = [None for _ in rows]
        self._began_at = self._latest_at = 0.0
        self._thread = threading.Thread(target=self._work, name=f"strip {id}", daemon=True)
        self._thread.start()

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> StripWatched:
        """How it stands now."""
        with self._changed:
            return StripWatched(
                self.id,
                self._state,
                self._message,
                len(self._pictures) * len(self._seeds),
                sum(len(row.shots) for row in self._rows) * len(self._seeds),
                tuple(row.title for row in self._rows),
                tuple(tuple(shot.label for shot in row.shots) for row in self._rows),
                tuple(sum(place[0] == number for place in self._pictures) for number in range(len(self._rows))),
                self._seeds,
                self._steps,
                self._guidance,
                tuple(self._figures),
                self._no_figures,
                self._seconds_left(),
                None if self._model is None else (self._model.sha256, self._model.title),
            )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        with self._changed:
            return self._state in ENDED

    @property
    def bytes_kept(self) -> int:
        """How much memory its pictures take."""
        with self._changed:
            return sum(map(len, self._pictures.values()))

    def cancel(self) -> None:
        """End as soon as the pass that is under way has ended; the pictures so far are kept."""
        with self._changed:
            if self._state not in ENDED:
                self._is_cancelled = True
                self._message = "Cancelling, after the pass that is under way."

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def picture(self, row: int, shot: int) -> bytes | None:
        """The pictures of one shot as a PNG, its seeds side by side; None where there are none yet."""
        with self._changed:
            return self._pictures.get((row, shot))

    def sheet(self) -> bytes:
        """The whole strip, as far as it is made, as a PNG with its labels and figures.

        Raises MissingExtra where matplotlib is not installed.
        """
        with self._changed:
            pictures, figures, no_figures = dict(self._pictures), list(self._figures), self._no_figures
            has_ended = self._state in ENDED
        rows = []
        for number, (row, found) in enumerate(zip(self._rows, figures, strict=True)):
            shots = [
                SheetShot(shot.label, found.caption(place) if found else "", picture_in(pictures[number, place]))
                for place, shot in enumerate(row.shots)
                if (number, place) in pictures
            ]
            explanation = found.explanation if found else no_figures
            if has_ended and isinstance(found, LayerScores):
                explanation = f"{found.recommendation.sentence} {explanation}"
            rows.append(SheetRow(row.title, shots, explanation))
        seeds = ", ".join(map(str, self._seeds))
        which = f"Seeds, from left to right: {seeds}" if len(self._seeds) > 1 else f"Seed: {seeds}"
        footer = f"{which}. Steps: {self._steps}. Guidance: {self._guidance:g}."
        return png_bytes(strip_sheet(rows, len(self._seeds), footer))

    def _seconds_left(self) -> float | None:
        done, total = len(self._pictures), sum(len(row.shots) for row in self._rows)
        if not done or self._state != "making":
            return None
        spent = self._latest_at - self._began_at
        return max(0.0, spent / done * (total - done) - (time.monotonic() - self._latest_at))

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with out_of_memory_as(lambda: ModelError(TOO_LITTLE_MEMORY)):
                self._make()
        except Interrupted:
            self._become("cancelled", "Cancelled; what was made by then is kept.")
        except TrainingError:  # what whoever borrows the model is told, is meant for trainings
            title = "the checkpoint" if self._model is None else self._model.title
            self._become(
                "failed", f"Another checkpoint or VAE was chosen meanwhile; choose {title} again, and start anew."
            )
        except PseudowordError as problem:
            self._become("failed", str(problem))
        except BaseException as problem:
            log.exception("The strip %s failed", [row.title for row in self._rows])
            self._become("failed", f"This should not have happened ({type(problem).__name__}: {problem}).")

    def _make(self) -> None:
        self._model = self._host.model()
        scorer = self._scorer()
        for number, row in enumerate(self._rows):
            features: list[Tensor] = []
            for place, shot in enumerate(row.shots):
                pictures = self._pictures_of(self._model, row, shot)
                if scorer is not None:  # outside of turns: it keeps nobody from the model
                    features.append(scorer.image_features(pictures))
                figures = None if scorer is None else figures_of(row, self._seeds, features, scorer)
                picture = png_bytes(row_of(pictures, shown_size(self._model.native_size)))
                with self._changed:
                    self._pictures[number, place] = picture
                    self._figures[number] = figures
                    self._latest_at = time.monotonic()
        self._become("finished", "")

    def _scorer(self) -> ClipScorer | None:
        """What measures the pictures; where nothing does, the reason is noted."""
        try:
            scorer, reason = self._host.scorer(), NO_SCORER
        except PseudowordError as problem:
            scorer, reason = None, f"The pictures come without figures: {problem}"
        if any(row.kind == "layers" for row in self._rows):
            reason = f"{reason} {NO_RECOMMENDATION}"
        with self._changed:
            self._no_figures = "" if scorer is not None else reason
        return scorer

    @torch.no_grad()
    def _pictures_of(self, model: DiffusionModel, row: Row, shot: Shot) -> list[Image.Image]:
        with self._slices.one():
            self._slices.between_passes()
            self._begin()
            for word, vectors in shot.words.items():  # what does not fit is told by its name
                for encoder in model.text_encoders:
                    vectors_for(encoder, shot.label if word == PLACE else word, vectors)
            usual = row.clip_skip or self._host.defaults().get("clip_skip", 1)
            layers: Layers = shot.layers or usual  # the negative prompt is read with the same
            told = encode_prompts(model, [shot.prompt], shot.words, layers)
            against = encode_negative(model, row.negative, shot.words, layers)
            side = model.native_size
            sampling = Sampling(side, side, self._steps, self._guidance)
            return model.generate(told, against, sampling, self._seeds, self._slices.between_passes)

    def _borrowed(self) -> AbstractContextManager[None]:
        assert self._model is not None
        return self._model.borrowed()

    def _begin(self) -> None:
        with self._changed:
            if self._state == "waiting":
                self._state, self._began_at = "making", time.monotonic()

    def _become(self, state: State, message: str) -> None:
        with self._changed:
            self._state, self._message = state, message


def figures_of(row: Row, seeds: Sequence[int], features: Sequence[Tensor], scorer: ClipScorer) -> RowFigures | None:
    """What `features` (B, F) of the first shots of `row` say; None as long as there is nothing to compare."""
    if row.kind == "layers":
        return layer_scores(row, seeds, features, scorer.text_features)
    return similarities(row, seeds, features)


def shown_size(side: int) -> int:
    """How many pixels a picture of `side` pixels is shown with: small ones are enlarged, each pixel to a square."""
    return side * max(1, -(-LEAST_SHOWN // side))


def picture_in(png: bytes) -> Image.Image:
    """The picture in a file of ours."""
    return Image.open(io.BytesIO(png))
