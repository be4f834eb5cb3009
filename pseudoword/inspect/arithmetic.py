"""Arithmetic on words: `0.7*"oil painting" + 0.3*my-style - dog` gives a new embedding.

Words are tables of vectors, one row for each place in a prompt. Sums want equal numbers of vectors, but one vector goes
with any number. An expression is reckoned first with vectors of width 0: so everything that can be wrong with it is
found, and how many vectors it takes is known, before any memory is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import Tensor

from ..embedding import Embedding, EmbeddingMetadata, check_name
from ..errors import SettingsError
from .expression import Call, Name, Negative, Node, Number, Part, Phrase, Product, Slice, Sum, expression_error
from .expression_parser import parse, printed_name
from .ingredients import Ingredient, Lexicon, Pantry, WordSource

MAX_VECTORS = 75  # as many places as one chunk of a prompt has
MAX_INTERMEDIATE_VECTORS = 300  # of any part of an expression: 5 MB for SDXL
MAX_STEPS = 100  # of a strip between two words
PARALLEL = 1e-6  # sine of the angle below which no arc leads from one direction to the other
ROWS_AT_ONCE = 4096  # of a vocabulary, whose float32 copy as a whole would take 250 MB for SDXL


@dataclass(frozen=True, eq=False)
class Combination:
    """What an expression gives: `vectors` (n, D) by the encoder's name, float32, and what it was made of."""

    expression: str
    vectors: Mapping[str, Tensor]
    ingredients: tuple[Ingredient, ...]

    @property
    def clip_skip(self) -> int | None:
        """The layer that all ingredients were made for; None if they differ or do not say it."""
        skips = {ingredient.clip_skip for ingredient in self.ingredients}
        return skips.pop() if len(skips) == 1 else None

    @property
    def recipe(self) -> str:
        """JSON with the expression, and the name and hash of each embedding in it."""
        embeddings = [{"name": part.name, "sha256": part.sha256} for part in self.ingredients]
        return json.dumps({"expression": self.expression, "embeddings": embeddings}, ensure_ascii=False)

    def embedding(self, name: str, metadata: EmbeddingMetadata | None = None) -> Embedding:
        """The new word, its recipe and layer filled into `metadata`. Raises SettingsError for an unusable name."""
        facts = replace(metadata or EmbeddingMetadata(), recipe=self.recipe, clip_skip=self.clip_skip)
        return Embedding(check_name(name), self.vectors, facts)


@torch.no_grad()
def evaluate(expression: str, encoders: Sequence[Lexicon], words: Mapping[str, Embedding] | WordSource) -> Combination:
    """What `expression` gives in the vocabularies of `encoders`, all text encoders of one model.

    Computed in float64. Raises SettingsError with the place that is wrong for every expression that gives no word, or
    names an embedding of another model, and whatever `words` raises for an embedding that cannot be loaded.
    """
    tree = parse(expression)
    pantry = Pantry(expression, encoders, words)
    planned = _Evaluation(expression, lambda leaf: torch.empty(pantry.count(leaf), 0), lambda: 1.0).word(tree)
    if len(planned) > MAX_VECTORS:
        sentence = f"This gives {len(planned)} vectors, and a word has at most {MAX_VECTORS}; take some with [0:75]."
        raise expression_error(expression, tree.place, sentence)
    vectors = {}
    for encoder in encoders:
        evaluation = _Evaluation(expression, pantry.rows_for(encoder), cache(partial(mean_length, encoder)))
        vectors[encoder.name] = evaluation.word(tree).float()
        if not vectors[encoder.name].isfinite().all():
            sentence = "This gives numbers that are too large for a file of embeddings; make them smaller."
            raise expression_error(expression, tree.place, sentence)
    return Combination(expression, vectors, pantry.ingredients())


def interpolation(first: str, second: str, count: int) -> list[str]:
    """`count` expressions on the arc from the word `first` to `second`, both ends included.

    Raises SettingsError for fewer than 2 and more than 100.
    """
    if not 2 <= count <= MAX_STEPS:
        raise SettingsError(f"A strip cannot have {count} steps; ask for 2 to {MAX_STEPS}.")
    ends = f"{printed_name(first)}, {printed_name(second)}"
    return [f"slerp({ends}, {step / (count - 1):.6g})" for step in range(count)]


