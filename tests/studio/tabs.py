"""The tabs at the top of the studio's page."""

from __future__ import annotations

from typing import Any

NARROW = 600  # pixels; on narrower screens only Train and Generate stand at the top, and a menu has the others


def open_tab(page: Any, name: str) -> None:
    """Press one of the tabs after Generate, which are in a menu where the screen is narrow."""
    if page.viewport_size["width"] < NARROW:
        page.click(".overflow-menu button")
        page.click(f".overflow-dropdown button:has-text('{name}')")
    else:
        page.click(f"role=tab[name='{name}']")
