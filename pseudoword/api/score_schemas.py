"""What programs send to the routes of `score_program_routes`, and what they get back.

As in `schemas`, only what pydantic 1.10 and pydantic 2 share is used.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, StrictStr

from ..jobs.scoring.clip_downloads import State as DownloadState
from ..jobs.scoring.score_job import State
from ..scoring.long_texts import LongTexts


class ScoredPicture(BaseModel, extra="forbid"):
    """A picture to score."""

    name: StrictStr = Field(..., description="What it is called in the answer; the content decides the type")
    data: StrictStr = Field(..., description="The file in base64, plain or as a data: URL")


class ScoreRequestBody(BaseModel, extra="forbid"):
    """Pictures, and what they are compared with: `texts`, or `classes` that are put into `templates`, or a `head`."""

    pictures: list[ScoredPicture] = Field([], description="Pictures to score")
    folder: StrictStr | None = Field(None, description="A folder of pictures on the server, besides `pictures`")
    addresses: list[StrictStr] = Field([], description="Addresses of pictures, where the server may fetch them")
    texts: list[StrictStr] = Field([], description="Texts to compare with")
    classes: list[StrictStr] = Field([], description="Names of classes, instead of `texts`")
    templates: StrictStr | list[StrictStr] = Field(
        "plain", description="'plain', 'openai', or sentences of your own with {} where the class stands"
    )
    long: LongTexts = Field("cut", description="What becomes of a text that is longer than the model reads")
    model: StrictStr = Field("", description="A model by its name; the default if left out")
    head: StrictStr | None = Field(None, description="The file of a head on the server")


class UnreadableAnswer(BaseModel, extra="forbid"):
    """A picture that could not be scored."""

    name: str = Field(..., description="What it is called")
    reason: str = Field(..., description="Why, half a sentence")


class ScoreResultAnswer(BaseModel, extra="forbid"):
    """Figures: rows are pictures, columns texts or classes."""

    model: str = Field(..., description="The model that scored, with a piece of its hash")
    width: int = Field(..., description="How many numbers a feature has")
    logit_scale: float = Field(..., description="By what cosines are multiplied before the softmax")
    pictures: list[str] = Field(..., description="Those that could be read, in the order they were given")
    labels: list[str] = Field(..., description="The texts, or classes")
    are_classes: bool = Field(..., description="Whether the labels are classes")
    cosines: list[list[float]] = Field(..., description="Cosine similarities; empty without labels or pictures")
    clip_scores: list[list[float]] = Field(..., description="100 times the cosines, at least 0")
    probabilities: list[list[float]] = Field(..., description="Softmax over the labels; each row sums to 1")
    best_labels: list[int] = Field(..., description="Of each picture, the column that fits best")
    best_pictures: list[int] = Field(..., description="Of each label, the row that fits best")
    is_square: bool = Field(..., description="Whether there are as many pictures as texts")
    found: int | None = Field(None, description="Then, how many pictures fit the text of their number best")
    head: str = Field(..., description="The head's name, empty without one")
    head_scores: list[float] = Field(..., description="What the head makes of each picture")
    notes: list[str] = Field(..., description="What is worth knowing, a sentence each")
    unreadable: list[UnreadableAnswer] = Field(..., description="Pictures that could not be scored")


class ScoreAnswer(BaseModel, extra="forbid"):
    """Pictures that are scored, as it stands."""

    id: str = Field(..., description="By what it is asked for again; keep it to yourself")
    state: State = Field(..., description="The last three are for good")
    message: str = Field(..., description="A sentence about the state, empty where there is nothing to say")
    done: int = Field(..., description="Pictures so far")
    total: int = Field(..., description="Pictures altogether; 0 until they are counted")
    seconds_left: float | None = Field(None, description="Estimate; null where nothing is known")
    model: str = Field(..., description="The model that scores, empty until it is loaded")
    result: ScoreResultAnswer | None = Field(None, description="At the end; of what was cancelled, what there is")


class ClipAnswer(BaseModel, extra="forbid"):
    """A CLIP model on the server's disk."""

    name: str = Field(..., description="By what it is chosen")
    origin: str = Field(..., description="Where it comes from")
    bytes: int | None = Field(None, description="Size of its weights")
    is_usable: bool = Field(..., description="Whether it can be loaded, as far as one sees without reading it")
    problem: str = Field(..., description="Why not, empty where it can")
    note: str = Field(..., description="What it is not good at, empty where nothing is known")


class DownloadAnswer(BaseModel, extra="forbid"):
    """The latest download."""

    name: str = Field(..., description="Of which model")
    state: DownloadState = Field(..., description="How it stands")
    message: str = Field(..., description="A sentence about its end, empty before")
    seconds: float = Field(..., description="How long it took so far")
    done_bytes: int | None = Field(None, description="How many bytes have come, as far as that is told")
    total_bytes: int | None = Field(None, description="How many there are")


class ClipsAnswer(BaseModel, extra="forbid"):
    """The models that there are."""

    default: str = Field(..., description="The one that scores where none is named")
    here: list[ClipAnswer] = Field(..., description="Those on the server's disk")
    elsewhere: list[str] = Field(..., description="Those that would have to be downloaded")
    no_download: str = Field("", description="Why who asks may download none of those; empty where he may")
    download: DownloadAnswer | None = Field(None, description="The latest since the server started")


class DownloadRequest(BaseModel, extra="forbid"):
    """A model to download to the server."""

    name: StrictStr = Field(..., description="One of `elsewhere`")


_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
REQUEST_EXAMPLES: dict[str, Any] = {
    "texts": {
        "summary": "Which text fits",
        "value": {"pictures": [{"name": "a.png", "data": _PIXEL}], "texts": ["a cat", "a dog"]},
    },
    "classes": {
        "summary": "Classes without training",
        "value": {"folder": "outputs", "classes": ["cat", "dog"], "templates": "openai"},
    },
}
RESULT_EXAMPLE: dict[str, Any] = {
    "model": "ViT-B-32:openai [a1b2c3d4e5]",
    "width": 512,
    "logit_scale": 100.0,
    "pictures": ["a.png"],
    "labels": ["a cat", "a dog"],
    "are_classes": False,
    "cosines": [[0.281, 0.224]],
    "clip_scores": [[28.1, 22.4]],
    "probabilities": [[0.996657, 0.003343]],
    "best_labels": [0],
    "best_pictures": [0, 0],
    "is_square": False,
    "found": None,
    "head": "",
    "head_scores": [],
    "notes": [],
    "unreadable": [],
}
SCORE_EXAMPLE: dict[str, Any] = {
    "id": "6Qq0…",
    "state": "finished",
    "message": "",
    "done": 1,
    "total": 1,
    "seconds_left": None,
    "model": "ViT-B-32:openai [a1b2c3d4e5]",
    "result": RESULT_EXAMPLE,
}
CLIPS_EXAMPLE: dict[str, Any] = {
    "default": "pseudoword-mini",
    "here": [
        {
            "name": "pseudoword-mini",
            "origin": "built in",
            "bytes": 9_000_000,
            "is_usable": True,
            "problem": "",
            "note": "…",
        }
    ],
    "elsewhere": ["ViT-B-32:openai"],
    "download": None,
}
