"""Who may what on the studio, as docs/rights.md says it. `python -m tests.api.rights` writes that page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api.panel_presses import PRESSES
from tests.api.panel_rights import PEOPLE, Page, rights_of
from tests.api.rights_studio import ASKS, RightsStudio, rights_studio
from tests.api.route_rights import KINDS, rights, rights_of_kind, routes_of
from tools.pages import ROOT, table, with_section

PAGE = ROOT / "docs" / "rights.md"
Rights = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class AllRights:
    """By route, by kind of job and route, and by panel and what is pressed there: by person what he may."""

    routes: Rights
    kinds: Mapping[str, Rights]
    panels: Mapping[tuple[str, str], Mapping[str, str]]

    def written_into(self, page: str) -> str:
        """The page with these."""
        page = with_section(page, "rights", route_table(self.routes))
        page = with_section(page, "rights of other jobs", kinds_text(self.kinds, self.routes))
        return with_section(page, "rights of panels", panel_table(self.panels))


@contextmanager
def asked_for_all(root: Path) -> Iterator[tuple[RightsStudio, AllRights]]:
    """A studio with its data in `root`, and what everybody may there."""
    with rights_studio(root) as studio:
        page = Page(studio)
        yield (
            studio,
            AllRights(
                {route: rights(studio, route) for route in routes_of(studio.app)},
                {kind: rights_of_kind(studio, kind) for kind in KINDS},
                {(press.panel, press.what): rights_of(page, press) for press in PRESSES},
            ),
        )


def route_table(routes: Rights) -> str:
    """The table of the routes, in Markdown."""
    rows: list[list[object]] = [[f"`{route}`", *(cells[person] for person in ASKS)] for route, cells in routes.items()]
    return table(["Under `/pseudoword/v1`", *ASKS], rows)


def kinds_text(kinds: Mapping[str, Rights], routes: Rights) -> str:
    """What is the same as of a training in a sentence, and the rest in a table."""
    same = [route for route in routes if all(cells.get(route) == routes[route] for cells in kinds.values())]
    named = ", ".join(f"`{route}`" for route in same)
    rows: list[list[object]] = [
        [KINDS[kind][0], route if " /" not in route else f"`{route}`", *(cells[person] for person in ASKS)]
        for kind, of_kind in kinds.items()
        for route, cells in of_kind.items()
        if route not in same
    ]
    return (
        f"Comparisons of layers, scored folders and readings for the search were asked about in the same way, and are "
        f"answered as trainings are: {named}. Other pictures are those of trainings. What is different, or theirs "
        f"alone:\n\n{table(['Job', 'What', *ASKS], rows)}"
    )


def panel_table(panels: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """What is pressed on the panels, in Markdown; what is alike in one line."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for (panel, what), cells in panels.items():
        alike.setdefault((panel, *(cells[person] for person in PEOPLE)), []).append(what)
    rows: list[list[object]] = [[panel, "; ".join(whats), *cells] for (panel, *cells), whats in alike.items()]
    return table(["Panel", "What", *PEOPLE], rows)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, asked_for_all(Path(folder)) as (_, found):
        PAGE.write_text(found.written_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
