"""The tab that makes a word of others by an expression."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..errors import PseudowordError, SettingsError
from ..inspect.expression_parser import printed_name
from ..inspect.strips import Row, combination_row
from ..jobs.library.combination_saving import save_combination
from ..jobs.library.combining import combine, ingredients_of
from ..jobs.library.inspector import Inspector
from . import gradio_versions
from .arithmetic_html import combined_html, problem_html
from .offered_lists import Lists
from .own_page import for_own_page
from .saved_word import choosing, format_field, label_after, saved_says
from .strip_form import build_form, connect

ABOUT = "A new word made of others: mixed, taken from each other, joined, or cut."
EXAMPLES = {
    'cat + 0.5*"oil painting"[0]': "a word of the vocabulary, and half of the first token of a phrase",
    "king - man + woman": "a minus has spaces around it, for a hyphen belongs to a name",
    "mean(red, green, blue)": "what they have in common; of one argument, the mean of its vectors",
    "slerp(cat, dog, 0.5)": "half way from one to the other, along the arc between their directions",
    "normalize(cat + dog)": "as long as vectors of the vocabulary are on average",
    'concat("a red", cat)': "all vectors of one after those of the other",
    '"oil painting on canvas"[1:3]': "some vectors of it, counted from 0; [-1] is the last",
}
GRAMMAR = """\
A name is an embedding of the library, or else a word of the vocabulary. `{my style v2}` is always an embedding,
whatever its name holds; text between quotation marks is always the vocabulary's, all its tokens. `+ - * /`, brackets
and numbers work as everywhere. Sums want equally many vectors on both sides, or one vector on one of them. Press an
example to try it:
"""
NONE = "choose one"


def build(inspector: Inspector, chosen: Any) -> Lists:
    """Put the tab where Gradio builds now; a word that is saved is looked at then, in `chosen`."""

    def offered() -> list[str]:
        return [NONE, *inspector.names()]

    gr.Markdown(ABOUT)
    with gr.Row():
        expression = gr.Textbox(
            label="Expression",
            value="",
            lines=2,
            placeholder='0.7*my-style + 0.3*"oil painting"[0]',
            scale=3,
            min_width=260,
            elem_id="pseudoword_expression",
        )
        insert = gr.Dropdown(
            offered(), value=NONE, label="Insert an embedding", min_width=180, elem_id="pseudoword_expression_insert"
        )
    build_help(expression)
    given = gr.HTML(elem_id="pseudoword_expression_given")
    gradio_versions.on_typing([expression], lambda text: expression_says(inspector, text), [expression], given)
    insert.change(inserted, [expression, insert], [expression, insert], queue=False)
    with gr.Accordion("Preview", open=True):
        form = build_form("arithmetic", "Preview")
        connect(form, inspector, lambda *values: rows(inspector, *values), [expression])
    with gr.Row():
        name = gr.Textbox(
            label="Save as",
            value="",
            placeholder="my-mix",
            info="As prompts will call it",
            max_lines=1,
            min_width=200,
            elem_id="pseudoword_mix_name",
        )
        format = format_field("pseudoword_mix_format")
        description = gr.Textbox(
            label="Description",
            value="",
            info="The expression is written into the file in any case",
            max_lines=1,
            min_width=200,
            elem_id="pseudoword_mix_description",
        )
    may_replace = gr.Checkbox(
        value=False, label="Replace an embedding of that name; it is kept beside it", elem_id="pseudoword_mix_replace"
    )
    save = gr.Button("Save", variant="primary", elem_id="pseudoword_mix_save")
    message = gr.HTML(elem_id="pseudoword_mix_message")

    def pressed(*values: Any) -> tuple[str, Any]:
        said, label = saved(inspector, *values)
        return said, gr.update() if label is None else choosing(inspector, chosen, label)

    save_it = for_own_page(inspector.host, pressed)
    save.click(save_it, [expression, name, format, description, may_replace], [message, chosen], queue=False)
    return [(insert, offered)]


def build_help(expression: Any) -> None:
    """The grammar, and examples that are put into the field `expression` when they are pressed."""
    with gr.Accordion("How to write it", open=False):
        gr.Markdown(GRAMMAR)
        for number, (example, meaning) in enumerate(EXAMPLES.items()):
            with gr.Row(elem_classes="pseudoword-example"):
                button = gr.Button(example, size="sm", elem_id=f"pseudoword_example_{number}")
                gr.Markdown(meaning)
            button.click(lambda text=example: text, None, expression, queue=False)


def expression_says(inspector: Inspector, expression: str | None) -> str:
    """What `expression` gives, or what is wrong with it, in HTML."""
    if not (expression or "").strip():
        return ""
    try:
        return combined_html(combine(inspector, expression or ""))
    except PseudowordError as problem:
        return problem_html(problem)


def inserted(expression: str | None, name: str | None) -> tuple[Any, Any]:
    """The expression with the embedding `name` at its end, and the choice undone."""
    if name in (None, "", NONE):
        return gr.update(), gr.update()
    text = (expression or "").rstrip()
    between = " " if text[-1:] in ("+", "-", "*", "/", ",", "(") else " + " if text else ""
    return text + between + printed_name(str(name)), NONE


def rows(inspector: Inspector, template: str, expression: str | None) -> list[Row]:
    """The pictures that show what `expression` gives, and what it is made of. Raises PseudowordError, in one line."""
    try:
        combination = combine(inspector, expression or "").combination
    except SettingsError as problem:
        raise SettingsError(str(problem).partition("\n")[0]) from problem  # where it is wrong is shown above
    embedding = combination.embedding("mixed")
    return [combination_row(combination.expression, embedding, ingredients_of(inspector, combination), template)]


def saved(
    inspector: Inspector, expression: str | None, name: str | None, format: Any, description: str | None, replace: bool
) -> tuple[str, str | None]:
    """Save what `expression` gives; returns what to tell, and the label of the new embedding."""
    try:
        combination = combine(inspector, expression or "").combination
        path, there = save_combination(inspector, combination, name or "", format, description or "", bool(replace))
    except PseudowordError as problem:
        return problem_html(problem), None
    count = len(next(iter(combination.vectors.values())))
    former = f"; {there.name}, which was there, is kept beside it" if there is not None else ""
    said = f"{path.stem} is saved as {path.name}, {count} vector{'s' * (count > 1)}{former}."
    return saved_says(said, path.stem), label_after(inspector, path)
