"""The CLIP score panel in txt2img and img2img: built for the WebUI, and asked by it around every generation."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import gradio as gr
from modules import scripts
from modules.infotext_utils import PasteField
from modules.ui_components import InputAccordion

from ..scoring.choosing import Choice, choice_told
from ..scoring.score_infotext import KEYS, LEFT_OUT_KEY, LONG_KEY, TEXT_KEY, has_score, model_of
from ..scoring.score_panel import LONG_TEXTS, score_panel_says
from ..ui import score_generation_panel
from .host import host
from .registration import failure
from .score_choosing import begin_choosing, choosing_of, let_go
from .score_generation import Scoring, begin, chosen_script, scoring_of
from .score_sheet import SCORES


class ClipScoreScript(scripts.Script):  # type: ignore[misc]  # the WebUI has no annotations
    """Always there, off by default. For programs: `alwayson_scripts: {"Pseudoword CLIP score": {"args": [...]}}`."""

    def title(self) -> str:
        """Constant: programs name the panel by it."""
        return "Pseudoword CLIP score"

    def show(self, is_img2img: bool) -> Any:
        """In both tabs, without being chosen."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any] | None:
        """The panel: on or off, and what `ScorePanelSays` has. A failure shows in its place."""
        id = f"pseudoword_{'img2img' if is_img2img else 'txt2img'}_score"
        try:
            clips = host().clips
            with InputAccordion(False, label="CLIP score", elem_id=id) as is_on:
                fields = score_generation_panel.build(clips, is_on, id)
        except Exception as problem:
            traceback.print_exc()
            gr.HTML(failure(problem))
            return None

        def model_told(infotext: Mapping[str, str]) -> Any:
            """The model that a picture was scored with, if it is here."""
            if not has_score(infotext):
                return None
            names = score_generation_panel.names_here(clips)
            name = model_of(infotext, names)
            return None if name is None else score_generation_panel.offering(names, name)

        # What is chosen among pictures does not change them: it stays as it is. A picture without a score leaves all.
        self.infotext_fields = [
            PasteField(is_on, lambda told: True if has_score(told) else None),
            PasteField(fields.model, model_told),
            PasteField(fields.text, lambda told: told.get(TEXT_KEY, "") if has_score(told) else None),
            PasteField(fields.long, lambda told: way if (way := told.get(LONG_KEY)) in LONG_TEXTS else None),
        ]
        return [is_on, *fields]

    def before_process(self, p: Any, *values: Any) -> None:
        """Before everything, for every generation, also one of a script that makes several of the same object."""
        let_go(p)
        scoring = begin(p, score_panel_says(values))
        if scoring is not None:
            begin_choosing(scoring)

    def before_process_batch(self, p: Any, *_: Any, **__: Any) -> None:
        """Before a batch is sampled, which may need the memory."""
        if (scoring := scoring_of(p)) is not None:
            scoring.rest()

    def postprocess_image_after_composite(self, p: Any, pp: Any, *_: Any) -> None:
        """A picture is about to be finished and saved."""
        if (scoring := scoring_of(p)) is not None:
            choosing = choosing_of(p)
            scoring.saw(pp, saves=choosing is not None and choosing.batch_saves)

    def postprocess(self, p: Any, processed: Any, *_: Any) -> None:
        """All pictures are made: the scores are told, and pictures chosen."""
        if (scoring := scoring_of(p)) is None:
            return
        try:
            finish(scoring, processed)
        finally:
            scoring.rest()
            let_go(p)


def finish(scoring: Scoring, processed: Any) -> None:
    """Tell the scores of a generation in `processed`, what the WebUI shows and answers, and keep what is chosen."""
    p = scoring.p
    made = list(scoring.made.values())
    scores = [scoring.score_of(each) for each in made]
    choosing = choosing_of(p)
    if choosing is not None:
        choice = choosing.finish(processed, made)
    else:
        too_low = [score for score in scores if score is not None and score < scoring.panel.minimum]
        choice = Choice(tuple(range(len(made))), is_short=len(made) == 1 and bool(too_low))
    kept = [made[place] for place in choice.kept]
    told = choice_told(scores, choice, scoring.name, scoring.panel.minimum)
    if told and chosen_script(p) != "x/y/z plot":  # which shows what its first cell says, and has a sheet for all
        p.comment(told)
    processed.comments = "".join(f"{comment}\n" for comment in p.comments)
    # What infotexts ask for by picture is nothing that a program could read in the answer.
    others = {key: value for key, value in p.extra_generation_params.items() if key not in KEYS}
    left_out = {LEFT_OUT_KEY: choice.left_out} if choice.left_out else {}
    processed.extra_generation_params = {**others, **scoring.facts(kept), **left_out}
    setattr(processed, SCORES, [each.score for each in kept])
