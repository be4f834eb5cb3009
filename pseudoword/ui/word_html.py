"""One embedding as HTML: its facts and findings, nearest tokens, nearest words, and plots with their data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from ..inspect.figures import EncoderFigures, VectorFigures
from ..inspect.health import Finding
from ..inspect.nearest_rows import MEASURES, Measure
from ..inspect.vocabulary import Neighbour
from ..jobs.library.inspector import Examined
from .recipe_html import recipe_html

SHOWN_TOKENS, FEW_NOTES = 6, 3
WORDS, LIBRARY = "pseudoword/v1/words", "pseudoword/v1/library"
MEASURE_TITLES: Mapping[Measure, str] = {
    "cosine": "by direction (cosine)",
    "dot": "by dot product",
    "distance": "by distance",
}
PLOTS = {
    "norms": "How long the vectors are among the model's own words.",
    "similarity": "How alike the vectors are: two that are nearly the same waste a place in the prompt.",
    "map": "Where they point, among common words, the nearest tokens and the nearest other embeddings.",
    "layers": "What the text encoder makes of the word, layer by layer, beside a word that it knows.",
}
FAMILIES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "SDXL"}
TOKENS_EXPLAINED = (
    "A token is a piece of text with a vector of its own. One that ends in … is followed by more of the same word; "
    "CLIP writes the others with &lt;/w&gt; at their end."
)
LAYERS_MISSING = (
    '<p class="pseudoword-small">While its model is loaded, a plot shows what the text encoder makes of the word.</p>'
)


def word_html(examined: Examined, label: str, labels: Mapping[str, str]) -> str:
    """Everything about a word. `labels` are those of other words by name, for links to them."""
    figures = examined.figures
    parts = [f'<div class="pseudoword-word">{head(examined, label)}']
    if examined.missing:
        parts.append(f'<p class="pseudoword-warning">{escape(examined.missing)}</p>')
    parts.append(findings_html(examined.findings, len(examined.embedding.vectors) > 1))
    if figures is not None and examined.fitting is not None:
        if not examined.findings:
            parts.append('<p class="pseudoword-good">Nothing is wrong with these vectors.</p>')
        parts.append(f"<h4>Nearest tokens in {escape(examined.fitting.title)}</h4>")
        parts.append(side_by_side(nearest_html(found) for found in figures.encoders.values()))
        parts.append(f'<p class="pseudoword-small">{TOKENS_EXPLAINED} {csv_link("nearest", label, "")}</p>')
    parts.append(related_html(examined, labels, label))
    if figures is not None and examined.fitting is not None:
        is_loaded = examined.fitting.loaded is not None
        kinds = [kind for kind in PLOTS if is_loaded or kind != "layers"]
        plots = "".join(plot_html(kind, label, encoder) for kind in kinds for encoder in figures.encoders)
        parts.append(f'<div class="pseudoword-plots">{plots}</div>')
        parts.append("" if is_loaded else LAYERS_MISSING)
    return "".join([*parts, "</div>"])


def head(examined: Examined, label: str) -> str:
    """Preview, name and facts."""
    row, embedding = examined.row, examined.embedding
    widths = ", ".join(f"{encoder} {rows.shape[1]}" for encoder, rows in embedding.vectors.items())
    metadata = embedding.metadata
    facts = {
        "for": FAMILIES[embedding.architecture],
        "vectors": str(embedding.vector_count),
        "dimensions": widths,
        "steps": "" if metadata.steps is None else str(metadata.steps),
        "trained on": metadata.trained_on,
        "CLIP skip": "" if metadata.clip_skip is None else str(metadata.clip_skip),
        "file": f"{row.path}, {row.kind}",
        "SHA-256": row.short_hash,
        "description": metadata.description[:500],
    }
    shown = {name: escape(value) for name, value in facts.items()} | {"recipe": recipe_html(metadata.recipe)}
    told = "".join(
        f'<div class="pseudoword-figure"><dt>{name}</dt><dd>{value}</dd></div>'
        for name, value in shown.items()
        if value
    )
    picture = ""
    if row.preview is not None:
        query = urlencode({"word": label, "v": row.changed_ns})
        picture = f'<img class="pseudoword-word-preview" alt="" src="{LIBRARY}/preview?{escape(query)}">'
    address = escape(f"{WORDS}/file?{urlencode({'word': label})}")
    download = f'<a class="pseudoword-link" href="{address}">Download</a>'
    heading = f'<h3 class="pseudoword-word-name">{escape(embedding.name)}</h3> {download}'
    facts_list = f'<dl class="pseudoword-figures">{told}</dl>'
    return f'<div class="pseudoword-word-head">{picture}<div>{heading}{facts_list}</div></div>'


def findings_html(findings: Sequence[Finding], several_encoders: bool) -> str:
    """What is wrong, and behind a click what is only worth knowing where that is much."""
    grave = [finding_html(one, several_encoders) for one in findings if one.level != "note"]
    notes = [finding_html(one, several_encoders) for one in findings if one.level == "note"]
    if len(notes) <= FEW_NOTES:
        return "".join([*grave, *notes])
    return f"{''.join(grave)}<details><summary>{len(notes)} notes</summary>{''.join(notes)}</details>"


def finding_html(finding: Finding, several_encoders: bool) -> str:
    """One line, which names the text encoder where there are several."""
    kind = "note" if finding.level == "note" else "warning"
    which = f"{finding.encoder}: " if several_encoders and finding.encoder else ""
    return f'<p class="pseudoword-{kind}"><b>{finding.level}</b> {escape(which + finding.sentence)}</p>'


def side_by_side(columns: Iterator[str]) -> str:
    """One column for each text encoder; below each other where there is no room."""
    return f'<div class="pseudoword-encoders">{"".join(f"<div>{column}</div>" for column in columns)}</div>'


def nearest_html(figures: EncoderFigures) -> str:
    """A table of the vectors with the tokens nearest to them, for each measure."""
    usual = figures.vocabulary_norms
    tables = []
    for measure in MEASURES:
        rows = "".join(vector_html(vector, measure) for vector in figures.vectors)
        tables.append(
            f"<details{' open' if measure == 'cosine' else ''}><summary>{MEASURE_TITLES[measure]}</summary>"
            '<div class="pseudoword-word-scroll" tabindex="0"><table class="pseudoword-nearest"><thead><tr>'
            "<th>vector</th><th>length</th><th>nearest tokens</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div></details>"
        )
    lengths = f"the vocabulary's vectors are {usual.mean:.3g} ± {usual.deviation:.2g} long"
    return f'<p class="pseudoword-small"><b>{escape(figures.encoder)}</b>: {lengths}</p>{"".join(tables)}'


def vector_html(vector: VectorFigures, measure: Measure) -> str:
    """A row of the table of nearest tokens."""
    tokens = "".join(token_html(one) for one in vector.nearest[measure][:SHOWN_TOKENS])
    longer = f"longer than {vector.norm_percentile:.0f} % of the vocabulary"
    return (
        f'<tr><th scope="row">{vector.number}</th><td class="pseudoword-number" title="{longer}">{vector.norm:.3g}</td>'
        f"<td>{tokens or 'none: all zeros'}</td></tr>"
    )


def token_html(token: Neighbour) -> str:
    """A token with its figure."""
    text = token.text if token.ends_word or token.text.startswith("<|") else f"{token.text}…"
    shown = escape(text) if text.strip() else "␣"
    figure = f"<small>{token.figure:.3f}</small>"
    return f'<span class="pseudoword-token" title="token {token.token_id}">{shown} {figure}</span>'


def related_html(examined: Examined, labels: Mapping[str, str], label: str) -> str:
    """The nearest other embeddings, each a button that opens it."""
    relations = examined.relations.by_encoder
    if not any(relations.values()):
        return ""
    columns = []
    for encoder, nearest in relations.items():
        rows = "".join(
            f"<tr><td>{opening(one.name, labels)}</td>"
            f'<td class="pseudoword-number">{one.mean_cosine:.3f}</td><td class="pseudoword-number" title="vector '
            f'{one.own_vector} with its vector {one.its_vector}">{one.best_cosine:.3f}</td></tr>'
            for one in nearest
        )
        columns.append(
            f'<p class="pseudoword-small"><b>{escape(encoder)}</b></p><table class="pseudoword-nearest"><thead><tr>'
            f"<th>embedding</th><th>cosine of means</th><th>best pair</th></tr></thead><tbody>{rows}</tbody></table>"
        )
    explained = f'<p class="pseudoword-small">{csv_link("relations", label, "")}</p>'
    return f"<h4>Nearest other embeddings</h4>{side_by_side(iter(columns))}{explained}"


def opening(name: str, labels: Mapping[str, str]) -> str:
    """The name of a word as a button that opens it, where it is in the library."""
    if name not in labels:
        return escape(name)
    return (
        f'<button type="button" class="pseudoword-library-open" data-pseudoword-open="{escape(labels[name])}">'
        f"{escape(name)}</button>"
    )


def plot_html(kind: str, label: str, encoder: str) -> str:
    """A plot in both themes, of which the page's shows, and the ways to take it along."""
    pictures, links = [], []
    for theme in ("light", "dark"):
        query = escape(urlencode({"word": label, "encoder": encoder, "theme": theme}))
        address = f"{WORDS}/{kind}.png?{query}"
        shown_in = f"pseudoword-in-{theme}"
        pictures.append(f'<img class="pseudoword-plot {shown_in}" loading="lazy" alt="{kind}" src="{address}">')
        links.append(f'<a class="pseudoword-link {shown_in}" href="{address}" download="{kind}-{encoder}.png">PNG</a>')
    caption = f"<figcaption>{PLOTS[kind]}</figcaption>"
    taken = f'<p class="pseudoword-small">{"".join(links)} {csv_link(kind, label, encoder)}</p>'
    return f"<figure>{caption}{''.join(pictures)}{taken}</figure>"


def csv_link(kind: str, label: str, encoder: str) -> str:
    """A link to the data of `kind`."""
    query = escape(urlencode({"word": label, "encoder": encoder}))
    name = "-".join(part for part in (kind, encoder) if part)
    return f'<a class="pseudoword-link" href="{WORDS}/{kind}.csv?{query}" download="{name}.csv">CSV</a>'
