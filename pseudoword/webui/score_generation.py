"""One generation of the WebUI whose pictures are scored: when each is, what is said of it, and who is kept.

Nothing of the WebUI is changed but the object of the one generation, `p`, and that only while the panel is on. A
picture is scored when the WebUI first asks for its infotext: then it is as it will be saved.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from modules import shared

from ..decoding import as_seen
from ..errors import PseudowordError
from ..scoring.choosing import score_text
from ..scoring.folder import middle_of
from ..scoring.matrix import clip_scores
from ..scoring.models import ClipModel
from ..scoring.prompt_text import sentence_of
from ..scoring.score_infotext import (
    HASH_DIGITS,
    HASH_KEY,
    KEYS,
    LONG_KEY,
    MODEL_KEY,
    NOTE_KEY,
    SCORE_KEY,
    TEXT_KEY,
    shown_model,
)
from ..scoring.score_panel import ScorePanelSays
from .host import host

if TYPE_CHECKING:
    from ..scoring import ClipScorer

IN_FORCE = "pseudoword_scoring"
NO_PROMPT = "A picture whose prompt has no words has no CLIP score."
# Scripts of the WebUI and of a widespread extension that put one picture together from what they generate.
OF_PIECES = ("sd upscale", "ultimate sd upscale", "outpainting mk2", "poor man's outpainting")


@dataclass(eq=False)
class Made:
    """A picture that was made: `shown` is what the WebUI hands from script to script, with the picture in it.

    `at` are the numbers of its batch and within it. `saves` is whether the WebUI would have saved it.
    """

    shown: Any
    at: tuple[int, int]
    prompt: str
    negative: str
    seed: int
    subseed: int
    saves: bool = False
    is_asked: bool = False
    score: float | None = None
    too_long: bool = False


class InfotextValue:
    """What a key of the infotext says of one picture, asked for by the WebUI when it writes it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(
        self, p: Any, index: int, all_prompts: Sequence[str], use_main_prompt: bool = False, **_: Any
    ) -> str | None:
        in_force = scoring_of(p)
        if in_force is None:
            return None
        # A grid's infotext is asked for as if it were its first picture's; the X/Y/Z plot gives itself away by a key.
        is_of_one = not use_main_prompt and "Script" not in p.extra_generation_params
        return in_force.told(self._key, in_force.asked_for(index, all_prompts) if is_of_one else None)


def scoring_of(p: Any) -> Scoring | None:
    """What scores the pictures of `p`, None where nothing does, also for a copy of such a generation."""
    in_force: Scoring | None = vars(p).get(IN_FORCE)
    return in_force if in_force is not None and in_force.p is p else None


def begin(p: Any, panel: ScorePanelSays) -> Scoring | None:
    """Score what `p`, which begins, will make, if the panel is on; nothing is left of a generation before."""
    vars(p).pop(IN_FORCE, None)
    for key in KEYS:
        if isinstance(p.extra_generation_params.get(key), InfotextValue):
            del p.extra_generation_params[key]
    if not panel.is_on:
        return None
    script = chosen_script(p)
    if script in OF_PIECES:
        p.comment(f"Nothing is scored: the script {script!r} generates pieces, and puts them together itself.")
        return None
    for problem in panel.problems:
        p.comment(problem)
    in_force = Scoring(p, panel)
    setattr(p, IN_FORCE, in_force)
    for key in KEYS:
        p.extra_generation_params[key] = InfotextValue(key)
    return in_force


def chosen_script(p: Any) -> str:
    """The title, in small letters, of the script below the panels that makes this generation, "" without one."""
    number = p.script_args[0] if p.script_args else 0
    if not isinstance(number, int) or not 0 < number <= len(p.scripts.selectable_scripts):
        return ""
    return str(p.scripts.selectable_scripts[number - 1].title()).lower()


