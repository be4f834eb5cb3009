"""Which captions don't fit their pictures, as far as CLIP says.

A caption is doubted for one of two reasons. It fits its picture worse than most of a hundred everyday texts do, which
nobody wrote for it. Or the captions of the set seem to be mixed up: that of another picture fits this one much
better, while its own fits others better. How well a caption fits all pictures, and a picture all captions, is taken out
before, since some captions fit everything a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST_BEATEN = 0.25
"""Share of the everyday texts. Right captions of 500 drawings beat 99 % and more, those of the ground alone rarely less
than 25 %; wrong ones any share, so one in four of them is found by this."""
MIXED_UP_FROM = math.log(100)
"""How much more likely the other caption is, by the model's own logit scale: 100 times."""

EVERYDAY = tuple(
    text.strip()
    for line in """
        a dog; a cat; a bird; a fish; a horse; a cow; an insect; a flower; a tree; grass; leaves; fruit; vegetables
        bread; a cake; a cup of coffee; a bottle; a plate of food; a table; a chair; a bed; a lamp; a sofa; a window
        a door; a house; a tall building; a bridge; a street; a car; a bus; a train; a bicycle; a boat; an airplane
        a mountain; the sea; a beach; a river; the sky; clouds; snow; rain; the sun; the moon; fire; a rock; sand
        a man; a woman; a child; a face; a crowd of people; hands; a shirt; shoes; a hat; a bag; a book; a newspaper
        a letter; a sign; a map; a computer; a telephone; a camera; a television; a clock; a key; a knife; a hammer
        a ball; a guitar; a toy; a coin; a ring; a crown; a flag; a statue; a painting; a pattern; text; a diagram
        a wall; a floor; a kitchen; a garden; a forest; a desert; a farm; a shop; a machine
    """.strip().splitlines()
    for text in line.split(";")
)


@dataclass(frozen=True)
class CaptionFit:
    """How a caption fits its picture: `cosine`, and the share of everyday texts that fit it less.

    `better` is the place of the caption that fits the picture much better, with `better_cosine`, where captions seem to
    be mixed up.
    """

    cosine: float
    beaten: float
    better: int | None
    better_cosine: float

    @property
    def is_doubtful(self) -> bool:
        """Whether it seems not to fit."""
        return self.beaten < FEWEST_BEATEN or self.better is not None


def caption_fits(
    pictures: Tensor, captions: Tensor, texts: Sequence[str], everyday: Tensor, logit_scale: float
) -> list[CaptionFit]:
    """How each of `captions` (N, D), which say `texts`, fits the picture at its place in `pictures` (N, D), N ≥ 1.

    `everyday` are features (M, D) of `EVERYDAY`. All are of one model, with that `logit_scale`.
    """
    cosines = pictures @ captions.T  # (N, N), rows are pictures
    centred = cosines - cosines.mean(dim=0, keepdim=True) - cosines.mean(dim=1, keepdim=True) + cosines.mean()
    own, beaten = cosines.diagonal(), (pictures @ everyday.T < cosines.diagonal()[:, None]).float().mean(dim=1)
    found = []
    for place in range(len(texts)):
        lead = logit_scale * (centred[place] - centred[place, place])
        # The same words beside another picture are no other caption.
        others = torch.tensor([text != texts[place] for text in texts])
        best = int(torch.where(others, lead, torch.full_like(lead, -math.inf)).argmax())
        better = best if bool(others.any()) and float(lead[best]) >= MIXED_UP_FROM else None
        found.append(CaptionFit(float(own[place]), float(beaten[place]), better, float(cosines[place, best])))
    return found
