"""How the WebUI starts with the extension: installing, flags, logins, a broken copy, and "Reload UI" in the middle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from benchmarks.webui.place import ADDRESS_OF_PYTHON, ADDRESS_OF_WEBUI, quiet_environment
from tests.webui.browsing import Visitor
from tests.webui.server import ENDLESS, PICTURES, SHORT, Answer, Webui, furnished, running

PROGRAM, VISITOR = "program:secret", {"username": "visitor", "password": "word"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


# ---- installing, and what the flags are ------------------------------------------------------------------------------


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the WebUI's Python answers, called as the WebUI calls the installers of extensions."""
    variables = {**quiet_environment(folder), "PYTHONPATH": os.environ[ADDRESS_OF_WEBUI]}
    command = [os.environ[ADDRESS_OF_PYTHON], *arguments]
    answer = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer


def test_the_installer_has_nothing_to_do_and_is_quick_about_it(tmp_path: Path) -> None:
    extension = furnished(tmp_path) / "extensions" / "pseudoword"
    before = python(tmp_path, "-m", "pip", "freeze").stdout
    answer = python(tmp_path, "-X", "importtime", str(extension / "install.py"))
    assert answer.stdout == ""
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert "importlib" in imported and not {"torch", "transformers", "numpy", "pip"} & imported
    assert python(tmp_path, "-m", "pip", "freeze").stdout == before


def test_the_flags_are_among_the_webui_s_with_what_they_mean(tmp_path: Path) -> None:
    program = "from modules import shared_cmd_options; print(shared_cmd_options.parser.format_help())"
    told = python(furnished(tmp_path), "-c", program, "--data-dir", str(tmp_path)).stdout
    for flag in ("--pseudoword-folder FOLDER", "--pseudoword-runs FOLDER", "--pseudoword-clip CONFIG WEIGHTS"):
        assert flag in told.partition("\nPseudoword:\n")[2]


# ---- "Reload UI" -----------------------------------------------------------------------------------------------------

TELLING = """
import threading
from modules import script_callbacks

def add_route(_, app):
    def told():
        routes = [[sorted(getattr(route, "methods", None) or []), route.path] for route in app.routes]
        return {"routes": routes, "threads": [thread.name for thread in threading.enumerate()]}
    app.add_api_route("/told", told, methods=["GET"])

script_callbacks.on_app_started(add_route)
"""


@pytest.fixture
def telling_webui(tmp_path: Path) -> Iterator[Webui]:
    """A WebUI with a second extension, which tells the routes and the threads there are."""
    folder = furnished(tmp_path)
    script = folder / "extensions" / "telling" / "scripts" / "telling.py"
    script.parent.mkdir(parents=True)
    script.write_text(TELLING)
    with running(folder, "--api") as webui:
        yield webui


def test_reloading_the_ui_leaves_one_of_everything(telling_webui: Webui, visit: Callable[[Webui], Visitor]) -> None:
    visitor = visit(telling_webui)
    telling_webui.begin("zxqa")
    before = our_routes(telling_webui)
    assert "/pseudoword/v1/training" in str(before) and set(before.values()) == {1}

    visitor.open_tab("Settings")
    visitor.page.click("#settings_restart_gradio")
    visitor.page.wait_for_selector("text=Reloading...")
    visitor.look_at_training()
    assert telling_webui.output.count("Startup time") == 2

    assert our_routes(telling_webui) == before
    threads = telling_webui.ask("/told").json["threads"]
    assert threads.count("training zxqa") == 1
    assert telling_webui.wait_for_more("zxqa")["state"] == "training"
    visitor.sees("Learning zxqa")
    visitor.press("pause")
    visitor.sees("Paused and saved")
    visitor.press("stop")
    visitor.sees("Write zxqa in a prompt to use it")
    assert_it_still_learns(visitor)


def our_routes(webui: Webui) -> Counter[str]:
    """How often each of our routes is in the app."""
    routes = webui.ask("/told").json["routes"]
    return Counter(f"{methods} {path}" for methods, path in routes if "pseudoword" in path)


def assert_it_still_learns(visitor: Visitor) -> None:
    """The form of the reloaded page starts a training."""
    visitor.field("folder").fill(str(PICTURES))
    visitor.field("name").fill("zxqb")
    visitor.field("start_words").fill("penguin bird")
    visitor.press("start")
    visitor.sees("Learning zxqb: step")


# ---- little memory ---------------------------------------------------------------------------------------------------


def test_with_lowvram_a_training_is_refused_and_another_flag_is_named(tmp_path: Path) -> None:
    with running(furnished(tmp_path), "--api", "--lowvram") as webui:
        answer = webui.teach("zxqv", ENDLESS)
        assert answer.status == 422 and "--lowvram" in answer.detail and "--medvram" in answer.detail
        assert webui.picture()[0]


def test_with_medvram_a_word_is_learned_and_the_model_is_as_before(tmp_path: Path) -> None:
    with running(furnished(tmp_path), "--api", "--medvram") as webui:
        before, _ = webui.picture()
        webui.begin("zxqv", {**SHORT, "preview_every": 15})
        during, _ = webui.picture()
        seen = webui.wait_for_state("zxqv", "finished", "paused", "failed")
        assert seen["state"] == "finished", seen
        assert before == during == webui.picture()[0]
        assert 'TI hashes: "zxqv: ' in webui.picture("a photo of zxqv")[1]


# ---- settings of the WebUI -------------------------------------------------------------------------------------------


def test_the_form_begins_with_the_webui_s_clip_skip(tmp_path: Path, visit: Callable[[Webui], Visitor]) -> None:
    folder = furnished(tmp_path)
    (folder / "config.json").write_text(json.dumps({"CLIP_stop_at_last_layers": 2}))
    with running(folder, "--api") as webui:
        visitor = visit(webui)
        visitor.unfold("Expert settings")
        assert visitor.field("clip_skip").input_value() == "2"


