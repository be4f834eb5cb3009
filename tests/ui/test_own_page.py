"""Handlers that change something are for the server's own page, and what was uploaded is what was uploaded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from pseudoword.ui import gradio_versions
from pseudoword.ui.own_page import for_own_page
from tests.jobs.small_host import small_host


def asked(**headers: str) -> Any:
    return SimpleNamespace(request=SimpleNamespace(headers={"host": "here:7860", **headers}))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://here:7860.evil.example", "", "http://["])
def test_other_sites_press_no_button(origin: str, tmp_path: Path) -> None:
    handler = for_own_page(small_host(tmp_path), lambda: pytest.fail("it was called"))
    with pytest.raises(gr.Error):
        handler(asked(origin=origin))


def test_the_page_itself_does(tmp_path: Path) -> None:
    handler = for_own_page(small_host(tmp_path), lambda one, two: (one, [two]))
    assert handler(asked(origin="http://here:7860"), 1, 2) == handler(asked(), 1, 2) == (1, [2])


def test_only_who_is_alone_is_told_where_things_lie(tmp_path: Path) -> None:
    host, sentence = small_host(tmp_path / "runs"), f"It is in {tmp_path / 'runs' / 'moon'}."
    for shared, told in ((None, sentence), ([tmp_path / "pictures"], "It is in moon.")):
        handler = for_own_page(replace(host, folders=shared), lambda: [sentence, 1])
        assert handler(asked()) == [told, 1]


@pytest.mark.skipif(not gradio_versions.IS_OLD, reason="today's Gradio refuses by itself")
def test_a_file_that_was_not_uploaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, place = tmp_path / "secret.png", tmp_path / "gradio"
    secret.write_bytes(b"secret")
    (place / "0a").mkdir(parents=True)
    (place / "0a" / "cat.png").write_bytes(b"a cat")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place))

    async def make() -> Any:
        with gr.Blocks():
            return gradio_versions.uploads("Pictures", [".png"], "pictures")

    field = asyncio.run(make())
    assert field.get_config()["name"] == "file"
    for path in (str(secret), "/etc/passwd", f"{place}/../secret.png", "secret.png"):
        with pytest.raises(gr.Error, match="was not uploaded"):
            field.preprocess([{"name": path, "data": None, "is_file": True}])
    found = field.preprocess([{"name": str(place / "0a" / "cat.png"), "data": None, "is_file": True}])
    (uploaded,) = gradio_versions.uploaded_paths(found)
    assert uploaded.read_bytes() == b"a cat"
    for one in found:
        one.close()
