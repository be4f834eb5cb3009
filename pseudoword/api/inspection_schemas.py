"""What programs send to the routes of `inspection_program_routes`, and what they get back.

As in `schemas`, only what pydantic 1.10 and pydantic 2 share is used.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ..embedding import FileFormat
from ..jobs.strips.strip_job import State

StripKind = Literal["vectors", "between", "expression", "layers"]


class StripRequest(BaseModel, extra="forbid"):
    """Pictures to make. Which of the keys a kind of strip needs, the documentation says."""

    kind: StripKind = Field(..., description="What the pictures differ in")
    word: StrictStr | None = Field(None, description="An embedding of the library, by its name or its path there")
    other: StrictStr | None = Field(None, description="Another one: to go to, or to show below the first")
    count: StrictInt | None = Field(None, description="Pictures from one word to the other; 7 if left out")
    expression: StrictStr | None = Field(None, description="A word made of others, such as 0.5*a + 0.5*b")
    layers: StrictStr | None = Field(None, description="Layers to compare: all, or a list such as 1; 2; 1=0.5,2=0.5")
    prompt: StrictStr | None = Field(None, description="The prompt; {} stands for the word, but not in one for layers")
    negative_prompt: StrictStr | None = Field(None, description="What the pictures of layers are not to show")
    seeds: list[StrictInt] | None = Field(None, description="Each makes a picture of every prompt; 0, 1 if left out")
    steps: StrictInt = Field(20, description="Steps of the sampler")
    guidance: StrictFloat | StrictInt = Field(5.0, description="How strictly the prompt is followed")


class ShotAnswer(BaseModel, extra="forbid"):
    """One prompt, or one choice of layers, of which there is a picture for each seed."""

    label: str = Field(..., description="What it shows")
    caption: str = Field(..., description="Its figures, empty where there are none yet")


class RecommendationAnswer(BaseModel, extra="forbid"):
    """What a comparison of layers comes to."""

    layers: str | None = Field(None, description="The layers that are recommended; null where the last is as good")
    says: str = Field(..., description="A sentence that says why")


class RowAnswer(BaseModel, extra="forbid"):
    """Pictures beside each other."""

    title: str = Field(..., description="What is compared")
    shots: list[ShotAnswer] = Field(..., description="All, also those that are not made yet")
    made: int = Field(..., description="How many of them are made")
    explanation: str = Field(..., description="What the captions mean")
    recommendation: RecommendationAnswer | None = Field(None, description="Of layers, at the end; otherwise null")


class StripAnswer(BaseModel, extra="forbid"):
    """A strip as it stands."""

    id: str = Field(..., description="Nobody finds the strip without it")
    state: State = Field(..., description="What it does now; the last three are for good")
    message: str = Field(..., description="A sentence about the state, empty where there is nothing to say")
    done: int = Field(..., description="Pictures made so far")
    total: int = Field(..., description="Pictures to make")
    seconds_left: float | None = Field(None, description="Estimate; null where nothing is known")
    seeds: list[int] = Field(..., description="The seeds of each picture file, from left to right")
    steps: int = Field(..., description="Steps of the sampler")
    guidance: float = Field(..., description="How strictly the prompt is followed")
    rows: list[RowAnswer] = Field(..., description="The rows, from above")
    no_figures: str = Field(..., description="Why there will be no figures, empty where there will be some")


class PromptRequest(BaseModel, extra="forbid"):
    """A prompt to look into."""

    prompt: StrictStr = Field(..., description="The prompt, of at most 20,000 characters")
    attention: StrictBool = Field(True, description="Whether brackets and BREAK are read as the WebUI does")


class PromptAnswer(BaseModel, extra="forbid"):
    """What the text encoder gets of a prompt."""

    prompt: str = Field(..., description="The prompt")
    chunks: list[dict[str, Any]] = Field(..., description="77 pieces each: start, tokens and vectors, end, padding")
    words: list[dict[str, Any]] = Field(..., description="Embeddings in it, and where they stand")
    webui_readings: list[dict[str, Any]] = Field(..., description="Where the WebUI finds others than expected")
    cut: dict[str, Any] | None = Field(None, description="What programs that read one chunk alone lose")


class ExpressionRequest(BaseModel, extra="forbid"):
    """A word made of others; with `save_as` it is saved into the library."""

    expression: StrictStr = Field(..., description="Such as 0.5*my-cat + 0.5*dog")
    save_as: StrictStr | None = Field(None, description="The name of the new word; without one nothing is saved")
    format: FileFormat = Field("safetensors", description="Its file format")
    replace: StrictBool = Field(False, description="Whether a word of that name is replaced; it is kept beside it")
    description: StrictStr = Field("", description="Written into the file")


class ExpressionAnswer(BaseModel, extra="forbid"):
    """What an expression gives."""

    vector_count: int = Field(..., description="How many places in a prompt the word takes")
    widths: dict[str, int] = Field(..., description="Numbers in a vector, by text encoder")
    embeddings: list[str] = Field(..., description="The embeddings that it is made of")
    vectors: list[dict[str, Any]] = Field(..., description="Each vector: encoder, number, norm, nearest tokens")
    file: str | None = Field(None, description="The file it was saved as; null where it was not")
    kept: str | None = Field(None, description="The file that it replaced, of which a copy is kept beside it")


class RememberRequest(BaseModel, extra="forbid"):
    """Layers to keep for the loaded checkpoint, or for the one that a comparison was made with."""

    layers: StrictStr | None = Field(None, description="Such as 2 or 1=0.5,2=0.5; what is recommended if left out")
    strip: StrictStr | None = Field(None, description="The id of a finished comparison of layers")


class RememberAnswer(BaseModel, extra="forbid"):
    """What is remembered now."""

    says: str = Field(..., description="A sentence that names the checkpoint")
    layers: str | None = Field(None, description="What the loaded checkpoint is read with; null where nothing is known")


STRIP_EXAMPLES: dict[str, dict[str, Any]] = {
    "vectors": {"summary": "What each vector of a word does", "value": {"kind": "vectors", "word": "my-cup"}},
    "between": {
        "summary": "The way from one word to another",
        "value": {"kind": "between", "word": "my-cup", "other": "my-cat", "count": 5},
    },
    "expression": {
        "summary": "A word made of others, beside them",
        "value": {"kind": "expression", "expression": "0.5*my-cup + 0.5*my-cat"},
    },
    "layers": {
        "summary": "A prompt with different layers of the text encoder",
        "value": {"kind": "layers", "prompt": "a red cat", "layers": "1; 2; 1=0.5,2=0.5", "seeds": [0, 1, 2, 3]},
    },
}

STRIP_EXAMPLE: dict[str, Any] = {
    "id": "q3TqEwI8",
    "state": "making",
    "message": "",
    "done": 4,
    "total": 12,
    "seconds_left": 6.5,
    "seeds": [0, 1, 2, 3],
    "steps": 20,
    "guidance": 5.0,
    "rows": [
        {
            "title": "Layers of the text encoder for 'a red cat'",
            "shots": [
                {"label": "CLIP skip 1, the last layer", "caption": ""},
                {"label": "CLIP skip 2", "caption": ""},
                {"label": "blend 1=0.5, 2=0.5", "caption": ""},
            ],
            "made": 1,
            "explanation": "",
            "recommendation": None,
        }
    ],
    "no_figures": "",
}

REMEMBER_EXAMPLE: dict[str, Any] = {"says": "CLIP skip 2 is remembered for pseudoword-mini.", "layers": "2"}

PROMPT_EXAMPLE: dict[str, Any] = {
    "prompt": "my-cup",
    "chunks": [
        {
            "used": 1,
            "pieces": [
                {
                    "kind": "word",
                    "position": 1,
                    "text": "my-cup",
                    "id": None,
                    "ends_word": False,
                    "vector": 1,
                    "weight": 1.0,
                }
            ],
        }
    ],
    "words": [{"name": "my-cup", "chunk": 1, "position": 1, "vectors": 1, "weight": 1.0, "replaces": ""}],
    "webui_readings": [],
    "cut": None,
}

EXPRESSION_EXAMPLE: dict[str, Any] = {
    "vector_count": 1,
    "widths": {"clip_l": 768},
    "embeddings": ["my-cup", "my-cat"],
    "vectors": [
        {
            "encoder": "clip_l",
            "vector": 1,
            "norm": 0.39,
            "norm_percentile": 61.0,
            "nearest": {"cosine": [{"token": "mug", "ends_word": True, "id": 10519, "figure": 0.61}]},
        }
    ],
    "file": "my-mix.safetensors",
    "kept": None,
}
