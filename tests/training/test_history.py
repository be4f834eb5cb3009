from __future__ import annotations

import json
from pathlib import Path

from pseudoword.training.events import PreviewMade, StepDone, to_record
from pseudoword.training.history import History, read_history


def step(number: int) -> dict[str, object]:
    return {"event": "step", "step": number}


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_records_reach_the_disk_with_a_flush_and_only_once(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.add(step(1))
    assert not (tmp_path / "history.jsonl").exists()
    history.flush()
    history.add(step(2))
    history.flush()
    history.flush()
    assert steps_in(tmp_path / "history.jsonl") == [1, 2]


def test_a_resumed_history_ends_at_the_checkpoint_without_the_half_line_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(step(number)) + "\n" for number in (1, 2, 3)) + '{"event": "step", "st')
    history = History(path)
    history.restore(2)
    history.add(step(3))
    history.flush()
    assert steps_in(path) == [1, 2, 3]
    assert [record["step"] for record in history.records] == [1, 2, 3]


def test_going_back_drops_later_records_written_or_not(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    for number in (1, 2, 3):
        history.add(step(number))
    history.flush()
    history.add(step(4))
    history.drop_after(2)
    history.add(step(3))
    history.flush()
    assert steps_in(path) == [1, 2, 3]


def test_lines_that_are_no_records_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'[1]\n{"event": "step"}\n\xff\xfe\n{"event": "step", "step": 5}\n')
    assert [record["step"] for record in read_history(path)] == [5]
    assert list(read_history(tmp_path / "missing.jsonl")) == []


def test_events_become_plain_json_with_paths_inside_the_folder() -> None:
    record = to_record(PreviewMade(10, (Path("/runs/a/previews/x.png"),), 0.5, None), Path("/runs/a"))
    assert json.loads(json.dumps(record)) == {
        "event": "preview", "step": 10, "pictures": ["previews/x.png"], "likeness": 0.5, "editability": None,
    }  # fmt: skip
    assert to_record(StepDone(1, 2, 0.5, 0.005, 0.1, 0.1))["event"] == "step"
