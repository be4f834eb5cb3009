"""One strip of pictures that is made in a thread of its own, in slices, and can be watched and cancelled meanwhile."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from PIL import Image
from torch import Tensor

from ...diffusion import DiffusionModel, Sampling
from ...errors import ModelError, PseudowordError, TrainingError
from ...inspect.layer_scores import LayerScores, layer_scores
from ...inspect.layers import PLACE
from ...inspect.strips import Row, Shot, Similarities, similarities
from ...text.prompts import Layers, encode_negative, encode_prompts, vectors_for
from ...training.contact_sheet import png_bytes, row_of
from ..host import Host
from ..slices import Slices
from ..turns import Turns, WantedTurns
from ..watched_job import ENDED, Queued, WatchedJob
from .strip_sheet import SheetRow, SheetShot, strip_sheet

if TYPE_CHECKING:
    from ...scoring import ClipScorer

State: TypeAlias = Literal["waiting", "making", "paused", "finished", "cancelled", "failed"]
RowFigures: TypeAlias = "Similarities | LayerScores"
LEAST_SHOWN = 256  # pixels along one side
NO_SCORER = (
    "There is no CLIP model for this checkpoint, so the pictures come without figures; start the WebUI with "
    "--pseudoword-clip, or the studio with --clip, to have them measured."
)
NO_RECOMMENDATION = "Without figures no layer can be recommended."


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


@dataclass(frozen=True, eq=False)
class Made:
    """The pictures of one shot as a `png`, its seeds side by side, and their CLIP features (B, F), if there are any."""

    png: bytes
    features: Tensor | None


Place: TypeAlias = tuple[int, int]  # the number of a row, and of a shot in it


class StripJob(WatchedJob):
    """A strip. The model of `host` is used inside `turns` only, about `host.slice_s()` seconds at a time.

    `among` are the turns of all strips together: whoever else waits for the model has one of them before him, not all.
    """

    TOO_LITTLE_MEMORY = (
        "There is too little memory for these pictures; take fewer seeds, or end what else uses the memory."
    )

    def __init__(
        self,
        id: str,
        rows: Sequence[Row],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        host: Host,
        turns: AbstractContextManager[None],
        among: Turns,
        queued: Queued | None = None,
    ) -> None:
        super().__init__(id, "strip", queued)
        self._rows, self._seeds, self._steps, self._guidance = tuple(rows), tuple(seeds), steps, guidance
        self._host = host
        self._model: DiffusionModel | None = None
        self._turns = WantedTurns(among, self._is_wanted, turns)
        self._slices = Slices(self._turns, self._borrowed, host.slice_s, self._is_wanted)
        self._total = sum(len(row.shots) for row in rows) * len(seeds)
        self._no_figures = ""
        self._places: set[Place] = set()  # of the shots that are made
        self._pictures: dict[Place, bytes] = {}
        self._figures: list[RowFigures | None] = [None for _ in rows]

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> StripWatched:
        """How it stands now."""
        with self._changed:
            return StripWatched(
                self.id,
                cast(State, self._state),
                self._message,
                self._done,
                self._total,
                tuple(row.title for row in self._rows),
                tuple(tuple(shot.label for shot in row.shots) for row in self._rows),
                tuple(sum(place[0] == number for place in self._places) for number in range(len(self._rows))),
                self._seeds,
                self._steps,
                self._guidance,
                tuple(self._figures),
                self._no_figures,
                self._seconds_left(),
                self._checkpoint,
            )

    @property
    def bytes_kept(self) -> int:
        """How much memory its pictures take."""
        with self._changed:
            return sum(map(len, self._pictures.values()))

    def picture(self, row: int, shot: int) -> bytes | None:
        """The pictures of one shot as a PNG, its seeds side by side; None where there are none yet."""
        with self._changed:
            return self._pictures.get((row, shot))

    def sheet(self) -> bytes:
        """The whole strip, as far as it is made, as a PNG with its labels and figures.

        Raises MissingExtra where matplotlib is not installed.
        """
        with self._changed:
            places, figures, no_figures = set(self._places), list(self._figures), self._no_figures
            has_ended = self._state in ENDED
        rows = []
        for number, (row, found) in enumerate(zip(self._rows, figures, strict=True)):
            shots = [
                SheetShot(shot.label, found.caption(place) if found else "", picture_in(picture))
                for place, shot in enumerate(row.shots)
                if (number, place) in places and (picture := self.picture(number, place)) is not None
            ]
            explanation = found.explanation if found else no_figures
            if has_ended and isinstance(found, LayerScores):
                explanation = f"{found.recommendation.sentence} {explanation}"
            rows.append(SheetRow(row.title, shots, explanation))
        seeds = ", ".join(map(str, self._seeds))
        which = f"Seeds, from left to right: {seeds}" if len(self._seeds) > 1 else f"Seed: {seeds}"
        footer = f"{which}. Steps: {self._steps}. Guidance: {self._guidance:g}."
        return png_bytes(strip_sheet(rows, len(self._seeds), footer))

    @property
    def _checkpoint(self) -> tuple[str, str] | None:
        return None if self._model is None else (self._model.sha256, self._model.title)

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _do(self) -> str:
        try:
            model = self._model = self._right_model()
            scorer = self._scorer()
            for number, row in enumerate(self._rows):
                features: list[Tensor] = []
                for place, shot in enumerate(row.shots):
                    self._go_on()
                    made = self._made((number, place), model, row, shot, scorer)
                    if made.features is not None:
                        features.append(made.features)
                    figures = None if scorer is None else figures_of(row, self._seeds, features, scorer)
                    self._publish((number, place), made, figures)
        except TrainingError as problem:  # what whoever borrows the model is told, is meant for trainings
            raise self._exchanged(problem) from problem
        return ""

    def _right_model(self) -> DiffusionModel:
        """The model that is loaded. Raises PseudowordError where that is none to make the pictures with."""
        return self._host.model()

    def _exchanged(self, problem: TrainingError) -> Exception:
        """What to raise where another model has taken the place of the one that it began with."""
        title = "the checkpoint" if self._model is None else self._model.title
        return ModelError(f"Another checkpoint or VAE was chosen meanwhile; choose {title} again, and start anew.")

    def _made(self, place: Place, model: DiffusionModel, row: Row, shot: Shot, scorer: ClipScorer | None) -> Made:
        """The shot at `place`."""
        pictures = self._pictures_of(model, row, shot)
        # Measured outside of turns: it keeps nobody from the model.
        features = None if scorer is None else scorer.image_features(pictures)
        return Made(png_bytes(row_of(pictures, shown_size(model.native_size))), features)

    def _publish(self, place: Place, made: Made, figures: RowFigures | None) -> None:
        """Let the shot at `place` be seen, with the figures of its row so far."""
        with self._changed:
            is_new = place not in self._places
            self._places.add(place)
            self._pictures[place] = made.png
            self._figures[place[0]] = figures
            self._count(len(self._seeds) if is_new else 0)

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
            self._be("making")
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
