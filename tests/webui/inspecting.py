"""The inspector on the WebUI's page, and words for it that different programs wrote."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from tests.jobs.small_library import rows
from tests.webui.browsing import Visitor
from tests.webui.server import PATIENCE_S, Webui

WIDTH = 128  # of the built-in checkpoint
SOUND = ["toy-card", "toy-moon", "toy-of-before", "toy-sun", "toy-wide"]
FURNISHED = sorted([*SOUND, "toy-broken", "toy-trap"])


class Trap:
    """Whoever unpickles this makes a folder at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def furnish(folder: Path) -> None:
    """Words of ours in all their kinds, one as diffusers' training script writes it, and files that are none.

    Whoever runs what is in toy-trap.pt makes a folder `sprung` beside `folder`.
    """
    moon = Embedding("toy-moon", {"clip_l": rows(3, WIDTH)}, EmbeddingMetadata(steps=120, trained_on="pseudoword-mini"))
    save_embedding(moon, folder / "toy-moon")
    Image.new("RGB", (300, 300), "orange").save(folder / "toy-moon.preview.png")
    (folder / "toys").mkdir()
    save_embedding(moon, folder / "toys" / "toy-of-before", "pt")
    save_embedding(Embedding("toy-card", {"clip_l": rows(1, WIDTH, seed=1)}), folder / "toy-card", "card")
    save_file({"<toy-sun>": rows(2, WIDTH, seed=2)}, folder / "toy-sun.safetensors", {"format": "pt"})
    save_embedding(Embedding("toy-wide", {"clip_l": rows(2, 768), "clip_g": rows(2, 1280)}), folder / "toy-wide")
    (folder / "toy-broken.pt").write_bytes(b"PK\x03\x04 nothing")
    torch.save({"string_to_param": {"*": Trap(folder.parent / "sprung")}, "name": "toy-trap"}, folder / "toy-trap.pt")


def read_library(webui: Webui) -> None:
    """Have the library read anew, and wait for it."""
    webui.ask("/pseudoword/v1/library?read=true")
    ends = time.monotonic() + PATIENCE_S
    while webui.ask("/pseudoword/v1/library?count=0").json["reading"]:
        assert time.monotonic() < ends, "the library is never read"
        time.sleep(0.1)


def known_vectors(webui: Webui) -> dict[str, int]:
    """How many vectors the words have that the WebUI's prompts know."""
    loaded = webui.ask("/sdapi/v1/embeddings").json["loaded"]
    return {name: found["vectors"] for name, found in loaded.items()}


class Inspecting:
    """Somebody who looks at Pseudoword → Inspect in the window of `visitor`."""

    def __init__(self, visitor: Visitor, theme: str = "light") -> None:
        self.visitor, self.page = visitor, visitor.page
        if theme != "light":
            self.page.goto(f"{visitor.webui.address}/?__theme={theme}")
        self.open()

    def open(self) -> None:
        """Open the tab, and wait until it has its table."""
        self.visitor.open_tab("Pseudoword")
        self.page.wait_for_selector(".pseudoword-library-row")

    def tab(self, name: str) -> None:
        """Open a tab of the inspector."""
        self.page.click(f"#pseudoword_inspection > .tab-nav button:has-text('{name}')")

    def search(self, text: str) -> None:
        """Write into the table's field for searching."""
        self.page.fill("#pseudoword-library input[type=search]", text)

    def sort(self, column: str) -> None:
        """Press the title of a column."""
        self.page.click(f"#pseudoword-library th button:text-is('{column}')")

    def filter(self, label: str, is_on: bool = True) -> None:
        """Tick one of the boxes above the table, or not any more."""
        self.page.set_checked(f"#pseudoword-library label:has-text('{label}') input", is_on)

    def shows(self, names: list[str]) -> None:
        """Wait until the table has just these rows."""
        self.page.wait_for_function(
            "names => JSON.stringify([...document.querySelectorAll('#pseudoword-library td .pseudoword-library-open')]"
            ".map(e => e.innerText)) === JSON.stringify(names)",
            arg=names,
        )

    def row(self, name: str) -> str:
        """What the table says of a word."""
        told: str = self.page.inner_text(f"#pseudoword-library tr:has(button:text-is('{name}'))")
        return told

    def choose(self, name: str) -> str:
        """Press a word's row, and wait until all about it is shown; returns that."""
        self.page.click(f"#pseudoword-library button:text-is('{name}')")
        self.page.wait_for_selector(f".pseudoword-word-name:text-is('{name}')")
        told: str = self.page.inner_text("#pseudoword_word")
        return told

    def has_plots(self, theme: str) -> None:
        """Wait until the four plots are there, in this theme alone."""
        plots = self.page.locator("#pseudoword_word figure img:visible")
        assert plots.count() == 4
        for number in range(4):
            plot = plots.nth(number)
            assert f"theme={theme}" in plot.get_attribute("src")
            plot.scroll_into_view_if_needed()
            self.page.wait_for_function("image => image.complete && image.naturalWidth", arg=plot.element_handle())
