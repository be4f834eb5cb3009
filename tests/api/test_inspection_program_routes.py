"""The inspector as programs use it: over real HTTP routes, on a tiny model and a library of tiny words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient

from pseudoword.api import inspection_schemas as schemas
from pseudoword.api.inspection_program_routes import PREFIX, add_inspection_program_routes
from pseudoword.api.strip_routes import add_strip_routes
from pseudoword.embedding import load_embedding
from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.scoring import ClipScorer
from tests import tiny_models
from tests.jobs.small_library import library_host, library_in, put, toy, without_model
from tests.jobs.small_strips import ended

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
QUICK = {"seeds": [7], "steps": 1}


@dataclass
class Program:
    """A program that asks, in a test with the folder `here`; no answer may tell it a path."""

    client: TestClient
    inspector: Inspector
    here: Path

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of the answer, which must have `status`."""
        content = None if body is None else json.dumps(body)  # a client's own writer refuses half characters
        answer = self.client.request(
            method, PREFIX + path, content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status, answer.text
        assert str(self.here) not in answer.text
        return answer.json()

    def refused(self, path: str, body: Any, status: int = 422) -> str:
        """The sentence why not."""
        detail = self.ask("POST", path, body, status)["detail"]
        assert isinstance(detail, str) and "\n" not in detail
        return detail

    def made(self, body: dict[str, Any]) -> Any:
        """A strip that is asked for, after its end."""
        begun = self.ask("POST", "/strips", {**QUICK, **body}, 201)
        ended(self.inspector.strips.job(begun["id"]))
        return self.ask("GET", f"/strips/{begun['id']}")


def program_on(inspector: Inspector, here: Path) -> Program:
    app = FastAPI()
    add_strip_routes(app, inspector.strips)
    add_inspection_program_routes(app, inspector)
    return Program(TestClient(app), inspector, here)


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    folder = library_in(tmp_path)
    for seed, name in enumerate(("cup", "moon")):
        put(folder, toy(name, 2, seed))
    table = CheckpointLayers(tmp_path / "layers.json")
    return Inspector(library_host(folder, checkpoint_layers=table, checkpoint=lambda: ("7" * 64, "tiny")))


@pytest.fixture
def program(inspector: Inspector, tmp_path: Path) -> Program:
    return program_on(inspector, tmp_path)


# ---- strips ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        ({"kind": "vectors", "word": "cup"}, [["cup", "without 1", "without 2"]]),
        ({"kind": "vectors", "word": "moon.safetensors", "other": "cup"}, [["moon"], ["cup"]]),
        (
            {"kind": "between", "word": "cup", "other": "moon", "count": 3, "prompt": "{}, red"},
            [["cup", "50 %", "moon"]],
        ),
        ({"kind": "between", "word": "cup", "other": "moon"}, [["cup", "17 %"]]),
        ({"kind": "expression", "expression": "cup + 0.5*moon"}, [["the result", "cup alone", "moon alone"]]),
        ({"kind": "layers", "prompt": "a cup", "layers": "2; 1=1,2=1"}, [["CLIP skip 1, the last layer"]]),
        ({"kind": "layers", "prompt": "a cup", "negative_prompt": "moon"}, [["CLIP skip 1, the last layer"]]),
    ],
)
def test_strips_of_each_kind_are_made(program: Program, body: dict[str, Any], labels: list[list[str]]) -> None:
    seen = program.made(body)
    assert (seen["state"], seen["done"], seen["seeds"], seen["steps"]) == ("finished", seen["total"], [7], 1)
    found = [[shot["label"] for shot in row["shots"]] for row in seen["rows"]]
    assert [row[: len(expected)] for row, expected in zip(found, labels, strict=True)] == labels


