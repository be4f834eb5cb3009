"""How the routes for programs describe themselves, who may call them, and what their page of the documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient

from pseudoword.api import schemas
from pseudoword.api.program_routes import PREFIX, add_program_routes, setting_as_json
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.training.settings import TrainSettings, describe_settings
from tests.jobs.small_host import small_host

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
ANSWERS = {"TrainingAnswer", "InterruptedAnswer", "ListedTraining", "TrainingList", "SettingAnswer", "PreviewAnswer"}
REQUESTS = {"TrainingRequest", "UploadedPicture"}


def refuse() -> None:
    raise HTTPException(401, "Who are you?")


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """An app whose routes refuse everybody."""
    app = FastAPI()
    add_program_routes(app, Trainings(small_host(tmp_path / "runs")), [Depends(refuse)])
    return app


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_a_guard_refuses_every_route(app: FastAPI) -> None:
    client = TestClient(app)
    asked = list(operations(app))
    assert len(asked) == 8
    for method, path, _ in asked:
        for body in ({"settings": {"name": "zxqv"}, "folder": "/"}, {"nonsense": 1}, None):
            answer = client.request(method, path.replace("{name}", "zxqv"), json=body)
            assert (answer.status_code, answer.json()) == (401, {"detail": "Who are you?"})


def test_the_schema_describes_what_is_sent_and_answered(app: FastAPI) -> None:
    described = app.openapi()["components"]["schemas"]
    assert REQUESTS | ANSWERS | {"Problem"} <= set(described)
    for name in REQUESTS | ANSWERS:
        assert described[name]["additionalProperties"] is False, name
        assert all("description" in field for field in described[name]["properties"].values()), name
    assert described["TrainingRequest"]["required"] == ["settings"]


def test_every_route_is_described_with_an_example(app: FastAPI) -> None:
    for method, path, operation in operations(app):
        status = "201" if (method, path) == ("POST", f"{PREFIX}/trainings") else "200"
        answer = operation["responses"][status]["content"]["application/json"]
        assert operation["description"] and answer["example"] and answer["schema"], path
        refusals = {refused for refused in operation["responses"] if refused != status}
        schemas_of_refusals = {
            operation["responses"][refused]["content"]["application/json"]["schema"]["$ref"] for refused in refusals
        }
        assert schemas_of_refusals == {"#/components/schemas/Problem"}, path
    start = app.openapi()["paths"][f"{PREFIX}/trainings"]["post"]
    assert set(start["requestBody"]["content"]["application/json"]["examples"]) == {"pictures", "folder"}


def test_the_examples_are_what_the_schema_says() -> None:
    for example in schemas.REQUEST_EXAMPLES.values():
        request = schemas.TrainingRequest(**example["value"])
        assert TrainSettings.from_dict(request.settings).name == "my-cup"
    assert set(schemas.TRAINING_EXAMPLE) == set(schemas.TrainingAnswer.__annotations__)
    schemas.TrainingAnswer(**schemas.TRAINING_EXAMPLE)
    schemas.TrainingList(**schemas.LIST_EXAMPLE)
    vectors = next(setting_as_json(one) for one in describe_settings() if one.name == "vectors")
    assert [vectors] == schemas.SETTINGS_EXAMPLE


def test_the_documentation_shows_a_call_of_every_route(app: FastAPI) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for method, path, _ in operations(app):
        assert f"`{method} {path}`" in page, f"{method} {path} is missing in {PAGE.name}"
        assert f"http://127.0.0.1:7861{path.replace('{name}', 'my-cup')}" in page, f"{PAGE.name} calls no {path}"
