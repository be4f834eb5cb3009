"""What programs send to the routes of `search_program_routes`, and what they get back.

As in `schemas`, only what pydantic 1.10 and pydantic 2 share is used.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr

Order = Literal["start", "pause"]


class SearchRequest(BaseModel, extra="forbid"):
    """What is looked for: a `text`, a `picture`, or the `id` of a hit in `like`; with none of them the latest."""

    text: StrictStr = Field("", description="What the pictures are to show")
    picture: StrictStr | None = Field(None, description="A picture file in base64, to find others like it")
    like: StrictStr = Field("", description="The id of a hit, to find others like it")
    folder: StrictStr = Field("", description="A folder on the server; where pictures are saved, if left out")
    model: StrictStr = Field("", description="A CLIP model by its name; the default if left out")
    since: StrictStr = Field("", description="Only what was changed on this day or later: 2024-05-31")
    until: StrictStr = Field("", description="Only what was changed on this day or before")
    checkpoint: StrictStr = Field("", description="Only what was made with it, as the hits call it")
    least: StrictFloat | StrictInt | None = Field(None, description="Only what fits its own prompt this well")
    most: StrictFloat | StrictInt | None = Field(None, description="Only what fits its own prompt no better")
    words: StrictStr = Field("", description="Only what has all these words in its prompt")
    first: StrictInt = Field(0, description="How many of the best are passed over")
    count: StrictInt = Field(48, description="How many are wanted, at most 200")


class HitAnswer(BaseModel, extra="forbid"):
    """A picture that was found."""

    id: str = Field(..., description="By it the picture's routes and other searches find it, until it changes")
    name: str = Field(..., description="Its file's name")
    folder: str = Field(..., description="Where it lies, from the folder on that is searched")
    changed_s: float = Field(..., description="When its file was changed, in seconds since 1970")
    checkpoint: str = Field(..., description="What it was made with, name and hash; empty where it does not say")
    score: float | None = Field(None, description="Its CLIPScore with its own prompt, by this model")
    prompt: str = Field(..., description="The beginning of its prompt; empty where it has none")
    cosine: float | None = Field(None, description="How near it is to what was looked for")


class SearchAnswer(BaseModel, extra="forbid"):
    """What was found."""

    model: str = Field(..., description="The model that looked, with a piece of its hash")
    among: int = Field(..., description="How many pictures came into question")
    note: str = Field(
        ..., description="What is to be said of the question, such as that its text was cut off; or empty"
    )
    first: int = Field(..., description="How many of the best were passed over")
    hits: list[HitAnswer] = Field(..., description="The best first")


class IndexRequest(BaseModel, extra="forbid"):
    """What is to become of an index."""

    order: Order = Field(..., description="Begin to read what is new, or go on; or pause until the next start")
    folder: StrictStr = Field("", description="A folder on the server; where pictures are saved, if left out")
    model: StrictStr = Field("", description="A CLIP model by its name; the default if left out")


class UnreadAnswer(BaseModel, extra="forbid"):
    """A file that could not be read."""

    name: str = Field(..., description="Its name")
    reason: str = Field(..., description="Why, half a sentence")


class IndexAnswer(BaseModel, extra="forbid"):
    """How an index stands."""

    model: str = Field(..., description="The model's name")
    title: str = Field(..., description="The same with a piece of its hash")
    state: str = Field(..., description="idle, waiting, looking, reading, paused, up to date or failed")
    message: str = Field(..., description="Why it failed, else empty")
    pictures: int = Field(..., description="How many can be found in the folder")
    done: int = Field(..., description="How many of the new ones are read")
    total: int = Field(..., description="How many new ones there are")
    seconds_left: float | None = Field(None, description="Estimate; null where nothing is known")
    checkpoints: list[str] = Field(..., description="What the pictures were made with")
    unreadable: int = Field(..., description="How many files could not be read")
    reasons: list[UnreadAnswer] = Field(..., description="The first 50 of them")


SEARCH_EXAMPLE: dict[str, Any] = {
    "model": "ViT-L-14:openai [625f924759]",
    "among": 10240,
    "note": "",
    "first": 0,
    "hits": [
        {
            "id": "625f924759b0df94-38-ea489953",
            "name": "00004-1234.png",
            "folder": "txt2img-images/2024-05-31",
            "changed_s": 1717142400.0,
            "checkpoint": "v1-5-pruned-emaonly [6ce0161689]",
            "score": 27.4,
            "prompt": "a castle by a lake at night",
            "cosine": 0.2874,
        }
    ],
}
INDEX_EXAMPLE: dict[str, Any] = {
    "model": "ViT-L-14:openai",
    "title": "ViT-L-14:openai [625f924759]",
    "state": "reading",
    "message": "",
    "pictures": 10240,
    "done": 64,
    "total": 300,
    "seconds_left": 48.5,
    "checkpoints": ["v1-5-pruned-emaonly [6ce0161689]"],
    "unreadable": 1,
    "reasons": [{"name": "cut-off.png", "reason": "it is broken or cut off (image file is truncated); save it again"}],
}
REQUEST_EXAMPLES: dict[str, Any] = {
    "text": {"summary": "By a text", "value": {"text": "a castle by a lake at night", "least": 25, "count": 20}},
    "hit": {"summary": "Like another hit", "value": {"like": "625f924759b0df94-38-ea489953"}},
}
