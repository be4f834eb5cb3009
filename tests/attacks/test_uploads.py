"""Files that were made to harm, and requests beyond all measure: each gets a sentence, and the server goes on."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pseudoword.decoding import FORMATS
from tests.attacks.paths import ways_to
from tests.attacks.world import MARK, World, listing, made
from tests.embedding.hostile import named, tensor, zipped
from tests.jobs.small_host import wait_until
from tests.scoring.pictures import hostile, picture, png_claiming
from tests.training.small_runs import SMALL

pytest.importorskip("open_clip")

LONG = "x" * 1_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(tmp_path_factory.mktemp("world").resolve()) as world:
        yield world


@pytest.fixture(autouse=True)
def untouched(world: World) -> Iterator[None]:
    """Nothing outside of the data folder changes, and the server answers afterwards."""
    before = listing(world.root, world.data)
    yield
    assert listing(world.root, world.data) == before
    assert world.ask("GET", "health")[0] == 200


def sent(content: bytes, name: str = "a.png") -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(content).decode()}


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    picture(0, (64, 64)).save(buffer, format)
    return buffer.getvalue()


def hostile_pictures(folder: Path) -> dict[str, bytes]:
    """Files that are called pictures, by what is wrong with them."""
    _, broken = hostile(folder)
    found = {name: (folder / name).read_bytes() for name in broken if (folder / name).is_file()}
    for format in FORMATS:
        whole = encoded(format)
        found |= {f"{format} cut off": whole[: len(whole) // 2], f"{format} head": whole[:16]}
        found[f"{format} with a page"] = whole[:20] + b"<script>alert(1)</script>" * 50
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", b"\0" * 10_000_000)
    found |= {
        "claims much": png_claiming(60_000, 60_000),
        "claims the most": png_claiming(2**31 - 1, 2**31 - 1),
        "zip": archive.getvalue(),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "html": b"<html><script>alert(1)</script></html>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch /tmp/x) (w) file\n",
        "php": b"<?php system('id'); ?>",
        "zeros": b"\0" * 1000,
        "one byte": b"\x89",
        "pickle": pickle.dumps({"a": 1}),
        "program": b"\x7fELF" + b"\0" * 100,
    }
    return found


def test_hostile_pictures_are_refused_wherever_pictures_are_taken(world: World, tmp_path: Path) -> None:
    for reason, content in hostile_pictures(tmp_path / "hostile").items():
        given = [sent(content)]
        status, answer = world.ask("POST", "trainings", {"settings": {**SMALL, "name": "zxqv-bad"}, "pictures": given})
        assert status == 422 and "Traceback" not in answer, (reason, answer)
        status, answer = world.ask("POST", "scores", {"pictures": given, "texts": ["a"]})
        assert status == 422 or not (json.loads(answer)["result"] or {}).get("pictures"), (reason, answer)
        status, answer = world.ask("POST", "set-checks", {"pictures": given, "round_trips": False})
        assert status == 422 or world.ask("DELETE", f"set-checks/{json.loads(answer)['id']}")[0] == 200, reason
        posted = world.client.post("/pseudoword/v1/search/sample", content=content)
        assert 400 <= posted.status_code < 500, (reason, posted.text)
    assert not (world.data / "runs" / "zxqv-bad").exists()


def test_names_of_uploads_write_nowhere_else(world: World) -> None:
    content = encoded("PNG")
    for name in (*ways_to(world.secret, world.allowed), "con.png", "a\nb.png", '"><script>.png', "a" * 5000 + ".png"):
        status, answer = world.ask("POST", "scores", {"pictures": [sent(content, writable(name))], "texts": ["a"]})
        assert status == 200 and json.loads(answer)["state"] == "finished", (name, answer)


def writable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def hostile_embeddings(marker: Path) -> dict[str, bytes]:
    """Files that are called embeddings, by their names."""

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    stored = io.BytesIO()
    torch.save({"string_to_param": {"*": Attack()}, "name": "w"}, stored)
    header = json.dumps({"emb_params": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}).encode()
    return {
        "run.pt": pickle.dumps(Attack()),
        "run.bin": stored.getvalue(),
        "claims.pt": zipped(named(tensor(8, (2**40, 8), (8, 1))), {"data/0": b"\0" * 32}),
        "bomb.pt": zipped(b"\0" * 50_000_000, method=zipfile.ZIP_DEFLATED),
        "claims.safetensors": len(header).to_bytes(8, "little") + header + b"\0" * 8,
        "long-head.safetensors": (2**62).to_bytes(8, "little") + b"{}",
        "deep.safetensors": (20_000).to_bytes(8, "little") + b"[" * 20_000,
        "card.png": png_claiming(50_000, 50_000),
        "empty.pt": b"",
        "<img src=x onerror=alert(1)>.pt": b"x",
        "text.safetensors": b"no embedding at all",
    }


def test_hostile_embeddings_and_heads_are_rows_with_a_reason(world: World, tmp_path: Path) -> None:
    marker, library = tmp_path / "marker", world.data / "library"
    files = hostile_embeddings(marker)
    for name, content in files.items():
        (library / name).write_bytes(content)
    world.inspector.reader().read_anew()
    found = {row["path"]: row for row in world.client.get("/pseudoword/v1/library").json()["rows"]}
    for name in files:
        if name != "card.png":
            assert found[name]["problem"], name
        for path in ("words", "words/norms.png", "words/layers.csv"):
            assert 400 <= world.ask("GET", path, params={"word": name})[0] < 500, (name, path)
        strip = {"kind": "vectors", "word": name}
        assert 400 <= world.ask("POST", "strips", strip)[0] < 500, name
        head = {"pictures": [sent(encoded("PNG"))], "head": str(library / name)}
        assert world.ask("POST", "scores", head)[0] == 422, name  # of another folder
        started = {**SMALL, "name": "zxqv-bad", "start": f"file:{library / name}"}
        assert world.ask("POST", "trainings", {"settings": started, "pictures": [sent(encoded("PNG"))]})[0] == 422
    assert not marker.exists()
    for name in files:
        (library / name).unlink()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("trainings", {"settings": {**SMALL, "name": LONG}, "folder": "cat"}),
        ("trainings", {"settings": {**SMALL, "start": LONG}, "folder": "cat"}),
        ("trainings", {"settings": {**SMALL, "learning_rate": "1:1," * 100_000}, "folder": "cat"}),
        ("trainings", {"settings": {**SMALL, "steps": 10**400}, "folder": "cat"}),
        ("trainings", {"settings": {**SMALL, "vectors": 10**9}, "folder": "cat"}),
        ("trainings", {"settings": {**SMALL, "batch": 10**9}, "folder": "cat"}),
        ("trainings", {"settings": {f"key-{n}": n for n in range(20_000)}, "folder": "cat"}),
        ("trainings", {"settings": SMALL, "pictures": [{"name": "a", "data": "AAAA"}] * 5000}),
        ("trainings", {"settings": SMALL, "pictures": [{"name": "a", "data": "A" * 70_000_000}]}),
        ("trainings", {"settings": SMALL, "pictures": [{"name": "a", "data": "AAAA", "caption": LONG}]}),
        ("trainings", {"settings": SMALL, "folder": LONG}),
        ("set-checks", {"folder": LONG}),
        ("scores", {"folder": LONG, "texts": ["a"]}),
        ("scores", {"pictures": [{"name": "a", "data": "AAAA"}] * 5000, "texts": ["a"]}),
        ("scores", {"pictures": [{"name": "a", "data": "AAAA"}], "texts": [LONG]}),
        ("scores", {"pictures": [{"name": "a", "data": "AAAA"}], "texts": ["a"] * 100_000}),
        ("scores", {"pictures": [{"name": "a", "data": "AAAA"}], "classes": ["a"], "templates": [LONG]}),
        ("scores", {"addresses": ["https://x.org"] * 100_000, "texts": ["a"]}),
        ("strips", {"kind": "vectors", "word": "zonk", "seeds": list(range(100_000))}),
        ("strips", {"kind": "vectors", "word": "zonk", "steps": 10**9}),
        ("strips", {"kind": "vectors", "word": LONG}),
        ("strips", {"kind": "between", "word": "zonk", "other": "zonk", "count": 10**9}),
        ("strips", {"kind": "layers", "prompt": "a", "layers": "1;" * 100_000}),
        ("expressions", {"expression": "(" * 100_000}),
        ("expressions", {"expression": "zonk" + "+zonk" * 100_000}),
        ("expressions", {"expression": "concat(" + "zonk," * 50_000 + "zonk)"}),
        ("expressions", {"expression": "9" * 100_000 + "*zonk"}),
        ("expressions", {"expression": "zonk", "save_as": LONG}),
        ("layers/remembered", {"layers": "1=0.5," * 100_000}),
        ("layers/remembered", {"strip": LONG}),
        ("clips/download", {"name": LONG}),
        ("prompts", {"prompt": 7}),
        ("prompts", [[[[]]]]),
        ("jobs/x/move", {"before": LONG}),
        ("jobs/x/priority", {"priority": 10**400}),
    ],
)
def test_what_is_beyond_all_measure_is_refused(path: str, body: Any, world: World) -> None:
    status, answer = world.ask("POST", path, body)
    assert 400 <= status < 500, answer[:500]
    assert len(answer) < 3000 and isinstance(json.loads(answer)["detail"], str)


def test_a_long_prompt_is_read(world: World) -> None:
    assert world.ask("POST", "prompts", {"prompt": "cat " * 5000})[0] in (200, 422)


def test_a_request_that_hides_its_length_is_refused(world: World) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"prompt": "a"}'

    answer = world.client.post("/pseudoword/v1/prompts", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 411
    headers = {"Content-Type": "application/json", "Content-Length": str(10**12)}
    assert world.client.post("/pseudoword/v1/prompts", content=b"{}", headers=headers).status_code == 413


def test_what_is_no_json_is_refused(world: World) -> None:
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"prompt": "\\ud800"}', b"NaN", b'{"a":1' + b"}" * 1000):
        headers = {"Content-Type": "application/json"}
        answer = world.client.post("/pseudoword/v1/prompts", content=content, headers=headers)
        assert answer.status_code in (400, 422) or content == b'{"prompt": "\\ud800"}', (content[:20], answer.text)


def test_numbers_beyond_all_measure_in_addresses(world: World) -> None:
    huge = "9" * 5000
    for path in (
        f"library?first={huge}",
        "library?count=-1&first=-5",
        f"search?first={huge}",
        f"training/previews/{huge}.png",
        "training/previews/-1.png",
        f"strips/x/{huge}/0.png",
        f"scores/x/pictures/{huge}.jpg",
        f"set-checks/x/{huge}/original.png",
        f"jobs/x/pictures/{huge}.jpg",
        f"jobs/x/previews/{huge}.png",
        f"jobs?count={huge}",
        f"jobs?search={'x' * 20_000}",
        f"layers/prompt.csv?text={'x' * 20_000}",
        f"library?search={'x' * 20_000}",
        "search?since=9999-99-99",
        "search?since=0001-01-01&until=9999-12-31",
        "search?least=nan&most=inf",
    ):
        status, answer = world.ask("GET", path)
        assert status < 500 and MARK not in answer, (path[:60], status, answer[:300])


def test_a_picture_that_everybody_may_send_is_taken_at_last(world: World) -> None:
    """The tests above refuse for what they say, not because nothing works."""
    folder = str(world.allowed / "cat")
    settings = {**SMALL, "name": "zxqv-good"}
    assert world.ask("POST", "trainings", {"settings": settings, "folder": folder})[0] == 201
    wait_until(lambda: world.client.get("/pseudoword/v1/trainings/zxqv-good").json()["state"] == "finished")
    assert world.ask("POST", "scores", {"folder": folder, "texts": ["a"]})[0] == 200