def test_layers_are_scored_recommended_and_drawn(
    inspector: Inspector, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("open_clip")
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("clip"))
    scorer = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    program = program_on(Inspector(replace(inspector.host, scorer=lambda: scorer)), tmp_path)
    begun = program.ask("POST", "/strips", {"kind": "layers", "prompt": "a cup", "steps": 1}, 201)
    assert begun["seeds"] == [0, 1, 2, 3] and begun["rows"][0]["recommendation"] is None
    ended(program.inspector.strips.job(begun["id"]))
    (row,) = program.ask("GET", f"/strips/{begun['id']}")["rows"]
    assert row["recommendation"]["says"] and "score" in row["shots"][1]["caption"]
    light, dark = (program.client.get(f"{PREFIX}/strips/{begun['id']}/plot.png?theme={t}") for t in ("light", "dark"))
    assert light.status_code == dark.status_code == 200 and light.content != dark.content
    table = program.client.get(f"{PREFIX}/strips/{begun['id']}/figures.csv").text
    assert table.startswith("layers,score,deviation,lead,chance") and len(table.splitlines()) == 4


def test_layers_are_remembered_for_the_checkpoint_by_name_or_as_they_were_recommended(program: Program) -> None:
    assert "No layer was recommended" in program.refused("/layers/remembered", {})
    told = program.ask("POST", "/layers/remembered", {"layers": "1=0.5,2=0.5"})
    assert told == {"says": "CLIP skip 1=0.5,2=0.5 is remembered for tiny.", "layers": "1=0.5,2=0.5"}
    compared = program.made({"kind": "layers", "prompt": "a cup", "layers": "2"})
    assert "No layer was recommended" in program.refused("/layers/remembered", {"strip": compared["id"]})
    told = program.ask("POST", "/layers/remembered", {"strip": compared["id"], "layers": "2"})
    assert told["layers"] == "2"
    assert "'x' is not a layer" in program.refused("/layers/remembered", {"layers": "x"})
    assert "no longer kept" in program.refused("/layers/remembered", {"strip": "gone"}, 404)


def test_a_strip_is_cancelled(program: Program) -> None:
    with program.inspector.host.turns:
        begun = program.ask("POST", "/strips", {"kind": "vectors", "word": "cup"}, 201)
        assert begun["state"] == "waiting" and begun["seeds"] == [0, 1]
        assert "Cancelled, before" in program.ask("DELETE", f"/strips/{begun['id']}")["message"]  # at once
    ended(program.inspector.strips.job(begun["id"]))
    assert program.ask("GET", f"/strips/{begun['id']}")["state"] == "cancelled"
    assert program.ask("DELETE", f"/strips/{begun['id']}")["state"] == "cancelled"
    assert "no longer kept" in program.ask("DELETE", "/strips/never-there", status=404)["detail"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "does not fit at 'kind'"),
        ([], "does not fit"),
        ({"kind": "seeds"}, "does not fit at 'kind'"),
        ({"kind": "vectors"}, "A strip of the kind 'vectors' needs 'word'"),
        ({"kind": "vectors", "word": ""}, "needs 'word'"),
        ({"kind": "between", "word": "cup"}, "needs 'other'"),
        ({"kind": "expression"}, "needs 'expression'"),
        ({"kind": "layers"}, "needs 'prompt'"),
        ({"kind": "vectors", "word": "cup", "layers": "2"}, "'layers' means nothing to a strip of the kind 'vectors'"),
        ({"kind": "vectors", "word": "gone"}, "There is no embedding 'gone'"),
        ({"kind": "vectors", "word": "../cup"}, "There is no embedding '../cup'"),
        ({"kind": "vectors", "word": "cup", "prompt": "no place"}, "write it once"),
        ({"kind": "vectors", "word": "cup", "seeds": [0, 0]}, "different"),
        ({"kind": "vectors", "word": "cup", "seeds": [-1]}, "The seeds are"),
        ({"kind": "vectors", "word": "cup", "seeds": list(range(9))}, "There are 9 seeds"),
        ({"kind": "vectors", "word": "cup", "steps": 101}, "101 steps"),
        ({"kind": "vectors", "word": "cup", "guidance": float("nan")}, "guidance"),
        ({"kind": "vectors", "word": "cup", "extra": 1}, "does not fit at 'extra'"),
        ({"kind": "between", "word": "cup", "other": "moon", "count": 1}, "2 to 100"),
        ({"kind": "between", "word": "cup", "other": "moon", "count": True}, "does not fit at 'count'"),
        ({"kind": "expression", "expression": "cup +"}, "."),
        ({"kind": "layers", "prompt": "a cup", "layers": "9"}, "There is no layer 9"),
        ({"kind": "layers", "prompt": "a cup", "layers": "1"}, "nothing to compare"),
        ({"kind": "layers", "prompt": "x" * 20_001}, "20,001 characters"),
    ],
)
def test_a_strip_that_cannot_be_is_refused_in_a_sentence(program: Program, body: Any, said: str) -> None:
    assert said in program.refused("/strips", body)


