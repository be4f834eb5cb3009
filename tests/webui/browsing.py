"""The WebUI's page in a real browser: its tabs, the fields of the panel, and what scripts complain of."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.webui.place import ADDRESS_OF_WEBUI
from tests.webui.server import PATIENCE_S, Webui

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LIVE = "#pseudoword-training"
KEPT = "kept"  # what a question that was answered with no ends the click with


class Visitor:
    """Somebody's window on `webui`, with what scripts complained of in it."""

    def __init__(self, browser: Any, webui: Webui) -> None:
        self.webui = webui
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1400, "height": 1300})
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", self._note_error)
        self.page.goto(webui.address)
        self.look_at_training()

    def _note_console(self, message: Any) -> None:
        place = message.location.get("url", "")
        if message.type == "error" and "pseudoword" in f"{message.text} {place}":
            self.complaints.append(f"{message.text} ({place})")

    def _note_error(self, error: Any) -> None:
        is_the_webui_s_own = f"file={os.environ[ADDRESS_OF_WEBUI]}/" in (error.stack or "")
        if KEPT not in error.message and not is_the_webui_s_own:
            self.complaints.append(f"{error.message}\n{error.stack}")

    def look_at_training(self) -> None:
        """Open Train → Pseudoword, and wait until the live part has something to say."""
        self.open_tab("Train")
        self.page.click("#train_tabs > .tab-nav button:has-text('Pseudoword')")
        self.page.wait_for_selector(f"{LIVE} .pseudoword-headline")

    def open_tab(self, name: str) -> None:
        """Open a tab of the page."""
        self.page.wait_for_selector("#txt2img_prompt textarea", state="attached")
        self.page.click(f"#tabs > .tab-nav button:has-text('{name}')")

    def reload(self) -> None:
        """Reload the page, and look at the training again."""
        self.page.reload()
        self.look_at_training()

    def field(self, name: str) -> Any:
        """A field of the panel by the end of its id."""
        return self.page.locator(f"#pseudoword_{name} textarea, #pseudoword_{name} input").first

    def choices(self, name: str) -> list[str]:
        """What a field of the panel offers."""
        self.field(name).click()
        offered = self.page.locator(f"#pseudoword_{name} ul li")
        offered.first.wait_for()
        told: list[str] = offered.all_inner_texts()
        self.field(name).blur()
        return [text.replace("✓", "").strip() for text in told]

    def press(self, name: str) -> None:
        """Press a button of the panel."""
        self.page.click(f"#pseudoword_{name}")

    def unfold(self, title: str) -> None:
        """Open what is folded away below `title`."""
        self.page.click(f".pseudoword-panel .label-wrap:has-text('{title}')")

    def drop_pictures(self, pictures: list[Path]) -> None:
        """Give the panel these files, and wait until it shows them."""
        self.page.set_input_files("#pseudoword_pictures input[type=file]", list(map(str, pictures)))
        self.page.wait_for_selector(f"#pseudoword_thumbnails button:nth-of-type({len(pictures)})")

    def is_told(self, place: str, text: str) -> None:
        """Wait until `place` says `text`."""
        self.page.wait_for_function(
            "([place, text]) => document.querySelector(place)?.innerText.includes(text)", arg=[place, text]
        )

    def sees(self, text: str) -> None:
        """Wait until the live part says `text`."""
        self.is_told(LIVE, text)

    def generate(self, prompt: str) -> str:
        """Let txt2img make a picture of `prompt`; returns what is written below it."""
        self.open_tab("txt2img")
        self.page.fill("#txt2img_prompt textarea", prompt)
        self.page.click("#txt2img_generate")
        self.is_told("#html_info_txt2img", prompt)
        self.page.wait_for_selector("#txt2img_gallery img")
        told: str = self.page.inner_text("#html_info_txt2img")
        return told
