"""The inspector for programs, under `/pseudoword/v1`: strips of pictures, prompts, and words made of others.

How a strip stands, its pictures and figures are read by the routes of `strip_routes`. Whatever is refused is answered
with one sentence under "detail". Requests and answers are described in `inspection_schemas`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, params

from ..embedding import Embedding
from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..inspect.figures import figures_of, widths_of
from ..inspect.layers import TEMPLATE
from ..inspect.prompt_json import prompt_json
from ..inspect.prompt_view import view_prompt
from ..inspect.strips import Row, combination_row, contribution_row, interpolation_row
from ..inspect.word_json import vectors_json
from ..jobs.layers.layer_inspection import layers_strip, loaded_encoders
from ..jobs.layers.remembered_layers import remember, remembered
from ..jobs.library.combination_saving import save_combination
from ..jobs.library.combining import Combined, clip_tokenizer, combine, ingredients_of
from ..jobs.library.inspector import Inspector
from . import inspection_schemas as schemas
from .answers import job_called, refuse_other_sites, telling
from .sentence_route import SentenceRoute, answered, refusals
from .strip_routes import seen

PREFIX = "/pseudoword/v1"
NEAREST_TOKENS = 10
PICTURES_BETWEEN = 7
SEEDS, SEEDS_OF_LAYERS = (0, 1), (0, 1, 2, 3)
# The keys that each kind of strip needs, and those that it may have besides; all have seeds, steps and guidance.
NEEDED = {"vectors": ("word",), "between": ("word", "other"), "expression": ("expression",), "layers": ("prompt",)}
FURTHER = {
    "vectors": ("other", "prompt"),
    "between": ("count", "prompt"),
    "expression": ("prompt",),
    "layers": ("layers", "negative_prompt"),
}
KEYS = ("word", "other", "count", "expression", "layers", "prompt", "negative_prompt")
PROBLEMS = {
    404: "There is no such strip, or none any more",
    409: "The model is used otherwise just now",
    422: "The request cannot be followed as it is",
    501: "A package is missing that the server needs for this",
}


def add_inspection_program_routes(
    app: FastAPI, inspector: Inspector, dependencies: Sequence[params.Depends] = ()
) -> None:
    """Add the routes to `app`. Every one of them asks `dependencies`, which raise HTTPException to refuse a caller."""
    router = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(refuse_other_sites), *dependencies],
        route_class=SentenceRoute,
        tags=["Pseudoword inspector"],
        responses=refusals(PROBLEMS),
    )
    _add_strip_routes(router, inspector)
    _add_word_routes(router, inspector)
    app.include_router(router)


def _add_strip_routes(router: APIRouter, inspector: Inspector) -> None:
    def start_strip(request: schemas.StripRequest, asked: Request) -> dict[str, Any]:
        """Begin to make pictures. `GET /pseudoword/v1/strips/{id}` tells how they stand."""
        with refusing(inspector):
            rows = rows_of(inspector, request)
            seeds = request.seeds or (SEEDS_OF_LAYERS if request.kind == "layers" else SEEDS)
            person = inspector.host.people.of(asked, is_program=True)
            job = inspector.strips.start(rows, seeds, request.steps, float(request.guidance), person)
            return seen(inspector.host, job.watch())

    def cancel_strip(id: str, asked: Request) -> dict[str, Any]:
        """End after the pass that is under way; the pictures so far are kept."""
        with refusing(inspector):
            person = inspector.host.people.of(asked, is_program=True)
            job = job_called(lambda one: inspector.strips.cancelled(one, person), id)
        return seen(inspector.host, job.watch())

    router.add_api_route(
        "/strips",
        start_strip,
        methods=["POST"],
        status_code=201,
        response_model=schemas.StripAnswer,
        openapi_extra={
            "requestBody": {"content": {"application/json": {"examples": schemas.STRIP_EXAMPLES}}},
            **answered(201, schemas.STRIP_EXAMPLE),
        },
    )

    def remember_layers(request: schemas.RememberRequest) -> dict[str, Any]:
        """Keep the layers that a checkpoint wants: those that are named, or those that a comparison recommends."""
        with refusing(inspector):
            compared = job_called(inspector.strips.job, request.strip).watch() if request.strip else None
            said = remember(inspector.host, encodable(request.layers or ""), compared)
            found = remembered(inspector.host)
            wanted = None if found is None else found[1]
            return {"says": said, "layers": None if wanted is None else wanted.prompt.text}

    router.add_api_route(
        "/layers/remembered",
        remember_layers,
        methods=["POST"],
        response_model=schemas.RememberAnswer,
        openapi_extra=answered(200, schemas.REMEMBER_EXAMPLE),
    )
    router.add_api_route(
        "/strips/{id}",
        cancel_strip,
        methods=["DELETE"],
        response_model=schemas.StripAnswer,
        openapi_extra=answered(200, schemas.STRIP_EXAMPLE),
    )


def _add_word_routes(router: APIRouter, inspector: Inspector) -> None:
    def look_into_prompt(request: schemas.PromptRequest) -> dict[str, Any]:
        """What the text encoder gets of a prompt: tokens, embeddings, weights, chunks."""
        with refusing(inspector):
            loaded = inspector.host.encoders()
            tokenizer = clip_tokenizer() if loaded is None else loaded.encoders[0].tokenizer
            view = view_prompt(request.prompt, tokenizer, inspector.counts(), attention=request.attention)
            return prompt_json(view)

    def evaluate_expression(request: schemas.ExpressionRequest) -> dict[str, Any]:
        """What a word made of others is like; with `save_as` it is saved into the library."""
        with refusing(inspector):
            combined = combine(inspector, encodable(request.expression))
            answer = figures_json(combined)
            if request.save_as is None:
                return answer
            path, there = save_combination(
                inspector,
                combined.combination,
                encodable(request.save_as),
                request.format,
                encodable(request.description),
                request.replace,
            )
            inspector.reader().read_anew()
            return {**answer, "file": path.name, "kept": None if there is None else there.name}

    router.add_api_route(
        "/prompts",
        look_into_prompt,
        methods=["POST"],
        response_model=schemas.PromptAnswer,
        openapi_extra=answered(200, schemas.PROMPT_EXAMPLE),
    )
    router.add_api_route(
        "/expressions",
        evaluate_expression,
        methods=["POST"],
        response_model=schemas.ExpressionAnswer,
        openapi_extra=answered(200, schemas.EXPRESSION_EXAMPLE),
    )


@contextmanager
def refusing(inspector: Inspector) -> Iterator[None]:
    """Turn an error that is meant for the user into an answer of one sentence: where an expression is wrong, it has
    three lines."""
    try:
        with telling(inspector.host):
            yield
    except HTTPException as problem:
        raise HTTPException(problem.status_code, str(problem.detail).partition("\n")[0]) from problem


# ---- what is asked for ---------------------------------------------------------------------------------------------


def rows_of(inspector: Inspector, request: schemas.StripRequest) -> list[Row]:
    """The rows of the strip that `request` describes. Raises PseudowordError where there cannot be one."""
    given = {key: value for key in KEYS if (value := getattr(request, key)) is not None}
    check_keys(request.kind, given)
    given = {key: encodable(value) if isinstance(value, str) else value for key, value in given.items()}
    template = given.get("prompt", TEMPLATE)
    if request.kind == "layers":
        return [layers_strip(inspector, template, given.get("negative_prompt", ""), given.get("layers", ""))]
    if request.kind == "expression":
        combination = combine(inspector, given["expression"]).combination
        embedding = combination.embedding("mixed")
        return [combination_row(combination.expression, embedding, ingredients_of(inspector, combination), template)]
    words = [loaded(inspector, given[key]) for key in ("word", "other") if key in given]
    if request.kind == "vectors":
        return [contribution_row(word, template) for word in words]
    encoders = loaded_encoders(inspector).encoders
    return [interpolation_row(words[0], words[1], given.get("count", PICTURES_BETWEEN), encoders, template)]


def check_keys(kind: str, given: dict[str, Any]) -> None:
    """Raise SettingsError where a key that the kind of strip needs is missing, and for one that means nothing to it."""
    missing = next((key for key in NEEDED[kind] if not given.get(key)), None)
    if missing is not None:
        raise SettingsError(f"A strip of the kind {kind!r} needs {missing!r}; send it, too.")
    useless = next((key for key in given if key not in (*NEEDED[kind], *FURTHER[kind])), None)
    if useless is not None:
        known = ", ".join((*NEEDED[kind], *FURTHER[kind]))
        raise SettingsError(f"{useless!r} means nothing to a strip of the kind {kind!r}; it has {known}.")


def loaded(inspector: Inspector, word: str) -> Embedding:
    """The embedding of the library that is called `word`, by its name or its path there. Raises PseudowordError."""
    words = inspector.words()
    return words.load(word) if word in words.rows else inspector.load(word)


# ---- what is answered ----------------------------------------------------------------------------------------------


def figures_json(combined: Combined) -> dict[str, Any]:
    """What an expression gives, as plain JSON values."""
    embedding = Embedding("word", combined.combination.vectors)
    figures = figures_of(embedding, combined.vocabularies.values(), NEAREST_TOKENS, with_specials=False)
    return {
        "vector_count": embedding.vector_count,
        "widths": widths_of(embedding),
        "embeddings": [part.name for part in combined.combination.ingredients],
        "vectors": vectors_json(figures),
        "file": None,
        "kept": None,
    }