def test_half_characters_do_no_harm(program: Program) -> None:
    half = "a \ud800 cat"
    begun = program.ask("POST", "/strips", {**QUICK, "kind": "layers", "prompt": half, "negative_prompt": half}, 201)
    assert program.ask("DELETE", f"/strips/{begun['id']}")["rows"]
    assert program.ask("POST", "/prompts", {"prompt": half})["chunks"]
    assert program.refused("/strips", {"kind": "vectors", "word": half})
    assert program.refused("/expressions", {"expression": f"{{{half}}}"})


# ---- prompts --------------------------------------------------------------------------------------------------------


def test_a_prompt_is_looked_into(program: Program) -> None:
    seen = program.ask("POST", "/prompts", {"prompt": "a (cup:1.5)"})
    assert seen["prompt"] == "a (cup:1.5)" and [chunk["used"] for chunk in seen["chunks"]] == [3]
    (word,) = seen["words"]
    assert (word["name"], word["chunk"], word["position"], word["vectors"], word["weight"]) == ("cup", 1, 2, 2, 1.5)
    pieces = seen["chunks"][0]["pieces"]
    assert [piece["kind"] for piece in pieces[:5]] == ["start", "token", "word", "word", "end"] and len(pieces) == 77
    assert [piece["vector"] for piece in pieces[2:4]] == [1, 2]
    plain = program.ask("POST", "/prompts", {"prompt": "a (cup:1.5)", "attention": False})
    assert plain["chunks"][0]["used"] > 3 and plain["webui_readings"] == []


def test_a_long_prompt_says_what_others_lose(program: Program) -> None:
    seen = program.ask("POST", "/prompts", {"prompt": "red " * 100})
    assert len(seen["chunks"]) == 2 and seen["cut"]["lost"] == 25


def test_weights_beyond_all_numbers_are_null(program: Program) -> None:
    weight = "9" * 400
    seen = program.ask("POST", "/prompts", {"prompt": f"(cup:{weight})"})
    assert seen["words"][0]["weight"] is None


