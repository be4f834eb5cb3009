"""The project's Python files, read and not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("pseudoword", "tools", "tests", "benchmarks", "scripts")


@dataclass(frozen=True)
class Module:
    """One Python file: `path` from the project's root, its syntax tree, its length in lines."""

    path: Path
    tree: ast.Module = field(repr=False)
    lines: int

    @property
    def name(self) -> str:
        """Its dotted name; a package's own file has the package's name."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imported_names(self) -> Iterator[str]:
        """Dotted names that it imports anywhere, also inside functions; `from a import b` gives `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                # A dot more than one goes up one folder more; a package's own file lies in the package.
                folder = self.path.parts[: len(self.path.parts) - node.level] if node.level else ()
                start = ".".join([*folder, *([node.module] if node.module else [])])
                yield from (f"{start}.{alias.name}" for alias in node.names)

    def imported_packages(self) -> set[str]:
        """The top-level packages that it imports."""
        return {name.partition(".")[0] for name in self.imported_names()}

    def defined_names(self) -> Iterator[str]:
        """Names of its functions and classes, at whatever depth."""
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield node.name


@lru_cache
def modules() -> list[Module]:
    """Every Python file of the project, sorted by path."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")] + list(ROOT.glob("*.py"))
    return [read(file) for file in sorted(files)]


def read(file: Path) -> Module:
    """Read one file."""
    text = file.read_text(encoding="utf-8")
    return Module(file.relative_to(ROOT), ast.parse(text), text.count("\n"))