# ---- a broken copy ---------------------------------------------------------------------------------------------------

BREAKS = {
    "pseudoword/webui/registration.py": "raise RuntimeError('broken on <purpose>')",
    "pseudoword/ui/training_panel.py": "def build(trainings): raise RuntimeError('broken on <purpose>')",
    "pseudoword/ui/inspection_panel.py": "def build(inspector): raise RuntimeError('broken on <purpose>')",
}


@pytest.mark.parametrize("module", BREAKS)
def test_a_broken_extension_says_so_in_its_tab_and_the_webui_works(tmp_path: Path, module: str) -> None:
    folder = furnished(tmp_path)
    with open(folder / "extensions" / "pseudoword" / module, "a") as file:
        file.write(f"\n\n{BREAKS[module]}\n")
    with running(folder, "--api") as webui:
        assert "broken on <purpose>" in webui.output  # with the place, for whoever repairs it
        components = webui.ask("/config").json["components"]
        tabs = [found for found in components if found["props"].get("label") == "Pseudoword"]
        others = ("settings_pseudoword", "tab_pseudoword")
        tabs = [tab for tab in tabs if tab["props"].get("elem_id") not in others]
        told = [str(found["props"].get("value")) for found in components if found["type"] == "html"]
        assert len(tabs) == 1
        assert any("Pseudoword could not start: RuntimeError: broken on &lt;purpose&gt;" in text for text in told)
        assert webui.picture()[0]


# ---- who may do what -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded_webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI that asks programs and visitors for their names, and lets them name one folder of pictures."""
    folder = furnished(tmp_path_factory.mktemp("guarded"))
    shutil.copytree(PICTURES, folder / "for-all" / "penguin")
    logins = ("--api-auth", PROGRAM, "--gradio-auth", ":".join(VISITOR.values()))
    allowed = ("--server-name", "127.0.0.1", "--pseudoword-folder", str(folder / "for-all"))
    with running(folder, "--api", *logins, *allowed) as webui:
        yield webui


PROGRAM_ROUTES = {"/pseudoword/v1/settings": None, "/pseudoword/v1/trainings": None}
ORDERS: dict[str, dict[str, str]] = {"/pseudoword/v1/trainings": {}, "/pseudoword/v1/trainings/zxqv/cancel": {}}


def test_programs_need_the_name_and_password_of_api_auth(guarded_webui: Webui) -> None:
    ask = guarded_webui.ask
    for path, body in [*PROGRAM_ROUTES.items(), *ORDERS.items()]:
        for login in ("", "program:wrong", "program:", "visitor:word"):
            answer = ask(path, body, login)
            assert answer.status == 401 and "--api-auth" in answer.detail, (path, login, answer)
        assert ask(path, body, "no-colon").status == 401
    for path in PROGRAM_ROUTES:
        assert ask(path, login=PROGRAM).status == 200
    assert ask("/pseudoword/v1/trainings/zxqv/cancel", {}, PROGRAM).status == 404


@pytest.mark.parametrize("path", ["", "/curve.png", "/contact-sheet.png", "/previews/0.png"])
def test_visitors_see_the_training_once_they_have_logged_in(guarded_webui: Webui, path: str) -> None:
    route = f"/pseudoword/v1/training{path}"
    for headers in ({}, {"Cookie": "access-token=guessed"}, {"Cookie": "access-token="}):
        answer = guarded_webui.ask(route, **headers)
        assert answer.status == 401 and "Log in" in answer.detail
    logged_in = guarded_webui.ask("/login", urlencode(VISITOR).encode(), **FORM)
    assert logged_in.status == 200
    cookie = logged_in.headers["set-cookie"].partition(";")[0]
    assert guarded_webui.ask(route, Cookie=cookie).status != 401
    assert guarded_webui.ask(route, login=PROGRAM).status != 401


def test_a_server_for_others_reads_the_folders_that_it_was_told_to(guarded_webui: Webui) -> None:
    allowed = guarded_webui.folder / "for-all"
    for folder in (PICTURES, guarded_webui.folder / "outputs", allowed / ".." / "models", guarded_webui.folder):
        assert_is_outside(guarded_webui.teach("zxqv", ENDLESS, folder, PROGRAM))
    answer = guarded_webui.teach("zxqv", ENDLESS, allowed / "penguin", PROGRAM)
    assert answer.status == 201, answer
    ended: Any = guarded_webui.ask("/pseudoword/v1/trainings/zxqv/cancel", {}, PROGRAM)
    assert ended.status == 200, ended


def test_a_server_for_others_reads_its_own_pictures_unless_it_is_told_more(tmp_path: Path) -> None:
    with running(furnished(tmp_path), "--api", "--server-name", "127.0.0.1") as webui:
        shutil.copytree(PICTURES, tmp_path / "outputs" / "penguin")
        (tmp_path / "outputs" / "led-astray").symlink_to(PICTURES)
        for folder in (PICTURES, tmp_path / "outputs" / ".." / "models", tmp_path / "outputs" / "led-astray"):
            assert_is_outside(webui.teach("zxqv", ENDLESS, folder))
        for start in (f"file:{tmp_path / 'output.txt'}", "file:/etc/passwd"):
            assert_is_outside(webui.teach("zxqv", {**ENDLESS, "start": start}, tmp_path / "outputs" / "penguin"))
        webui.begin("zxqv", ENDLESS, tmp_path / "outputs" / "penguin")


def assert_is_outside(answer: Answer) -> None:
    assert answer.status == 422 and "outside of the folders that this server reads from" in answer.detail, answer