def test_prompts_are_looked_into_without_a_model(program: Program, tmp_path: Path) -> None:
    bare = program_on(Inspector(without_model(program.inspector.host)), tmp_path)
    assert bare.ask("POST", "/prompts", {"prompt": "a cup"})["words"][0]["name"] == "cup"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "does not fit at 'prompt'"),
        ({"prompt": 1}, "does not fit at 'prompt'"),
        ({"prompt": "x" * 20_001}, "20,001"),
        ({"prompt": "(a:1.2.3)"}, "1.2.3"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused_in_a_sentence(program: Program, body: Any, said: str) -> None:
    assert said in program.refused("/prompts", body)


# ---- expressions ----------------------------------------------------------------------------------------------------


def test_an_expression_is_evaluated_and_saved_where_that_is_asked_for(program: Program) -> None:
    told = program.ask("POST", "/expressions", {"expression": "cup"})
    assert told["vector_count"] == 2 and told["widths"] == {"clip_l": 32} and told["embeddings"] == ["cup"]
    assert (told["file"], told["kept"]) == (None, None)
    vector = told["vectors"][0]
    assert vector["norm"] == pytest.approx(toy("cup", 2).vectors["clip_l"][0].norm().item(), rel=1e-5)
    assert len(vector["nearest"]["cosine"]) == 10
    saved = program.ask("POST", "/expressions", {"expression": "cup + moon", "save_as": "mix", "description": "both"})
    assert saved["file"] == "mix.safetensors"
    (folder,) = program.inspector.host.library()
    facts = load_embedding(folder / "mix.safetensors").metadata
    assert facts.description == "both" and "cup + moon" in facts.recipe
    assert program.ask("POST", "/prompts", {"prompt": "a mix"})["words"][0]["name"] == "mix"


def test_a_word_is_replaced_only_where_that_is_asked_for(program: Program) -> None:
    request = {"expression": "2*cup", "save_as": "moon", "format": "pt"}
    assert "There is an embedding 'moon' already" in program.refused("/expressions", request)
    told = program.ask("POST", "/expressions", {**request, "replace": True})
    assert (told["file"], told["kept"]) == ("moon.pt", "moon.safetensors")
    (folder,) = program.inspector.host.library()
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".former")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "does not fit at 'expression'"),
        ({"expression": "cup +"}, "."),
        ({"expression": "cup", "save_as": "../out"}, "../out"),
        ({"expression": "cup", "save_as": ""}, "."),
        ({"expression": "cup", "save_as": "x", "format": "exe"}, "does not fit at 'format'"),
        ({"expression": "cup", "replace": 1}, "does not fit at 'replace'"),
    ],
)
def test_an_expression_that_cannot_be_is_refused_in_a_sentence(program: Program, body: Any, said: str) -> None:
    before = sorted(program.here.rglob("*.safetensors"))
    assert said in program.refused("/expressions", body)
    assert sorted(program.here.rglob("*.safetensors")) == before


# ---- who may ask, and what is said about it -------------------------------------------------------------------------


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_pages_of_other_sites_are_refused(program: Program) -> None:
    client, foreign = program.client, {"origin": "http://evil.example"}
    for method, path in [("POST", "/strips"), ("DELETE", "/strips/x"), ("POST", "/prompts"), ("POST", "/expressions")]:
        answer = client.request(method, PREFIX + path, headers=foreign, content='{"prompt": "a"}')
        assert answer.status_code == 403 and "evil.example" in answer.json()["detail"]
    own = {"origin": "http://testserver", "content-type": "application/json"}
    assert client.post(f"{PREFIX}/prompts", headers=own, content='{"prompt": "a"}').status_code == 200


def test_a_guard_refuses_every_route(inspector: Inspector) -> None:
    def refuse() -> None:
        raise HTTPException(401, "Who are you?")

    app = FastAPI()
    add_inspection_program_routes(app, inspector, [Depends(refuse)])
    asked = list(operations(app))
    assert len(asked) == 5
    with TestClient(app) as client:
        for method, path, _ in asked:
            answer = client.request(method, path.replace("{id}", "x"), json={"prompt": "a"})
            assert (answer.status_code, answer.json()) == (401, {"detail": "Who are you?"})


def test_every_route_is_described_with_an_example_and_a_call(inspector: Inspector) -> None:
    app = FastAPI()
    add_inspection_program_routes(app, inspector)
    page = PAGE.read_text(encoding="utf-8")
    for method, path, operation in operations(app):
        status = "201" if (method, path) == ("POST", f"{PREFIX}/strips") else "200"
        answer = operation["responses"][status]["content"]["application/json"]
        assert operation["description"] and answer["example"] and answer["schema"], path
        assert f"`{method} {path}`" in page, f"{method} {path} is missing in {PAGE.name}"
        assert f"http://127.0.0.1:7861{path.replace('{id}', 'ID')}" in page, f"{PAGE.name} calls no {path}"


def test_the_examples_are_what_the_schema_says() -> None:
    for example in schemas.STRIP_EXAMPLES.values():
        schemas.StripRequest(**example["value"])
    schemas.StripAnswer(**schemas.STRIP_EXAMPLE)
    schemas.PromptAnswer(**schemas.PROMPT_EXAMPLE)
    schemas.ExpressionAnswer(**schemas.EXPRESSION_EXAMPLE)