def mean_length(encoder: Lexicon) -> float:
    """The mean length of the vectors in the vocabulary of `encoder`."""
    parts = encoder.vocabulary.detach().split(ROWS_AT_ONCE)
    return sum(float(part.cpu().double().norm(dim=1).sum()) for part in parts) / len(encoder.vocabulary)


def slerp(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Vectors (n, D) on the arc from `first` to `second`, (n, D) or (1, D), at `share` 0 … 1 of its angle.

    Lengths change evenly. Where two vectors are parallel, or one is zero, there is no arc; a straight line is taken.
    """
    first, second = torch.broadcast_tensors(first, second)
    lengths = [rows.norm(dim=1, keepdim=True) for rows in (first, second)]  # (n, 1)
    one, other = (rows / size.clamp(min=1e-300) for rows, size in zip((first, second), lengths, strict=True))
    # Not by the cosine, which says little of small angles.
    angle = 2 * torch.atan2((one - other).norm(dim=1, keepdim=True), (one + other).norm(dim=1, keepdim=True))
    arc = (angle.sin() > PARALLEL) & (lengths[0] > 0) & (lengths[1] > 0)
    sine, size = torch.where(arc, angle.sin(), 1.0), (1 - share) * lengths[0] + share * lengths[1]
    weights = [torch.sin((1 - share) * angle) / sine, torch.sin(share * angle) / sine]
    # Divided last: at both ends these are exactly 1 and 0.
    left = torch.where(arc, weights[0] * (size / lengths[0].clamp(min=1e-300)), 1 - share)
    right = torch.where(arc, weights[1] * (size / lengths[1].clamp(min=1e-300)), share)
    return left * first + right * second


class _Evaluation:
    """The value of each node: a number, or vectors (n, D) in float64, or of width 0 for the reckoning beforehand.

    `rows` gives the vectors of names and phrases, `usual_length` the length that `normalize` brings vectors to.
    """

    def __init__(
        self, expression: str, rows: Callable[[Name | Phrase], Tensor], usual_length: Callable[[], float]
    ) -> None:
        self._expression = expression
        self._rows = rows
        self._usual_length = usual_length

    def word(self, node: Node) -> Tensor:
        """The vectors of a node that must not be a number."""
        value = self._value(node)
        if isinstance(value, float):
            raise self._error(node.place, f"This is the number {value:g} where a word must be.")
        return value

    def _number(self, node: Node) -> float:
        value = self._value(node)
        if isinstance(value, Tensor):
            raise self._error(node.place, "This is a word where a number must be.")
        return value

    def _value(self, node: Node) -> Tensor | float:
        value = self._raw_value(node)
        if isinstance(value, Tensor) and len(value) > MAX_INTERMEDIATE_VECTORS:
            most = f"no part of an expression has more than {MAX_INTERMEDIATE_VECTORS}"
            raise self._error(node.place, f"These are {len(value)} vectors, and {most}; combine fewer.")
        if not (bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)):
            raise self._error(node.place, "This gives numbers that are not finite; take smaller ones.")
        return value

    def _raw_value(self, node: Node) -> Tensor | float:
        match node:
            case Number():
                return node.value
            case Name() | Phrase():
                return self._rows(node)
            case Negative():
                return -self._value(node.operand)
            case Sum():
                return self._sum(node)
            case Product():
                return self._product(node)
            case Slice():
                rows = self.word(node.operand)
                for part in node.parts:
                    rows = self._part(rows, part)
                return rows
            case Call():
                return self._call(node)

    def _sum(self, node: Sum) -> Tensor | float:
        total = self._value(node.first)
        for step in node.rest:
            value, sign = self._value(step.operand), 1 if step.operator == "+" else -1
            if isinstance(total, Tensor) and isinstance(value, Tensor):
                self._check_numbers(total, value, step.place)
            elif isinstance(total, Tensor) or isinstance(value, Tensor):
                place = step.operand.place if isinstance(total, Tensor) else node.place
                raise self._error(place, "This is a number where a word must be: the other side is a word.")
            total = total + sign * value
        return total

    def _product(self, node: Product) -> Tensor | float:
        total = self._value(node.first)
        for step in node.rest:
            value = self._value(step.operand)
            if isinstance(value, Tensor) and step.operator == "/":
                raise self._error(step.operand.place, "Nothing can be divided by a word; put a number here.")
            if isinstance(value, Tensor) and isinstance(total, Tensor):
                sentence = "Two words cannot be multiplied; a number times a word is its strength."
                raise self._error(step.place, sentence)
            if step.operator == "/" and value == 0:
                raise self._error(step.operand.place, "Nothing can be divided by 0; put another number here.")
            total = total / value if step.operator == "/" else total * value
        return total

    def _part(self, rows: Tensor, part: Part) -> Tensor:
        places = range(len(rows))
        shown = f"{len(rows)} vector{'s' * (len(rows) != 1)}, {_ends(len(rows))}"
        if len(part.bounds) == 1:
            index = part.bounds[0] or 0
            if not -len(rows) <= index < len(rows):
                raise self._error(part.place, f"There is no vector {index}: the word has {shown}.")
            return rows[[places[index]]]
        if part.bounds[2] == 0:
            raise self._error(part.place, "The step of a slice cannot be 0; leave it out to take every vector.")
        chosen = list(places[slice(*part.bounds)])
        if not chosen:
            raise self._error(part.place, f"This slice takes nothing: the word has {shown}.")
        return rows[chosen]

    def _call(self, node: Call) -> Tensor:
        if node.function == "concat":
            return self._concatenated(node)
        first = self.word(node.arguments[0])
        if node.function == "normalize":
            return self._normalized(first, node.place)
        if node.function == "slerp":
            second, share = self.word(node.arguments[1]), self._number(node.arguments[2])
            self._check_numbers(first, second, node.arguments[1].place)
            if not 0 <= share <= 1:
                sentence = f"The share {share:g} is not on the way; put a number from 0 (the first word) to 1."
                raise self._error(node.arguments[2].place, sentence)
            return slerp(first, second, share)
        if len(node.arguments) == 1:
            return first.mean(dim=0, keepdim=True)
        for argument in node.arguments[1:]:  # one after another: there may be many
            value = self.word(argument)
            self._check_numbers(first, value, argument.place)
            first = first + value
        return first / len(node.arguments)

    def _concatenated(self, node: Call) -> Tensor:
        pieces: list[Tensor] = []
        for argument in node.arguments:
            pieces.append(self.word(argument))
            if sum(map(len, pieces)) > MAX_INTERMEDIATE_VECTORS:
                most = f"no part of an expression has more than {MAX_INTERMEDIATE_VECTORS}"
                raise self._error(argument.place, f"From here on there are too many vectors: {most}; join fewer words.")
        return torch.cat(pieces)

    def _normalized(self, rows: Tensor, place: int) -> Tensor:
        lengths = rows.norm(dim=1, keepdim=True)
        if rows.shape[1] and not lengths.all():
            raise self._error(place, "A vector of zeros has no direction that could be normalized; leave it out.")
        return rows / lengths.clamp(min=1e-300) * self._usual_length()

    def _check_numbers(self, first: Tensor, second: Tensor, place: int) -> None:
        counts = len(first), len(second)
        if counts[0] != counts[1] and 1 not in counts:
            sentence = (
                f"{counts[0]} and {counts[1]} vectors do not go together; make their numbers equal with "
                f"[:{min(counts)}], or one of them a single vector with mean(…)."
            )
            raise self._error(place, sentence)

    def _error(self, place: int, sentence: str) -> SettingsError:
        return expression_error(self._expression, place, sentence)


def _ends(count: int) -> str:
    """Which indices a word of `count` vectors has."""
    return "[0]" if count == 1 else f"[0] to [{count - 1}]"
