"""How soon the rows of a large library are seen in the studio's page, in a real browser."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

from .studio_process import PATIENCE_S, StudioProcess

OPENINGS = 5
SETTLING_MS = 3000  # the page is whole before somebody clicks
# From the click on the tab until the first rows are in the page and the browser has painted them.
WATCH = """() => {
  window.times = {};
  document.addEventListener("click", () => { window.times.clicked ??= performance.now(); }, true);
  const look = () => {
    if (!document.querySelector(".pseudoword-library-row")) return requestAnimationFrame(look);
    requestAnimationFrame(() => setTimeout(() => { window.times.painted = performance.now(); }));
  };
  requestAnimationFrame(look);
}"""


def measure(library: Path, folder: Path) -> dict[str, Any]:
    """Milliseconds until the table of `library` is seen: read at first, then from the cache by a new studio each
    time (median and slowest). Empty without Playwright or Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    times = []
    with sync_playwright() as play:
        for _ in range(1 + OPENINGS):
            with StudioProcess(folder, "--embeddings", str(library)) as studio:
                browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                times.append(milliseconds(browser.new_page(), studio.address))
                browser.close()
    return {
        "rows in the page at first, s": round(times[0] / 1000, 2),
        "rows in the page from the cache, s": round(statistics.median(times[1:]) / 1000, 3),
        "slowest of them, s": round(max(times[1:]) / 1000, 3),
    }


def milliseconds(page: Any, address: str) -> float:
    """From the click until the rows are painted."""
    page.goto(address)
    tab = page.get_by_role("tab", name="Inspect", exact=True)
    tab.wait_for(timeout=PATIENCE_S * 1000)
    page.wait_for_timeout(SETTLING_MS)
    page.evaluate(WATCH)
    tab.click()
    page.wait_for_function("window.times.painted", timeout=PATIENCE_S * 1000)
    return float(page.evaluate("window.times.painted - window.times.clicked"))
