"""The table of what checkpoints want: kept in a file, edited as a text, shared by threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pseudoword.errors import EmbeddingFileError, SettingsError
from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers, WantedLayers, parse_table, table_text
from pseudoword.text.layer_choice import LayerChoice, one_layer, parse_layers

ANIME, XL = "ab" * 32, "cd" * 32
TWO = WantedLayers(one_layer(2), title="anime-v3")
APART = WantedLayers(parse_layers("2/1"), parse_layers("1=0.5,2=0.5"), "big; with a semicolon")


@pytest.fixture
def table(tmp_path: Path) -> CheckpointLayers:
    return CheckpointLayers(tmp_path / "pseudoword" / "checkpoint-layers.json")


def test_what_was_remembered_is_known_after_a_restart(table: CheckpointLayers, tmp_path: Path) -> None:
    table.remember(ANIME, TWO)
    table.remember(XL, APART)
    again = CheckpointLayers(tmp_path / "pseudoword" / "checkpoint-layers.json")
    assert again.entries() == {ANIME: TWO, XL: APART}
    assert again.wanted(ANIME) == TWO and again.wanted("ef" * 32) is None and again.wanted(None) is None
    assert APART.choice == LayerChoice(prompt=APART.prompt, negative=APART.negative)


def test_a_hash_as_infotexts_show_it_is_enough(table: CheckpointLayers) -> None:
    table.remember(ANIME[:10], TWO)
    assert table.wanted(ANIME) == TWO
    table.remember(ANIME, WantedLayers(one_layer(1)))
    assert table.entries() == {ANIME: WantedLayers(one_layer(1))}, "what was known before is replaced"
    table.forget(ANIME)
    assert table.entries() == {}


@pytest.mark.parametrize("text", ["", "abc", "xyzxyzxyzxyz", "../../etc/passwd", "AB" * 32])
def test_what_is_no_hash_is_refused(table: CheckpointLayers, text: str) -> None:
    with pytest.raises(SettingsError, match="is not a checkpoint's hash"):
        table.remember(text, TWO)


def test_the_text_is_read_back(table: CheckpointLayers) -> None:
    entries = {ANIME: TWO, XL: APART}
    text = table_text(entries)
    assert parse_table(text) == entries
    assert f"{ANIME}; 2; ; anime-v3" in text and f"{XL}; 2/1; 1=0.5,2=0.5; big; with a semicolon" in text
    table.replace(text, instead_of=table_text(table.entries()))
    assert table.entries() == entries


def test_hand_written_lines_are_read() -> None:
    assert parse_table(f"\n# mine\n{ANIME[:10].upper()};2\n") == {ANIME[:10]: WantedLayers(one_layer(2))}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense; 2", "Line 1: 'nonsense' is not a checkpoint's hash"),
        (ANIME, "has no layers"),
        (f"{ANIME}; x", "'x' is not a layer"),
        (f"{ANIME}; 2; 0", "There is no layer 0"),
        (f"{ANIME}; 2\n{ANIME}; 3", "Line 2: .* stands in the table twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_nothing_changes(table: CheckpointLayers, line: str, says: str) -> None:
    table.remember(XL, APART)
    before = table_text(table.entries())
    with pytest.raises(SettingsError, match=says):
        table.replace(line, instead_of=before)
    assert table.entries() == {XL: APART}


def test_nobody_s_change_is_lost_when_two_edit(table: CheckpointLayers) -> None:
    seen = table_text(table.entries())
    table.remember(XL, APART)
    with pytest.raises(SettingsError, match="changed by somebody else"):
        table.replace(f"{ANIME}; 2", instead_of=seen)
    assert table.entries() == {XL: APART}


def test_several_threads_may_remember(table: CheckpointLayers) -> None:
    hashes = [f"{number:064x}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda sha256: table.remember(sha256, TWO), hashes))
    assert set(table.entries()) == set(hashes)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"' + ANIME.encode() + b'": {"prompt": "0"}}',
        b'{"' + ANIME.encode() + b'": 3, "x": {"prompt": "2"}}',
    ],
)
def test_a_file_that_is_damaged_holds_nothing_of_what_is(
    table: CheckpointLayers, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "pseudoword" / "checkpoint-layers.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert table.entries() == {} and table.wanted(ANIME) is None
    table.remember(ANIME, TWO)
    assert table.wanted(ANIME) == TWO


def test_half_a_character_in_a_name_cannot_be_written(table: CheckpointLayers) -> None:
    with pytest.raises(EmbeddingFileError, match="nothing was changed"):
        table.remember(ANIME, WantedLayers(one_layer(2), title="\ud83d"))
    assert table.entries() == {}


def test_a_name_stays_on_its_line(table: CheckpointLayers) -> None:
    table.remember(ANIME, WantedLayers(one_layer(2), title=f"one\n{XL}; 3"))
    assert set(parse_table(table_text(table.entries()))) == {ANIME}
