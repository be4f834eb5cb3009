"""What an expression gives, or what is wrong with it, as HTML."""

from __future__ import annotations

from html import escape

from torch import Tensor

from ..embedding import Embedding
from ..errors import PseudowordError
from ..inspect.vocabulary import Vocabulary
from ..jobs.library.combining import Combined
from .messages import says
from .word_html import FAMILIES, side_by_side, token_html

SHOWN_TOKENS = 3


def combined_html(combined: Combined) -> str:
    """How many vectors an expression gives, how long they are, and the tokens that are nearest to each."""
    combination = combined.combination
    embedding = Embedding("word", combination.vectors)
    count = embedding.vector_count
    made_for = f"{' and '.join(embedding.vectors)} ({FAMILIES[embedding.architecture]})"
    embeddings = ", ".join(part.name for part in combination.ingredients) or "none"
    said = f"{count} vector{'s' * (count > 1)} for {made_for}, embeddings in it: {embeddings}."
    tables = (table_html(rows, combined.vocabularies[name]) for name, rows in embedding.vectors.items())
    return f'<div class="pseudoword-given">{says(said, "good")}{side_by_side(tables)}</div>'


def table_html(rows: Tensor, vocabulary: Vocabulary) -> str:
    """The vectors (n, D) of one text encoder: lengths, beside the vocabulary's mean, and nearest tokens by cosine."""
    usual = float(vocabulary.norms.mean())
    nearest = vocabulary.nearest(rows, SHOWN_TOKENS, with_specials=False)
    lines = "".join(
        f'<tr><th scope="row">{number}</th><td class="pseudoword-number">{norm:.3g}</td>'
        f'<td class="pseudoword-number">{norm / usual:.2f} ×</td>'
        f"<td>{''.join(map(token_html, tokens)) or 'none: all zeros'}</td></tr>"
        for number, (norm, tokens) in enumerate(zip(rows.double().norm(dim=1).tolist(), nearest, strict=True), 1)
    )
    return (
        f'<p class="pseudoword-small"><b>{escape(vocabulary.encoder)}</b>: the vocabulary\'s vectors are {usual:.3g} '
        'long on average</p><div class="pseudoword-given-scroll" tabindex="0"><table><thead><tr><th>vector</th>'
        f'<th class="pseudoword-number">length</th><th class="pseudoword-number">of average</th>'
        f"<th>nearest tokens</th></tr></thead><tbody>{lines}</tbody></table></div>"
    )


def problem_html(problem: PseudowordError) -> str:
    """What is wrong with an expression, and below it where."""
    sentence, _, place = str(problem).partition("\n")
    is_somewhere = bool(place.strip("\n ^"))
    return says(sentence, "warning") + (f'<pre class="pseudoword-expression">{escape(place)}</pre>' * is_somewhere)
