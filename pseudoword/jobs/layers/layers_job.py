"""A comparison of layers as a job of the queue: what it made is in its folder, shot by shot, and is not made again.

request.json, words.safetensors    what was asked for, with the vectors of the new words in the prompt
shot-00.png, shot-00.safetensors   the pictures of a shot, its seeds side by side, and their CLIP features
figures.json                       what CLIP says of the shots so far
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from ...diffusion import DiffusionModel
from ...embedding.whole_file import write_whole
from ...errors import EmbeddingFileError, JobError, ModelError, PseudowordError, TrainingError
from ...inspect.layer_scores import LayerScores
from ...inspect.strips import Row, Shot, Similarities, layers_row
from ...text.layer_choice import parse_layers
from ..host import Host
from ..slices import Interrupted
from ..strips.strip_job import Made, Place, RowFigures, StripJob
from ..turns import Turns
from ..watched_job import HeldUp, Queued

if TYPE_CHECKING:
    from ...scoring import ClipScorer

REQUEST, WORDS, FIGURES = "request.json", "words.safetensors", "figures.json"
SHOWN_PROMPT = 80  # letters


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is asked for: a `row` of layers, and SHA-256 and title of the checkpoint (`model`) that it is for."""

    row: Row
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    model: tuple[str, str]

    @property
    def shown(self) -> dict[str, Any]:
        """Its settings, for who may see them."""
        shot = self.row.shots[0]
        return {
            "about": shot.prompt[:SHOWN_PROMPT],
            "prompt": shot.prompt,
            "negative prompt": self.row.negative,
            "layers": "; ".join(one.layers.text for one in self.row.shots if one.layers is not None),
            "seeds": ", ".join(map(str, self.seeds)),
            "steps": self.steps,
            "guidance": self.guidance,
            "model": self.model[1],
        }

    def write(self, folder: Path) -> None:
        """Put it into `folder`. Raises OSError, EmbeddingFileError."""
        shot = self.row.shots[0]  # all have the same prompt and words
        vectors = [(word, encoder, rows) for word, by in shot.words.items() for encoder, rows in by.items()]
        request = {
            "prompt": shot.prompt,
            "negative": self.row.negative,
            "layers": [one.layers.text for one in self.row.shots if one.layers is not None],
            "words": [[word, encoder] for word, encoder, _ in vectors],
            "seeds": self.seeds,
            "steps": self.steps,
            "guidance": self.guidance,
            "model": self.model,
        }
        tensors = {str(number): rows.detach().cpu().contiguous() for number, (_, _, rows) in enumerate(vectors)}
        write_whole(folder / WORDS, save(tensors), overwrite=True)
        write_whole(folder / REQUEST, (json.dumps(request, indent=2) + "\n").encode(), overwrite=True)


def read_comparison(folder: Path) -> Comparison:
    """The comparison that `Comparison.write` put into `folder`. Raises JobError where it cannot be read."""
    try:
        asked, tensors = json.loads((folder / REQUEST).read_bytes()), load_file(folder / WORDS)
        words: dict[str, dict[str, Tensor]] = {}
        for number, (word, encoder) in enumerate(asked["words"]):
            words.setdefault(word, {})[encoder] = tensors[str(number)]
        row = layers_row(asked["prompt"], words, [parse_layers(text) for text in asked["layers"]], asked["negative"])
        sha256, title = asked["model"]
        return Comparison(row, tuple(asked["seeds"]), asked["steps"], asked["guidance"], (sha256, title))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, PseudowordError) as problem:
        raise JobError(f"What layers were to be compared cannot be read any more ({problem}); start anew.") from problem


