"""What programs send to the routes of `program_routes`, and what they get back.

Only what pydantic 1.10, which the WebUI pins, and pydantic 2 share is used. That is why the examples stand apart: the
two want those of a model under different names.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ..jobs.training.training_job import State


class UploadedPicture(BaseModel, extra="forbid"):
    """One training picture."""

    name: StrictStr = Field(..., description="File name; only its last part counts, and the content decides the type")
    data: StrictStr = Field(..., description="The file in base64, plain or as a data: URL")
    caption: StrictStr | None = Field(None, description="What [filewords] in a template stands for at this picture")


class TrainingRequest(BaseModel, extra="forbid"):
    """A training to start: its settings, and either `pictures` or `folder`."""

    settings: dict[str, Any] = Field(..., description="Training settings by name; only `name` is required")
    pictures: list[UploadedPicture] | None = Field(None, description="The training pictures, 3 to 10 are a good start")
    folder: StrictStr | None = Field(None, description="A folder of pictures on the server, instead of `pictures`")
    leave_out: list[StrictStr] = Field(
        default_factory=list, description="Names of files of the folder that are not to be learned from"
    )


class PreviewAnswer(BaseModel, extra="forbid"):
    """Pictures of the word that were made along the way."""

    step: int = Field(..., description="After which step")
    likeness: float | None = Field(None, description="CLIP similarity with the training pictures")
    editability: float | None = Field(None, description="How well prompts with the word are obeyed besides the word")


class TrainingAnswer(BaseModel, extra="forbid"):
    """A training as it stands."""

    state: State = Field(..., description="What it does now; finished, stopped and cancelled are for good")
    message: str = Field(..., description="A sentence about the state, empty where there is nothing to say")
    name: str = Field(..., description="The new word")
    pictures_prepared: int = Field(..., description="Pictures encoded so far")
    pictures: int = Field(..., description="Pictures to encode; 0 until they are counted")
    step: int = Field(..., description="Steps done")
    steps: int = Field(..., description="Steps of the whole run")
    seconds_left: float | None = Field(None, description="Estimate; null where nothing is known")
    loss: float | None = Field(None, description="Training loss of the latest step, which jumps")
    learning_rate: float | None = Field(None, description="Learning rate of the latest step")
    validation_loss: float | None = Field(None, description="Latest validation loss, comparable between steps")
    best_step: int | None = Field(None, description="The step whose word is kept so far")
    best_loss: float | None = Field(None, description="Validation loss of `best_step`")
    previews: list[PreviewAnswer] = Field(..., description="Previews so far")
    warnings: list[str] = Field(..., description="What went wrong and was put right, a sentence each")
    version: int = Field(..., description="Grows whenever curve and pictures of the training change")


class InterruptedAnswer(BaseModel, extra="forbid"):
    """A training that was interrupted and can go on."""

    name: str = Field(..., description="The new word")
    state: Literal["interrupted"] = Field(..., description="It goes on with `resume`")


class ListedTraining(BaseModel, extra="forbid"):
    """One line of the list of trainings."""

    name: str = Field(..., description="The new word")
    state: State | Literal["interrupted"] = Field(..., description="Its state")


class TrainingList(BaseModel, extra="forbid"):
    """The trainings that are known."""

    trainings: list[ListedTraining] = Field(..., description="The latest first, then those that were interrupted")


class SettingAnswer(BaseModel, extra="forbid"):
    """One training setting. `low`, `high` and `multiple` of a text are those of the numbers in it."""

    name: str = Field(..., description="Its key in `settings`")
    meaning: str = Field(..., description="What it does")
    type: Literal["boolean", "integer", "number", "string"] = Field(..., description="JSON type of its value")
    nullable: bool = Field(..., description="Whether null is allowed, too")
    required: bool = Field(..., description="Whether it must be given; such a setting has no default")
    default: StrictBool | StrictInt | StrictFloat | StrictStr | None = Field(None, description="What holds otherwise")
    choices: list[str] = Field(..., description="All allowed texts; empty where it is not one of a few")
    unit: str = Field(..., description="Unit of its numbers, empty where they have none")
    range: str = Field(..., description="The allowed numbers in words, empty where any value is")
    low: float | None = Field(None, description="Lowest number")
    low_excluded: bool = Field(..., description="Whether `low` itself is not allowed")
    high: float | None = Field(None, description="Highest number")
    multiple: int = Field(..., description="Numbers are multiples of it")


class JobMove(BaseModel, extra="forbid"):
    """Where a job that waits is to be put."""

    before: StrictStr | None = Field(None, description="The id of another of yours; null: behind all of them")


class JobPriority(BaseModel, extra="forbid"):
    """How urgent a job is."""

    priority: StrictInt = Field(..., description="-1: after all others, 0: usual, 1: before all others (admins)")


class Problem(BaseModel):  # the WebUI adds keys of its own
    """Why a request was refused."""

    detail: str = Field(..., description="One sentence: what was found, and what to do about it")


REQUEST_EXAMPLES: dict[str, dict[str, Any]] = {
    "pictures": {
        "summary": "Pictures that are sent along",
        "value": {
            "settings": {"name": "my-cup", "start": "cup", "steps": 500},
            "pictures": [{"name": "cup-1.png", "data": "iVBORw0KGgo…", "caption": "on a wooden table"}],
        },
    },
    "folder": {
        "summary": "A folder of the server",
        "value": {"settings": {"name": "my-cup"}, "folder": "/srv/pictures/my-cup"},
    },
}

TRAINING_EXAMPLE: dict[str, Any] = {
    "state": "training",
    "message": "",
    "name": "my-cup",
    "pictures_prepared": 5,
    "pictures": 5,
    "step": 120,
    "steps": 500,
    "seconds_left": 76.0,
    "loss": 0.143,
    "learning_rate": 0.001,
    "validation_loss": 0.129,
    "best_step": 100,
    "best_loss": 0.129,
    "previews": [{"step": 0, "likeness": 0.61, "editability": 0.27}],
    "warnings": [],
    "version": 4,
}

LIST_EXAMPLE: dict[str, Any] = {
    "trainings": [{"name": "my-cup", "state": "training"}, {"name": "my-cat", "state": "interrupted"}]
}

SETTINGS_EXAMPLE: list[dict[str, Any]] = [
    {
        "name": "vectors",
        "meaning": "Vectors per word; each takes the room of one token in a prompt",
        "type": "integer",
        "nullable": False,
        "required": False,
        "default": 1,
        "choices": [],
        "unit": "",
        "range": "from 1 to 75",
        "low": 1.0,
        "low_excluded": False,
        "high": 75.0,
        "multiple": 1,
    }
]
