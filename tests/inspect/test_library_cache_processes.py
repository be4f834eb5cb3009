"""Several processes share one cache, and one that is killed leaves it sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pseudoword.inspect.library_table import scan
from tests.architecture.source import ROOT
from tests.inspect.libraries import files_read, many_words, remembered

PROGRAM = """
import sys
from pathlib import Path
from pseudoword.inspect.library_table import scan
print("ready", flush=True)
sys.stdin.readline()
table = scan([Path(sys.argv[1])], Path(sys.argv[2]), lambda done, total: print(done, flush=True))
print(len(table.rows), len(table.groups), table.complete, flush=True)
"""


def looking(library: Path, cache: Path) -> subprocess.Popen[str]:
    """A process that waits for a line and then looks at `library`."""
    command = [sys.executable, "-c", PROGRAM, str(library), str(cache)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("after", [399, 601])
def test_a_process_killed_in_the_middle_leaves_a_sound_cache(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, cache = tmp_path / "library", tmp_path / "cache"
    many_words(library, 700)
    with looking(library, cache) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.strip() == str(after):
                break
        process.send_signal(signal.SIGKILL)
    kept = len(remembered(cache))
    assert 200 <= kept <= 700
    read = files_read(monkeypatch)
    table = scan([library], cache)
    assert len(table.rows) == 700 and table.complete and len(read) == 700 - kept


@pytest.mark.parametrize("foreign", [False, True])
def test_processes_at_once_share_a_cache(foreign: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, cache = tmp_path / "library", tmp_path / "cache"
    many_words(library, 500)
    if foreign:
        cache.write_bytes(b"no database at all")
    processes = [looking(library, cache) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        answer, _ = process.communicate(timeout=120)
        assert answer.splitlines()[-1] == "500 0 True" and process.returncode == 0
    scan([library], cache)
    read = files_read(monkeypatch)
    assert len(scan([library], cache).rows) == 500 and not read and len(remembered(cache)) == 500
