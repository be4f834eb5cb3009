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
FOUNDATION = {"errors", "diffusion"}
MIDDLE = {"scoring", "training", "inspect"}
BELOW_JOBS = FOUNDATION | {"builtin", "embedding", "text"} | MIDDLE
HOSTS = {"hosts.diffusers", "hosts.webui"}
EVERYTHING = BELOW_JOBS | HOSTS | {"jobs"}
ARROWS = {
    "errors": set(),
    "diffusion": {"errors"},
    "builtin": set(),
    "embedding": FOUNDATION,
    "text": FOUNDATION,
    "scoring": FOUNDATION | {"builtin", "embedding", "text"},
    "training": FOUNDATION | {"embedding", "text", "scoring"},
    "inspect": FOUNDATION | {"embedding", "text", "scoring"},
    "jobs": BELOW_JOBS,
    "hosts.checkpoints": FOUNDATION | {"embedding"},
    "hosts.diffusers": FOUNDATION | {"builtin", "embedding", "text", "hosts.checkpoints"},
    "hosts.webui": FOUNDATION | {"embedding", "text", "jobs"},
    "ui": EVERYTHING,
    "api": EVERYTHING | {"ui"},
    "cli": EVERYTHING | {"ui", "api"},
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


@pytest.mark.parametrize("module", PACKAGE, ids=lambda module: module.name)
def test_arrows_point_one_way(module: Module) -> None:
    if (room := room_of(module.name)) in ("", "hosts", "__main__"):
        return
    assert room in ARROWS, f"pseudoword/{room} is not a room of the house; give it a place in this test and in the design"
    unwelcome = set(neighbours(module)) - ARROWS[room]
    assert not unwelcome, f"{module.path} imports {sorted(unwelcome)}, which is not below it"


def test_the_package_and_its_rooms_of_hosts_import_nothing_by_themselves() -> None:
    for module in PACKAGE:
        if module.name in ("pseudoword", "pseudoword.hosts"):
            assert not list(module.imported_names()), f"{module.path} must stay empty, so that nobody pays for what he does not use"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_only_panels_say_gradio(module: Module) -> None:
    if room_of(module.name) not in ("ui", "webui") and module.path.parts[0] != "tests":
        assert "gradio" not in module.imported_packages(), f"{module.path} lies below ui and imports gradio"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_only_the_webui_s_host_and_door_say_modules(module: Module) -> None:
    at_the_door = module.path.parts[0] in ("scripts", "install.py", "preload.py")
    if not (at_the_door or module.name.startswith(("pseudoword.hosts.webui", "pseudoword.webui"))):
        assert "modules" not in module.imported_packages(), f"{module.path} imports the WebUI's modules"


@pytest.mark.parametrize("package", ["run", "tools.launch"])
def test_what_sets_up_needs_only_the_standard_library(package: str) -> None:
    for module in modules():
        if module.name == package or module.name.startswith(package + "."):
            assert module.imported_packages() <= {*sys.stdlib_module_names, "tools"}, module.path


def test_the_middle_layer_is_imported_without_panels_hosts_and_heavy_packages() -> None:
    rooms = ["embedding", "text", "scoring", "training", "training.trainer", "errors", "diffusion", "builtin"]
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
