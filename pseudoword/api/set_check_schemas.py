"""What programs send to the routes of `set_check_program_routes`, and what they get back.

As in `schemas`, only what pydantic 1.10 and pydantic 2 share is used.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, StrictBool, StrictStr

from ..jobs.set_check.set_check_job import State
from ..training.set_check import Kind
from .schemas import UploadedPicture


class SetCheckRequest(BaseModel, extra="forbid"):
    """A training set to check: either `pictures` or `folder`, and what the training will be like."""

    settings: dict[str, Any] = Field(default_factory=dict, description="Training settings by name; none is required")
    pictures: list[UploadedPicture] | None = Field(None, description="The training pictures")
    folder: StrictStr | None = Field(None, description="A folder of pictures on the server, instead of `pictures`")
    clip: StrictStr = Field("", description="The CLIP model that looks at them, by its name; the best one if left out")
    round_trips: StrictBool = Field(True, description="Whether each goes through the VAE, which takes longest")


class FindingAnswer(BaseModel, extra="forbid"):
    """A reason to look at a picture."""

    kind: Kind = Field(..., description="What it is about")
    sentence: str = Field(..., description="What was found, with its figures")
    leaves_out: bool = Field(..., description="Whether that speaks for leaving the picture out")


class CheckedPicture(BaseModel, extra="forbid"):
    """One picture. Figures are null where nothing can be said, or not yet."""

    name: str = Field(..., description="Its file, for `leave_out` of a training")
    width: int = Field(..., description="Pixels")
    height: int = Field(..., description="Pixels")
    caption: str = Field(..., description="What stands for [filewords] at it")
    enlargement: float = Field(..., description="By how much it is enlarged for the training, 1 where it is not")
    edge_spread: float | None = Field(None, description="Spread of its clearest edges, in pixels of the training")
    psnr: float | None = Field(None, description="Likeness to it, in dB, of what the VAE makes of it")
    cosine_with_others: float | None = Field(None, description="Its mean CLIP cosine with the other pictures")
    cosine_among_others: float | None = Field(None, description="That of the others among themselves")
    caption_cosine: float | None = Field(None, description="CLIP cosine with its caption")
    leave_out: bool = Field(..., description="Whether it is proposed to be left out")
    findings: list[FindingAnswer] = Field(..., description="Reasons to look at it")
    has_round_trip: bool = Field(..., description="Whether there is a picture of what the VAE makes of it")


class SkippedFile(BaseModel, extra="forbid"):
    """A file that a training would pass over."""

    name: str = Field(..., description="Its name")
    reason: str = Field(..., description="Why, and what to do about it")


class SetCheckAnswer(BaseModel, extra="forbid"):
    """A check as it stands."""

    id: str = Field(..., description="Nobody finds the check without it")
    state: State = Field(..., description="What it does now; the last three are for good")
    message: str = Field(..., description="A sentence about the state, empty where there is nothing to say")
    done: int = Field(..., description="Work done so far; each picture is three pieces")
    total: int = Field(..., description="Work in all; 0 until the pictures are counted")
    seconds_left: float | None = Field(None, description="Estimate; null where nothing is known")
    size: int = Field(..., description="Side in pixels of the training that it is checked for")
    clip: str = Field(..., description="The CLIP model that looked, empty where none did or not yet")
    remarks: list[str] = Field(..., description="What should be known about the check, a sentence each")
    pictures: list[CheckedPicture] = Field(..., description="Those that a training would use")
    skipped: list[SkippedFile] = Field(..., description="Those that it would pass over")


REQUEST_EXAMPLES: dict[str, dict[str, Any]] = {
    "folder": {"summary": "A folder of the server", "value": {"folder": "/srv/pictures/my-cup"}},
    "pictures": {
        "summary": "Pictures that are sent along",
        "value": {
            "settings": {"size": 512},
            "pictures": [{"name": "cup-1.png", "data": "iVBORw0KGgo…", "caption": "on a wooden table"}],
        },
    },
}

ANSWER_EXAMPLE: dict[str, Any] = {
    "id": "0Jx3…",
    "state": "finished",
    "message": "",
    "done": 3,
    "total": 3,
    "seconds_left": None,
    "size": 512,
    "clip": "ViT-B-32:laion2b_s34b_b79k [0f3c9d21ab]",
    "remarks": ["With fewer than 3 pictures nobody can say which of them doesn't belong."],
    "pictures": [
        {
            "name": "cup-1.png",
            "width": 300,
            "height": 400,
            "caption": "on a wooden table",
            "enlargement": 1.707,
            "edge_spread": 0.9,
            "psnr": 29.4,
            "cosine_with_others": None,
            "cosine_among_others": None,
            "caption_cosine": 0.27,
            "leave_out": True,
            "findings": [{"kind": "small", "sentence": "It has 300 × 400 pixels …", "leaves_out": True}],
            "has_round_trip": True,
        }
    ],
    "skipped": [],
}
