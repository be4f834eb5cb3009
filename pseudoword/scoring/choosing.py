"""Which pictures of a generation are kept for their scores, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_TOLD = 16  # scores one by one; of more pictures their range is told


@dataclass(frozen=True)
class Choice:
    """`kept` are places of pictures, in the order they are shown in; so many are `left_out`.

    `is_short` is whether none reaches the minimum, so that the best one is kept all the same.
    """

    kept: tuple[int, ...]
    left_out: int = 0
    is_short: bool = False


def choose(scores: Sequence[float | None], keep: int = 0, minimum: float = 0.0, best_first: bool = False) -> Choice:
    """Of pictures with these scores the best `keep` (0: all) of those that reach `minimum`; of equals the first.

    Where none reaches it the best one is kept: nobody is left with nothing. Pictures that could not be scored (None)
    are kept in any case; in an order they come last.
    """
    scored = [place for place, score in enumerate(scores) if score is not None]
    ranked = sorted(scored, key=lambda place: -(scores[place] or 0.0))
    fitting = [place for place in ranked if (scores[place] or 0.0) >= minimum]
    is_short = bool(ranked) and not fitting
    best = (fitting or ranked[:1])[: keep or None]
    without = [place for place, score in enumerate(scores) if score is None]
    kept = [*best, *without] if best_first else sorted([*best, *without])
    return Choice(tuple(kept), len(scores) - len(kept), is_short)


def choice_told(scores: Sequence[float | None], choice: Choice, model: str, minimum: float = 0.0) -> str:
    """What is said below the pictures that were kept, "" where there is nothing to say."""
    sentences = []
    figures = [score for place in choice.kept if (score := scores[place]) is not None]
    if figures and len(choice.kept) > 1:
        sentences.append(f"CLIP scores by {model}: {_listed([scores[place] for place in choice.kept])}.")
    if choice.is_short:
        best = max(score for score in scores if score is not None)
        nothing = "The picture does not reach" if len(scores) == 1 else "No picture reaches"
        kept = "" if len(scores) == 1 else ", so the best one is kept"
        sentences.append(f"{nothing} the minimum CLIP score of {minimum:g}: {score_text(best)}{kept}.")
    if choice.left_out:
        sentences.append(
            f"{choice.left_out} of {len(scores)} pictures {_verb(choice.left_out)} left out for a lower CLIP score."
        )
    without = sum(score is None for score in scores)
    if without and figures:
        sentences.append(f"{without} of {len(scores)} pictures could not be scored, and {_verb(without)} kept.")
    return " ".join(sentences)


def score_text(score: float) -> str:
    """A CLIPScore as it is shown: more digits would promise what such models cannot tell."""
    return f"{score:.1f}"


def _listed(scores: Sequence[float | None]) -> str:
    if len(scores) <= MOST_TOLD:
        return ", ".join("none" if score is None else score_text(score) for score in scores)
    figures = [score for score in scores if score is not None]
    mean = sum(figures) / len(figures)
    return f"{score_text(min(figures))} to {score_text(max(figures))}, on average {score_text(mean)}"


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
