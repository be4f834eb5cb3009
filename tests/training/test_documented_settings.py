"""The page about training tells of every setting."""

from __future__ import annotations

from tools.document_settings import PAGE, SECTION, settings_table
from tools.pages import with_section


def test_the_table_of_settings_in_the_documentation_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_section(page, SECTION, settings_table()) == page, "run python -m tools.document_settings"
