"""A watch on when a CLIP model is lent for passes, and on what is done outside of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pseudoword.decoding import decode_picture
from pseudoword.scoring import ClipScorer, folder

PASS, DECODING = "a pass", "decoding"


@dataclass
class Loans:
    """How often a model was lent, and what was done meanwhile and otherwise."""

    count: int = 0
    is_lent: bool = False
    within: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)

    def watched(self, using: Callable[..., AbstractContextManager[ClipScorer]]) -> Any:
        """`using`, whose loans are counted."""

        @contextmanager
        def lent(*given: Any, **options: Any) -> Iterator[ClipScorer]:
            assert not self.is_lent, "who waits for his own turn waits for ever"
            with using(*given, **options) as scorer:
                self.count, self.is_lent = self.count + 1, True
                try:
                    yield scorer
                finally:
                    self.is_lent = False

        return lent

    def noted(self, what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        """`do`, of which it is noted whether a model is lent."""

        def noting(*given: Any, **options: Any) -> Any:
            (self.within if self.is_lent else self.outside).add(what)
            return do(*given, **options)

        return noting


def watched_loans(monkeypatch: pytest.MonkeyPatch) -> Loans:
    """Loans that note passes of all models, and the decoding of pictures, until the test ends."""
    loans = Loans()
    for name in ("features_of_pixels", "text_features"):
        monkeypatch.setattr(ClipScorer, name, loans.noted(PASS, getattr(ClipScorer, name)))
    monkeypatch.setattr(ClipScorer, "logit_scale", property(loans.noted(PASS, ClipScorer.logit_scale.fget)))  # type: ignore[attr-defined]
    monkeypatch.setattr(folder, "decode_picture", loans.noted(DECODING, decode_picture))
    return loans
