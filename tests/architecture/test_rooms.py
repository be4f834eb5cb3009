"""The rooms of the house and the arrows between them, read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, Module, modules

# What each room of the package may import from the others. Nothing imports a host but what stands above `jobs`.
FOUNDATION = {"errors", "diffusion", "decoding", "cache_file"}
MIDDLE = {"scoring", "training", "inspect"}
BELOW_JOBS = FOUNDATION | {"builtin", "embedding", "text"} | MIDDLE
HOSTS = {"hosts.diffusers", "hosts.webui", "hosts.vocabularies"}
EVERYTHING = BELOW_JOBS | HOSTS | {"jobs"}
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "diffusion": {"errors"},
    "decoding": {"errors"},
    "cache_file": set(),
    "builtin": set(),
    "embedding": FOUNDATION,
    "text": FOUNDATION,
    "scoring": FOUNDATION | {"builtin", "embedding", "text"},
    "training": FOUNDATION | {"embedding", "text", "scoring"},
    "inspect": FOUNDATION | {"embedding", "text", "scoring"},
    "jobs": BELOW_JOBS,
    "hosts.checkpoints": FOUNDATION | {"embedding"},
    "hosts.sampling": FOUNDATION,
    "hosts.vocabularies": FOUNDATION | {"hosts.checkpoints"},
    "hosts.diffusers": FOUNDATION | {"builtin", "embedding", "text", "hosts.checkpoints", "hosts.sampling"},
    "hosts.webui": FOUNDATION | {"embedding", "text", "jobs", "hosts.sampling"},
    "ui": EVERYTHING,
    "api": EVERYTHING | {"ui"},
    "__main__": {"cli"},
    "studio": EVERYTHING | {"ui", "api"},
    "cli": EVERYTHING | {"studio"},
    "webui": EVERYTHING - {"hosts.diffusers"} | {"ui", "api"},
}
PACKAGE = [module for module in modules() if module.path.parts[0] == "pseudoword"]


def room_of(name: str) -> str:
    """The room that a module's dotted name lies in; every host is a room of its own."""
    parts = name.split(".")[1:]
    return ".".join(parts[:2]) if parts[:1] == ["hosts"] else "".join(parts[:1])


def neighbours(module: Module) -> Iterator[str]:
    """The other rooms that a module of the package imports from."""
    for name in module.imported_names():
        if name.startswith("pseudoword.") and (room := room_of(name)) not in ("hosts", room_of(module.name)):
            yield room


def offences(module: Module) -> Iterator[str]:
    """What a module of the package imports against the arrows."""
    room = room_of(module.name)
    if room in ("", "hosts"):
        yield from (f"{module.path}: must stay empty, but imports {name}" for name in module.imported_names())
    elif room not in ARROWS:
        yield f"{module.path}: {room} is not a room of the house; give it a place in ARROWS and in the design"
    else:
        yield from (f"{module.path}: imports {wrong}" for wrong in sorted(set(neighbours(module)) - ARROWS[room]))


def test_arrows_point_one_way() -> None:
    assert not [offence for module in PACKAGE for offence in offences(module)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("pseudoword/embedding/files.py", "from ..training import trainer"),
        ("pseudoword/training/trainer.py", "from pseudoword.hosts.diffusers import load_model"),
        ("pseudoword/hosts/webui/model.py", "from ..diffusers import load_model"),
        ("pseudoword/hosts/diffusers.py", "def load():\n    from ..cli import main"),
        ("pseudoword/__init__.py", "import torch"),
        ("pseudoword/toolbox.py", "import os"),
    ],
)
def test_an_arrow_the_wrong_way_is_found(path: str, line: str) -> None:
    assert list(offences(Module(Path(path), ast.parse(line), 1)))


def test_nothing_below_ui_says_gradio() -> None:
    above = ("pseudoword.ui", "pseudoword.studio", "pseudoword.webui", "scripts.", "tests.ui", "tests.webui")
    below = [module for module in modules() if not module.name.startswith(above)]
    assert not [module.path for module in below if "gradio" in module.imported_packages()]


def test_only_the_webui_s_host_and_door_say_modules() -> None:
    inside = ("tests.webui.inside", "benchmarks.webui")  # run by the WebUI's own Python
    door = ("scripts.", "install", "preload", "pseudoword.hosts.webui", "pseudoword.webui", *inside)
    elsewhere = [module for module in modules() if not module.name.startswith(door)]
    assert not [module.path for module in elsewhere if "modules" in module.imported_packages()]


def test_what_sets_up_needs_only_the_standard_library() -> None:
    launchers = [module for module in modules() if module.name == "run" or module.name.startswith("tools.launch")]
    assert len(launchers) > 2
    standard = {*sys.stdlib_module_names, "tools"}
    assert not [module.path for module in launchers if not module.imported_packages() <= standard]


def test_the_middle_layer_and_the_command_line_are_imported_without_panels_hosts_and_heavy_packages() -> None:
    rooms = ["embedding", "text", "scoring", "training", "training.trainer", "errors", "diffusion", "builtin", "cli"]
    absent = ["gradio", "modules", "diffusers", "transformers", "open_clip", "matplotlib"]
    program = "import sys\n"
    program += f"sys.modules.update(dict.fromkeys({absent}))\n"  # None there makes an import fail
    program += "".join(f"import pseudoword.{room}\n" for room in rooms)
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_importing_a_module_reads_what_it_says_it_reads() -> None:
    tree = ast.parse("from . import errors\nfrom ..text import chunks\nimport torch.nn as nn\n")
    module = Module(Path("pseudoword/training/trainer.py"), tree, 3)
    assert set(module.imported_names()) == {"pseudoword.training.errors", "pseudoword.text.chunks", "torch.nn"}
