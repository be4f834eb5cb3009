"""How well a prompt is followed with each layer of the text encoder, and whether one of them is better than the last.

A score is the cosine of the CLIP features of a picture and of its prompt. Seeds differ more than layers do; so each
choice is compared with the last layer seed by seed, and recommended only where chance hardly gives such a lead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from torch import Tensor
from torch.nn import functional as F

from ..scoring.prompt_text import sentence_of
from ..text.chunks import word_pattern
from ..text.layer_choice import EncoderLayers
from .csv_text import Cell, csv_text
from .strips import Row, Shot, Similarities, layers_label, rounded, similarities

MOST_CHANCE = 0.05
LEAST_LEAD = 0.001  # scores are shown with three digits
MANY_SEEDS = 8


@dataclass(frozen=True)
class Recommendation:
    """The layers that are recommended, None where the last layer is as good, and a sentence about it."""

    layers: EncoderLayers | None
    sentence: str


@dataclass(frozen=True)
class LayerScores:
    """What CLIP says of the pictures of a row of layers so far.

    `alike` compares them with those of the last layer. `scores` has for each of `choices` a score for each seed; it is
    empty where the prompt says nothing that CLIP could read. `read` is what the pictures were compared with, the prompt
    without the new words `left_out`.
    """

    alike: Similarities
    choices: tuple[EncoderLayers, ...]
    scores: tuple[tuple[float, ...], ...]
    read: str
    left_out: tuple[str, ...]

    @property
    def title(self) -> str:
        """That of the row."""
        return self.alike.title

    @property
    def labels(self) -> tuple[str, ...]:
        """What the choices are called."""
        return self.alike.labels

    @property
    def last(self) -> int:
        """The place of the last layer."""
        return self.alike.references[0]

    def score(self, place: int) -> float:
        """The mean score of a choice over all seeds."""
        return fmean(self.scores[place])

    def deviation(self, place: int) -> float | None:
        """How much the scores of single seeds differ (standard deviation); None where there is one seed."""
        return stdev(self.scores[place]) if len(self.scores[place]) > 1 else None

    def lead(self, place: int) -> float:
        """How much higher than the last layer's the mean score is."""
        return fmean(self._leads(place))

    def chance(self, place: int) -> float:
        """How likely chance alone gives one of all the choices such a lead, at most; 1 where there is one seed.

        Student's t-test of the differences seed by seed, one-sided, times the number of choices besides the last layer
        (Bonferroni), since the best of them is looked at.
        """
        leads = self._leads(place)
        if len(leads) < 2:
            return 1.0
        error = stdev(leads) / math.sqrt(len(leads))
        t = fmean(leads) / error if error else math.copysign(math.inf, fmean(leads)) if any(leads) else 0.0
        return min(1.0, (len(self.choices) - 1) * beyond(t, len(leads) - 1))

    def caption(self, place: int) -> str:
        """What is written below a picture."""
        if not self.scores:
            return self.alike.caption(place)
        spread = self.deviation(place)
        score = f"score {self.score(place):.3f}" + ("" if spread is None else f" ± {spread:.3f}")
        return score if place == self.last else f"{score}, {self.alike.caption(place)}"

    @property
    def explanation(self) -> str:
        """What the captions mean, and what to measure them by, in words."""
        if not self.scores:
            return self.alike.explanation
        unknown = f" (without {', '.join(self.left_out)}, which it does not know)" if self.left_out else ""
        meaning = f"Score is the CLIP similarity of a picture with the prompt, read as {self.read!r}{unknown}"
        similarity = "similarity is that with the last layer's picture of the same seed"
        between = self.alike.between_seeds
        if between is None:
            return f"{meaning}; {similarity}. One seed says little; take four or more."
        seeds = f"the mean of {len(self.alike.seeds)} seeds ± the standard deviation between them"
        yardstick = f"to compare with: from one seed to another it is {between:.3f}"
        return f"{meaning}, {seeds}; {similarity} ({yardstick})."

    @property
    def recommendation(self) -> Recommendation:
        """Whether another choice than the last layer is better for this prompt, by what there is so far."""
        others = [place for place in range(len(self.scores)) if place != self.last]
        if not others:
            return Recommendation(None, "The prompt says nothing that CLIP can read, so no layer is recommended.")
        count = len(self.alike.seeds)
        if count < 2:
            return Recommendation(None, "One seed cannot tell a layer from chance; take four seeds or more.")
        best = max(others, key=self.lead)
        name, lead, chance = layers_label(self.choices[best]), self.lead(best), self.chance(best)
        if lead <= 0:
            return Recommendation(None, "No clear difference in favour of another layer; the last layer scores best.")
        chosen = f"one of {len(others)} choices" if len(others) > 1 else "it"
        by_chance = f"by chance alone {chosen} would lead so far"
        if lead < LEAST_LEAD or chance > MOST_CHANCE:
            odds = "nearly every time" if chance >= 0.995 else f"in {percent(chance)} of comparisons"
            more = "" if count >= MANY_SEEDS else "; more seeds may tell"
            as_good = (
                f"No clear difference; the last layer is as good: {name} scores {lead:.3f} more with {count} seeds"
            )
            return Recommendation(None, f"{as_good}, but {by_chance} {odds}{more}.")
        better = f"{name} is recommended for this prompt: it scores {lead:.3f} more than the last layer"
        return Recommendation(
            self.choices[best],
            f"{better} with {count} seeds, and {by_chance} in at most {percent(chance)} of comparisons.",
        )

    def _leads(self, place: int) -> list[float]:
        return [own - last for own, last in zip(self.scores[place], self.scores[self.last], strict=True)]


