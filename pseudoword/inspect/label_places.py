"""Where labels go on a crowded map, so that none lies on another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LINE_HEIGHT = 1.25  # in parts of the font's size


@dataclass(frozen=True)
class Box:
    """A rectangle, in any unit."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two have more than an edge in common."""
        aside = self.left >= other.right or other.left >= self.right
        return not (aside or self.bottom >= other.top or other.bottom >= self.top)

    def lies_in(self, other: Box) -> bool:
        """Whether it is nowhere outside the other."""
        across = self.left >= other.left and self.right <= other.right
        return across and self.bottom >= other.bottom and self.top <= other.top


def label_boxes(
    labels: Sequence[tuple[float, float, float]], frame: Box, font: float, taken: Sequence[Box] = ()
) -> list[Box | None]:
    """A box beside the point of each label (width, x, y), all in points of 1/72 inch; None where there is no room.

    Those that come first choose first. `taken` are boxes of marks that stay free.
    """
    occupied = list(taken)
    chosen: list[Box | None] = []
    for width, x, y in labels:
        free = (
            box
            for box in boxes_around(width, x, y, font)
            if box.lies_in(frame) and not any(box.overlaps(other) for other in occupied)
        )
        box = next(free, None)
        chosen.append(box)
        if box is not None:
            occupied.append(box)
    return chosen


def boxes_around(width: float, x: float, y: float, font: float) -> Iterator[Box]:
    """Places for the label of a point, the best first: right, left, above, below, then further off."""
    height = LINE_HEIGHT * font
    for gap in (0.7 * font, 1.4 * font):
        for left, bottom in (
            (x + gap, y - height / 2),
            (x - gap - width, y - height / 2),
            (x - width / 2, y + gap),
            (x - width / 2, y - gap - height),
            (x + gap, y + gap / 2),
            (x - gap - width, y + gap / 2),
            (x + gap, y - gap / 2 - height),
            (x - gap - width, y - gap / 2 - height),
        ):
            yield Box(left, bottom, left + width, bottom + height)