class Scoring:
    """The pictures of the generation `p` so far, and their scores."""

    def __init__(self, p: Any, panel: ScorePanelSays) -> None:
        self.p = p
        self.panel = panel
        self.made: dict[tuple[int, int], Made] = {}
        self.model: ClipModel | None = None
        self.scorer: ClipScorer | None = None
        self._identity = ""
        self._problem = ""
        self._features: dict[str, torch.Tensor] = {}
        self.kept: list[Made] = []  # in the order they are shown in, where that is another than they were made in
        self._device = ExitStack()  # what is to be given back after a batch
        try:
            self.model = host().clips.named(panel.model)
        except Exception as problem:
            self._fail(problem)

    @property
    def name(self) -> str:
        """The model's name as it is shown."""
        return shown_model(self.model.name) if self.model else ""

    # ---- what the WebUI's scripts are told ---------------------------------------------------------------------------

    def saw(self, shown: Any, saves: bool = False) -> None:
        """A picture is finished but for what other scripts do to it."""
        p, number = self.p, self.p.batch_index
        at = (p.iteration, number)
        lists = (p.prompts, p.negative_prompts, p.seeds, p.subseeds)
        prompt, negative, seed, subseed = (found[number] for found in lists)
        self.made[at] = Made(shown, at, prompt, negative, seed, subseed, saves)

    def rest(self) -> None:
        """The model goes where it is in nobody's way: a batch is about to be sampled, or was the last."""
        self._device.close()
        self.scorer = None

    # ---- what infotexts ask ------------------------------------------------------------------------------------------

    def asked_for(self, index: int, all_prompts: Sequence[str]) -> Made | None:
        """The picture whose infotext is asked for: the WebUI counts within a batch, and otherwise through all."""
        # A generation's own list is in the order in which pictures were made, also where all have one prompt.
        is_own = all_prompts is self.p.all_prompts
        if self.kept and not is_own and [made.prompt for made in self.kept] == all_prompts:
            return self.kept[index]
        at = (self.p.iteration, index) if all_prompts is self.p.prompts else divmod(index, self.p.batch_size)
        return self.made.get((at[0], at[1]))

    def told(self, key: str, made: Made | None) -> str | None:
        """What `key` says of a picture, or of a sheet of several (None); None for nothing."""
        score = None if made is None else self.score_of(made)
        values = {
            SCORE_KEY: None if score is None else score_text(score),
            MODEL_KEY: None if self._problem else self.name,
            HASH_KEY: self._identity[:HASH_DIGITS],
            TEXT_KEY: None if self._problem else self.panel.text,
            LONG_KEY: self.panel.long if made is not None and made.too_long else None,
            NOTE_KEY: self._problem,
        }
        return values[key] or None

    def facts(self, made: Sequence[Made]) -> dict[str, Any]:
        """The same of several pictures, for programs: with all digits, a list where each has its own."""
        together = {key: value for key in KEYS if (value := self.told(key, None)) is not None}
        return {SCORE_KEY: [None if each.score is None else round(each.score, 4) for each in made]} | together

    # ---- scoring -----------------------------------------------------------------------------------------------------

    def score_of(self, made: Made) -> float | None:
        """The CLIPScore of a picture; None where there is none, which was said."""
        if not made.is_asked:
            made.is_asked = True
            # Whoever stops a generation does not want to wait, and the picture is not finished.
            if not (self._problem or shared.state.interrupted or shared.state.skipped):
                try:
                    made.score = self._scored(made)
                except Exception as problem:
                    self._fail(problem)
                    self.rest()  # it may have run out of memory
        return made.score

    def _scored(self, made: Made) -> float | None:
        text = self.panel.text or sentence_of(made.prompt)
        if not text:
            self.p.comment(NO_PROMPT)
            return None
        scorer = self._ready()
        if text not in self._features:
            self._features[text] = scorer.text_features([text], self.panel.long, remember=False)[0]  # (D,)
        tokens = scorer.token_count(text)
        made.too_long = tokens > scorer.token_room
        if made.too_long:
            read = "the rest was cut off" if self.panel.long == "cut" else "it was read in parts"
            self.p.comment(
                f"CLIP score: a text has {tokens} tokens, and {self.name} reads {scorer.token_room}; {read}."
            )
        picture = scorer.image_features([middle_of(as_seen(made.shown.image))])[0]  # (D,)
        return float(clip_scores(picture @ self._features[text]))

    def _ready(self) -> ClipScorer:
        """The model where it computes, which stays there until the batch is done."""
        if self.scorer is None:
            assert self.model is not None  # otherwise there is a problem
            # Building a model draws random numbers, which are the generation's.
            with torch.random.fork_rng(devices=[]):
                self.scorer = self._device.enter_context(host().clips.using(self.model, inside_turn=True))
            self._identity = self.scorer.identity
        return self.scorer

    def _fail(self, problem: Exception) -> None:
        """Say why there are no scores, and try no more: the pictures matter, not their scores."""
        # An infotext goes into files that are given away: nothing in it of where things lie on this machine.
        self._problem = f"not scored ({type(problem).__name__})"
        reason = str(problem) if isinstance(problem, PseudowordError) else f"{type(problem).__name__}: {problem}."
        self.p.comment(f"The pictures could not be scored. {reason}")
        if not isinstance(problem, PseudowordError):
            traceback.print_exc()
