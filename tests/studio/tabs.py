"""The tabs at the top of the studio's page."""

from __future__ import annotations

from typing import Any

TRIES = 50
NARROW = 600  # pixels; on narrower screens only Train and Generate stand at the top, and a menu has the others


def open_tab(page: Any, name: str) -> None:
    """Press one of the tabs after Generate, which are in a menu where the screen is narrow."""
    if page.viewport_size["width"] < NARROW:
        item = page.locator(f".overflow-dropdown button:has-text('{name}')")
        page.wait_for_selector(".overflow-menu button")
        for _ in range(TRIES):  # a page that is still being laid out closes its menu again
            if not item.is_visible():
                page.click(".overflow-menu button")
            page.wait_for_timeout(300)
            if item.is_visible():
                break
        item.evaluate("button => button.click()")  # also where it has closed again in this moment
    else:
        page.click(f"role=tab[name='{name}']")
