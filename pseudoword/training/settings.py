"""What a training run is asked to do: one dataclass, checked when it is made, that form, command line and API share."""

from __future__ import annotations

import difflib
import math
import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..embedding.names import check_name
from ..errors import SettingsError
from .schedule import HIGHEST_RATE, parse_learning_rate

FILE_PREFIX = "file:"


@dataclass(frozen=True)
class Allowed:
    """What a setting means, its unit, and the numbers it may be: from `low` to `high`, in multiples of `multiple`."""

    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    low_excluded: bool = False
    multiple: int = 1

    @property
    def range(self) -> str:
        """The allowed numbers in words, such as "from 1 to 75"; empty where any value is."""
        words = []
        if self.low is not None:
            words.append(f"{'above' if self.low_excluded else 'from'} {_plain(self.low)}")
        if self.high is not None:
            words.append(f"to {_plain(self.high)}")
        if self.multiple > 1:
            words.append(f"in steps of {self.multiple}")
        return " ".join(words)

    def holds(self, value: float) -> bool:
        """Whether `value` is in the range. NaN and infinity never are."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        above = value > low if self.low_excluded else value >= low
        is_number = value == value and abs(value) != math.inf  # math.isfinite fails for an int beyond any float
        return is_number and above and value <= high and (self.multiple == 1 or value % self.multiple == 0)


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what a training run does, apart from the model and the pictures.

    `describe_settings` gives meaning, unit, range and default of each. Raises SettingsError where a value is outside
    its range or two contradict each other; files that settings name are looked at later, by those who read them.
    """

    name: Annotated[str, Allowed("The new word, as it will be written in prompts; also the name of its file")]
    start: Annotated[
        str,
        Allowed(
            "Where learning starts: 'auto' lets CLIP find it from the pictures, 'file:PATH' goes on from an "
            "embedding, anything else is words the model knows, such as 'teddy bear'"
        ),
    ] = "auto"
    vectors: Annotated[
        int, Allowed("Vectors per word; each takes the room of one token in a prompt", low=1, high=75)
    ] = 1
    templates: Annotated[
        str,
        Allowed("Training prompts: 'object', 'style', or the path of a text file of lines with [name] and [filewords]"),
    ] = "object"
    shuffle_tags: Annotated[
        bool, Allowed("Whether the comma-separated tags of a caption come in a new order each time")
    ] = False
    drop_tags: Annotated[
        float, Allowed("Chance of each comma-separated tag of a caption to be left out, anew each time", "share", 0, 1)
    ] = 0.0
    size: Annotated[
        int | None,
        Allowed(
            "Side of a training picture; none means the size the model was made for", "pixels", 32, 2048, multiple=8
        ),
    ] = None
    buckets: Annotated[bool, Allowed("Whether pictures keep about their aspect ratio instead of becoming square")] = (
        False
    )
    crop: Annotated[
        Literal["center", "random", "none"],
        Allowed(
            "What is kept of a picture of another shape: its centre, one of a few places chosen at random, or all of "
            "it, with a gray border that does not count in the loss"
        ),
    ] = "center"
    flip: Annotated[
        bool, Allowed("Whether pictures are mirrored half of the time; not for words about left and right")
    ] = False
    alpha_mask: Annotated[
        bool, Allowed("Whether transparency says what counts in the loss, instead of being filled with gray")
    ] = False
    batch: Annotated[int, Allowed("Pictures per pass through the model", "pictures", 1, 1024)] = 4
    accumulate: Annotated[int, Allowed("Passes whose gradients are added up for one step", "passes", 1, 1024)] = 1
    learning_rate: Annotated[
        str,
        Allowed(
            "Step width, or several with the steps they end at: '0.005:100, 1e-3:1000, 1e-5'",
            low=0,
            high=HIGHEST_RATE,
            low_excluded=True,
        ),
    ] = "0.001"
    warmup: Annotated[
        int, Allowed("First steps, over which the learning rate rises evenly from near 0", "steps", 0)
    ] = 0
    decay: Annotated[
        Literal["none", "cosine"],
        Allowed("How the learning rate falls after the warm-up: not at all, or as a cosine to 0"),
    ] = "none"
    min_snr: Annotated[
        float | None,
        Allowed("Gamma of min-SNR loss weights, usually 5; none weighs all timesteps alike", low=0, low_excluded=True),
    ] = None
    clip_grad: Annotated[
        float | None,
        Allowed("Longest gradient of a step, longer ones are shortened to it; none: any", low=0, low_excluded=True),
    ] = None
    weight_decay: Annotated[
        float, Allowed("AdamW's pull of the vectors towards 0; unused with norm 'vocabulary'", "per step", 0, 1)
    ] = 0.01
    hold: Annotated[
        float,
        Allowed(
            "Pull of the vectors towards where they started, as weight decay pulls towards 0; keeps prompts with the "
            "word obeyed, and the word near what the model knows",
            "per step",
            0,
            100_000,
        ),
    ] = 50.0
    norm: Annotated[
        Literal["vocabulary", "free"],
        Allowed(
            "Length of the learned vectors: kept at the mean length of the vocabulary's, or as it is in a file to go "
            "on from; or free to change"
        ),
    ] = "vocabulary"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Allowed("Number format of the model's passes; auto: bf16 or fp16 on a GPU, fp32 on the CPU"),
    ] = "auto"
    clip_skip: Annotated[
        int, Allowed("Text encoder layer that is used, counted from the last, which is 1", "layers", 1, 12)
    ] = 1
    seed: Annotated[int, Allowed("Decides everything random; the same seed gives the same run", "", 0, 2**53 - 1)] = 0
    steps: Annotated[int, Allowed("Length of the run", "steps", 1, 1_000_000)] = 1000
    validate_every: Annotated[
        int, Allowed("Steps between two measurements of the validation loss; 0: never", "steps", 0)
    ] = 50
    preview_every: Annotated[int, Allowed("Steps between two previews; 0: never", "steps", 0)] = 250
    save_every: Annotated[
        int, Allowed("Steps between two checkpoints; 0: only one, with the result at the end", "steps", 0)
    ] = 100
    early_stop: Annotated[bool, Allowed("Whether the run ends once the validation loss no longer improves")] = True
    patience: Annotated[
        int, Allowed("Validations without improvement after which a run ends early", "validations", 1, 1000)
    ] = 5
    preview_prompt: Annotated[str, Allowed("Prompt of the previews; [name] stands for the new word")] = (
        "a photo of [name]"
    )

    def __post_init__(self) -> None:
        for description in describe_settings():
            _check(description, getattr(self, description.name))
        object.__setattr__(self, "name", check_name(self.name))
        _check_texts(self)
        _check_together(self)

    @property
    def start_file(self) -> Path | None:
        """The embedding that learning goes on from, where `start` names one."""
        if not self.start.startswith(FILE_PREFIX):
            return None
        return Path(os.path.expanduser(self.start[len(FILE_PREFIX) :].strip()))  # Path.expanduser fails for ~nobody

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """Settings from what `to_dict` gave or a program sent; defaults where nothing is said.

        Raises SettingsError for values that do not fit, and for names that are not settings.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, n=1)
                remedy = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(names)}."
                raise SettingsError(f"{key!r} is not a training setting; {remedy}")
        if "name" not in values:
            raise SettingsError("The setting 'name' is missing; give the new word a name.")
        return cls(**values)


@dataclass(frozen=True)
class Description:
    """One setting, for whoever shows or reads them: `kind` is bool, int, float or str; `required` has no default."""

    name: str
    kind: type
    optional: bool  # whether it may be None
    choices: tuple[str, ...]  # empty where any text is allowed
    allowed: Allowed
    default: Any
    required: bool


@lru_cache(maxsize=1)
def describe_settings() -> tuple[Description, ...]:
    """All settings in their order."""
    hints = get_type_hints(TrainSettings, include_extras=True)
    return tuple(_describe(field.name, hints[field.name], field.default) for field in fields(TrainSettings))


def _describe(name: str, hint: Any, default: Any) -> Description:
    annotated, allowed = get_args(hint)
    is_union = get_origin(annotated) in (Union, types.UnionType)
    kind = next(part for part in get_args(annotated) if part is not type(None)) if is_union else annotated
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    required = default is MISSING
    return Description(
        name, str if choices else kind, is_union, choices, allowed, None if required else default, required
    )


def _check(description: Description, value: Any) -> None:
    """Raise SettingsError unless `value` is of the right type and in range."""
    if value is None and description.optional:
        return
    if _has_kind(description.kind, value):
        if description.choices and value in description.choices:
            return
        if not description.choices and (description.kind in (bool, str) or description.allowed.holds(value)):
            return
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    wanted = names[description.kind]
    if description.kind is not str:  # the range is of the numbers in a text, which is what is missing
        wanted = f"{wanted} {description.allowed.range}".rstrip()
    if description.choices:
        wanted = "one of " + ", ".join(description.choices)
    if description.optional:
        wanted += ", or none"
    default = "none" if description.default is None else repr(description.default)
    remedy = "give one." if description.required else f"leave it out for the default, {default}."
    raise SettingsError(f"{description.name} is {value!r}, but {wanted} is wanted; {remedy}")


def _has_kind(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _check_texts(settings: TrainSettings) -> None:
    parse_learning_rate(settings.learning_rate)
    if not settings.start.strip() or settings.start.strip() == FILE_PREFIX:
        raise SettingsError(
            f"start is {settings.start!r}, but words such as 'teddy bear', 'file:' with the path of an embedding, or "
            "'auto' is wanted; leave it out for the default, 'auto'."
        )
    if not settings.templates.strip():
        raise SettingsError(
            "templates is empty, but 'object', 'style' or the path of a text file is wanted; "
            "leave it out for the default, 'object'."
        )
    if "[name]" not in settings.preview_prompt:
        raise SettingsError(
            f"preview_prompt is {settings.preview_prompt!r}, but [name] must stand in it where the new word goes; "
            "write for example 'a photo of [name]'."
        )


def _check_together(settings: TrainSettings) -> None:
    """Raise SettingsError where two settings contradict each other."""
    last = parse_learning_rate(settings.learning_rate)[-1].until
    if last is not None and last < settings.steps:
        raise SettingsError(
            f"learning_rate is {settings.learning_rate!r} and ends at step {last}, but the run has {settings.steps} "
            f"steps; leave the last ':{last}' out, or set steps to {last}."
        )
    highest = max(span.rate for span in parse_learning_rate(settings.learning_rate))
    if highest * settings.hold >= 1:
        raise SettingsError(
            f"hold is {settings.hold:g} and learning_rate up to {highest:g}, which together keep the vectors at "
            f"their start; set hold below {1 / highest:g}, or a lower learning_rate."
        )
    if settings.warmup >= settings.steps:
        raise SettingsError(
            f"warmup is {settings.warmup} steps, but the run has only {settings.steps}; "
            "set it below the number of steps."
        )
    if settings.early_stop and settings.validate_every == 0:
        raise SettingsError(
            "validate_every is 0, but early_stop needs the validation loss; "
            "set validate_every to 50, or early_stop to false."
        )
