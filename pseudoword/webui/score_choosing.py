"""The best pictures of one generation of the WebUI: the others are neither shown nor saved, or come after them.

A picture that may be left out is not saved when it is made, but at the end, if it is kept: so no file is ever deleted.
What the WebUI saves beside a picture (before the hires pass, before faces are restored, masks) is not saved then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from modules import images, shared
from modules.processing import create_infotext

from ..scoring.choosing import Choice, choose
from .score_generation import Made, Scoring, chosen_script

CHOOSING = "pseudoword_choosing"
REPLACED = ("save_samples", "close")
# Scripts that take whatever a generation gives; others count on getting all pictures, in the order they asked for.
FITTING_SCRIPTS = ("", "x/y/z plot", "prompts from file or textbox")


def let_go(p: Any) -> None:
    """Let `p` save as the WebUI does."""
    choosing: Choosing | None = vars(p).pop(CHOOSING, None)
    if choosing is not None:
        for name in REPLACED:
            vars(p).pop(name, None)
        p.do_not_save_grid = not choosing.makes_grid


def begin_choosing(scoring: Scoring) -> None:
    """Take hold of what the generation saves, if the panel says that pictures are chosen."""
    p, panel = scoring.p, scoring.panel
    if not (panel.may_leave_out or panel.best_first) or p.batch_size * p.n_iter < 2:
        return
    if chosen_script(p) in FITTING_SCRIPTS:
        setattr(p, CHOOSING, Choosing(scoring))
    else:
        p.comment(f"All pictures are kept: the script {chosen_script(p)!r} wants them as they were made.")


def choosing_of(p: Any) -> Choosing | None:
    """What chooses among the pictures of `p`, None where nothing does, also for a copy of such a generation."""
    choosing: Choosing | None = vars(p).get(CHOOSING)
    return choosing if choosing is not None and choosing.scoring.p is p else None


class Choosing:
    """Keeps back pictures and grid of a generation until all scores are known."""

    def __init__(self, scoring: Scoring) -> None:
        p = self._p = scoring.p
        self.scoring = scoring
        self.makes_grid = not p.do_not_save_grid
        self.batch_saves = False
        self._save_samples, self._close = p.save_samples, p.close
        p.do_not_save_grid = True  # of all pictures; one of those that are kept is made in the end
        if scoring.panel.may_leave_out:
            p.save_samples, p.close = self._hold_back, self._closed

    def _hold_back(self) -> bool:
        """In the place of `p.save_samples`, which is asked for every batch."""
        self.batch_saves = self._save_samples()
        return False

    def _closed(self) -> None:
        """In the place of `p.close`, which the WebUI calls in any case: also after a failure the best are saved."""
        let_go(self._p)
        made = list(self.scoring.made.values())
        try:
            self._save([made[place] for place in self.choice(made).kept])
        finally:
            self._close()

    def choice(self, made: Sequence[Made]) -> Choice:
        """Which of these pictures are kept."""
        panel = self.scoring.panel
        scores = [self.scoring.score_of(each) for each in made]
        return choose(scores, panel.keep, panel.minimum, panel.best_first)

    def finish(self, processed: Any, made: Sequence[Made]) -> Choice:
        """Leave in `processed`, what the WebUI shows and answers, the pictures that are kept; save them."""
        let_go(self._p)
        choice = self.choice(made)
        parts = parts_of(processed.images, made)
        if parts is None or len(processed.infotexts) < len(parts.before) + len(made):
            choice = Choice(tuple(range(len(made))))
            if made:
                self._p.comment("All pictures are kept: another extension changed them.")
        else:
            self._reorder(processed, made, choice, parts)
        self._save([made[place] for place in choice.kept])
        return choice

    def _reorder(self, processed: Any, made: Sequence[Made], choice: Choice, parts: Parts) -> None:
        kept = [made[place] for place in choice.kept]
        shown = [image for place in choice.kept for image in parts.pictures[place]]
        start = len(parts.before)
        texts = processed.infotexts[start : start + len(made)]
        told = [texts[place] for place in choice.kept for _ in parts.pictures[place]]  # masks have the picture's
        processed.infotexts = [*processed.infotexts[:start], *told, *processed.infotexts[start + len(made) :]]
        processed.images = [*parts.before, *shown, *parts.after]
        processed.all_prompts = [each.prompt for each in kept]
        processed.all_negative_prompts = [each.negative for each in kept]
        processed.all_seeds = [each.seed for each in kept]
        processed.all_subseeds = [each.subseed for each in kept]
        processed.seed, processed.subseed = int(kept[0].seed), int(kept[0].subseed)
        self.scoring.kept = kept
        if self.makes_grid:
            self._add_grid(processed, shown)
        processed.info = processed.infotexts[0]

    def _add_grid(self, processed: Any, shown: list[Any]) -> None:
        """The WebUI's grid, which would have shown all pictures, of those that are kept."""
        p, options = self._p, shared.opts
        if not (options.return_grid or options.grid_save) or (len(shown) < 2 and options.grid_only_if_multiple):
            return
        grid = images.image_grid(shown, p.batch_size)
        text = create_infotext(
            p, p.prompts, p.seeds, p.subseeds, use_main_prompt=True, all_negative_prompts=p.negative_prompts
        )
        if options.return_grid:
            processed.images.insert(0, grid)
            processed.infotexts.insert(0, text)
            processed.index_of_first_image = 1
            if options.enable_pnginfo:
                grid.info["parameters"] = text
        if options.grid_save:
            images.save_image(
                grid,
                p.outpath_grids,
                "grid",
                p.all_seeds[0],
                p.all_prompts[0],
                options.grid_format,
                info=text,
                short_filename=not options.grid_extended_filename,
                p=p,
                grid=True,
            )

    def _save(self, kept: Sequence[Made]) -> None:
        """Save those that the WebUI would have saved, were they not held back."""
        p = self._p
        numbers = p.iteration, getattr(p, "batch_index", 0)
        for made in kept:
            if not made.saves:
                continue
            p.iteration, p.batch_index = made.at  # names of files may tell them
            number, place = made.at
            text = create_infotext(
                p, p.all_prompts, p.all_seeds, p.all_subseeds, iteration=number, position_in_batch=place
            )
            images.save_image(
                made.shown.image,
                p.outpath_samples,
                "",
                made.seed,
                made.prompt,
                shared.opts.samples_format,
                info=text,
                p=p,
            )
        p.iteration, p.batch_index = numbers


class Parts(NamedTuple):
    """The WebUI's images: what stands before the first picture, each picture with its masks, and what comes after."""

    before: list[Any]
    pictures: list[list[Any]]
    after: list[Any]


def parts_of(shown: Sequence[Any], made: Sequence[Made]) -> Parts | None:
    """How the images that are `shown` belong to pictures; None where pictures are missing, or in another order."""
    places = [next((at for at, image in enumerate(shown) if image is each.shown.image), -1) for each in made]
    if not places or -1 in places or sorted(set(places)) != places:
        return None
    size = places[1] - places[0] if len(places) > 1 else 1
    ends = [*places[1:], min(places[-1] + size, len(shown))]
    pictures = [list(shown[start:end]) for start, end in zip(places, ends, strict=True)]
    return Parts(list(shown[: places[0]]), pictures, list(shown[ends[-1] :]))