class LayersJob(StripJob):
    """The comparison in the folder of `queued`."""

    KIND = "layers"

    def __init__(self, id: str, host: Host, turns: AbstractContextManager[None], among: Turns, queued: Queued) -> None:
        asked = read_comparison(queued.folder)
        super().__init__(id, [asked.row], asked.seeds, asked.steps, asked.guidance, host, turns, among, queued)
        self._asked, self._folder = asked, queued.folder
        self._places = {(0, shot) for shot in range(len(asked.row.shots)) if self._file(shot, ".png").is_file()}
        self._done = len(self._places) * len(asked.seeds)
        figures, self._no_figures = read_figures(queued.folder / FIGURES)
        self._figures = [figures]

    def picture(self, row: int, shot: int) -> bytes | None:
        """The pictures of one shot as a PNG, its seeds side by side; None where there are none yet."""
        with self._changed:
            is_made = (row, shot) in self._places
        try:
            return self._file(shot, ".png").read_bytes() if is_made else None
        except OSError:
            return None

    @property
    def _checkpoint(self) -> tuple[str, str]:
        return self._asked.model

    def _right_model(self) -> DiffusionModel:
        try:
            model = super()._right_model()
        except ModelError as problem:
            raise HeldUp(str(problem)) from problem
        sha256, title = self._asked.model
        if model.sha256 != sha256:
            raise HeldUp(f"The comparison was started for the model {title}; choose that one again, then resume it.")
        return model

    def _exchanged(self, problem: TrainingError) -> Exception:
        return HeldUp(str(problem))

    def _made(self, place: Place, model: DiffusionModel, row: Row, shot: Shot, scorer: ClipScorer | None) -> Made:
        found = self._kept(place, scorer)
        if found is None:
            found = super()._made(place, model, row, shot, scorer)
            self._keep(place, found, scorer)
        return found

    def _kept(self, place: Place, scorer: ClipScorer | None) -> Made | None:
        """What is in the folder of a shot; None where it is to be made: features of two CLIP models are never mixed."""
        features = None
        try:
            png = self._file(place[1], ".png").read_bytes()
            if scorer is not None:
                with safe_open(str(self._file(place[1], ".safetensors")), "pt") as file:
                    if (file.metadata() or {}).get("clip") != scorer.identity:
                        return None
                    features = file.get_tensor("features")
        except (OSError, SafetensorError):
            return None
        return Made(png, features)

    def _keep(self, place: Place, made: Made, scorer: ClipScorer | None) -> None:
        if scorer is not None and made.features is not None:
            content = save({"features": made.features.contiguous()}, {"clip": scorer.identity})
            self._write(self._file(place[1], ".safetensors"), content)
        self._write(self._file(place[1], ".png"), made.png)

    def _publish(self, place: Place, made: Made, figures: RowFigures | None) -> None:
        told = {"figures": figures_json(figures), "no_figures": self._no_figures}
        self._write(self._folder / FIGURES, json.dumps(told).encode())
        super()._publish(place, Made(b"", None), figures)  # whoever looks reads the file
        self._heard()

    def _write(self, path: Path, content: bytes) -> None:
        if not self._folder.is_dir():  # it was discarded meanwhile
            raise Interrupted
        try:
            write_whole(path, content, overwrite=True)
        except (OSError, EmbeddingFileError) as problem:  # a full disk: nothing is lost, and it can be put right
            raise HeldUp(f"{problem} Make room on the server's disk, then resume it.") from problem

    def _file(self, shot: int, suffix: str) -> Path:
        return self._folder / f"shot-{shot:02d}{suffix}"

    def _result_of_queue(self) -> Mapping[str, Any]:
        scores = self._figures[0]
        if isinstance(scores, LayerScores):
            told = [scores.recommendation.sentence]
        else:
            told = [self._no_figures] if self._no_figures else []
        return {**super()._result_of_queue(), "says": told}


# ---- figures -------------------------------------------------------------------------------------------------------


def figures_json(figures: RowFigures | None) -> dict[str, Any] | None:
    """Those of a row of layers, as plain JSON values."""
    if not isinstance(figures, LayerScores):
        return None
    told = {"scores": figures.scores, "read": figures.read, "left_out": figures.left_out}
    return {"alike": asdict(figures.alike), "choices": [one.text for one in figures.choices], **told}


def read_figures(path: Path) -> tuple[LayerScores | None, str]:
    """What `figures_json` made, and why there is nothing; where that cannot be read there is neither."""
    try:
        told = json.loads(path.read_bytes())
        found, no_figures = told["figures"], str(told["no_figures"])
        if found is None:
            return None, no_figures
        alike = Similarities(**{name: _tuples(value) for name, value in found["alike"].items()})
        choices = tuple(map(parse_layers, found["choices"]))
        return LayerScores(alike, choices, _tuples(found["scores"]), found["read"], _tuples(found["left_out"])), ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PseudowordError):
        return None, ""


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