def layer_scores(
    row: Row,
    seeds: Sequence[int],
    features: Sequence[Tensor],
    features_of_text: Callable[[Sequence[str]], Tensor],
) -> LayerScores | None:
    """The figures of the pictures so far: CLIP image features (B, F) of each of the first shots, a row for each seed.

    `features_of_text` gives features (N, F) of N texts. None until there is the last layer's picture, and another.
    """
    alike = similarities(row, seeds, features)
    if alike is None:
        return None
    read = readable(row.shots[0])
    scores: tuple[tuple[float, ...], ...] = ()
    if read:
        text = F.normalize(features_of_text([read])[0].double(), dim=0)  # (F,)
        cosines = ((F.normalize(found.double(), dim=1) @ text).tolist() for found in features)
        scores = tuple(map(tuple, cosines))
    choices = [shot.layers for shot in row.shots[: len(features)]]
    left_out = tuple(word for word in row.shots[0].words if word_pattern([word]).search(row.shots[0].prompt))
    return LayerScores(alike, tuple(layers for layers in choices if layers is not None), scores, read, left_out)


def readable(shot: Shot) -> str:
    """The prompt as CLIP is to read it: without new words, which it does not know, brackets, weights and networks."""
    names = sorted(shot.words, key=len, reverse=True)
    return sentence_of(word_pattern(names).sub(" ", shot.prompt) if names else shot.prompt)


def beyond(t: float, degrees: int) -> float:
    """The probability that a variable with Student's distribution is above `t`, for 1 or more `degrees` of freedom.

    By the finite series of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2 == 1
    term = cosine if is_odd else 1.0
    terms = [term] if degrees > 1 else []
    for factor in range(3 if is_odd else 2, degrees - 1, 2):
        term *= cosine**2 * ((factor - 1) / factor)
        terms.append(term)
    inside = 2 / math.pi * (angle + sine * math.fsum(terms)) if is_odd else sine * math.fsum(terms)
    return (1 - inside) / 2


def percent(share: float) -> str:
    """`share` in per cent, with a digit more where it is small."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %" if share >= 0.001 else "0.1 %"


def scores_table(found: LayerScores) -> str:
    """As CSV, a line for each choice of layers; what `chance` is, `LayerScores.chance` says."""
    seeds = found.alike.seeds
    header = ["layers", "score", "deviation", "lead", "chance", "similarity_with_last"]
    header += [f"score_with_seed_{seed}" for seed in seeds]
    lines: list[Sequence[Cell]] = []
    for place, layers in enumerate(found.choices):
        by_seed: Sequence[float | None] = found.scores[place] if found.scores else [None for _ in seeds]
        figures: list[float | None] = [None, None, None, None]
        if found.scores:
            chance = None if place == found.last or len(seeds) < 2 else found.chance(place)
            figures = [found.score(place), found.deviation(place), found.lead(place), chance]
        lines.append([layers.text, *map(rounded, [*figures, found.alike.similarity(place), *by_seed])])
    return csv_text(header, lines)
