"""Files with the same vectors, or nearly, are found in whatever format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from pseudoword.inspect.library_row import LibraryRow
from pseudoword.inspect.library_table import scan
from tests.embedding import words
from tests.inspect.libraries import word

ONE = words.vectors(2, 768, seed=1)


def groups_of(rows: tuple[LibraryRow, ...]) -> dict[str, tuple[int | None, str | None]]:
    return {row.name: (row.group, row.duplicate) for row in rows}


def apart(vectors: torch.Tensor, cosine: float, seed: int = 5) -> torch.Tensor:
    """`vectors` (n, D) turned so that their mean has this cosine with what it was."""
    mean = vectors.mean(dim=0).double()
    aside = torch.randn(len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    aside -= (aside @ mean) / (mean @ mean) * mean
    turned = cosine * mean + (1 - cosine**2) ** 0.5 * aside / aside.norm() * mean.norm()
    return (vectors.double() - mean + turned).float()


def test_the_same_vectors_in_every_format_are_one_group(tmp_path: Path) -> None:
    word(tmp_path, "a", ONE, "safetensors")
    word(tmp_path, "b", ONE, "pt")
    word(tmp_path / "sub", "c", ONE, "diffusers")
    word(tmp_path, "d", ONE, "card")
    torch.save({"string_to_param": {"*": torch.nn.Parameter(ONE)}}, tmp_path / "e.pt")
    word(tmp_path, "other", words.vectors(2, 768, seed=2))
    table = scan([tmp_path])
    assert groups_of(table.rows) == {**dict.fromkeys("abcde", (1, "exact")), "other": (None, None)}
    (group,) = table.groups
    assert group.exact and group.number == 1 and len(group.files) == 5 and group.lowest_cosine == 1
    assert group.sentence == (
        "Group 1: a.safetensors, b.pt, d.png, e.pt and 1 more hold the same vectors; one of them is enough."
    )


def test_vectors_saved_in_half_precision_are_near_duplicates(tmp_path: Path) -> None:
    word(tmp_path, "full", ONE)
    torch.save({"half": ONE.half()}, tmp_path / "half.bin")
    table = scan([tmp_path])
    assert groups_of(table.rows) == {"full": (1, "near"), "half": (1, "near")}
    assert table.groups[0].sentence == (
        "Group 1: full.safetensors and half.bin hold nearly the same vectors (cosine 1.0000 or more); "
        "one of them is enough."
    )


@pytest.mark.parametrize(("cosine", "near"), [(0.9995, True), (0.99905, True), (0.99895, False), (0.9, False)])
def test_near_is_a_cosine_above_999_thousandths(cosine: float, near: bool, tmp_path: Path) -> None:
    word(tmp_path, "a", ONE)
    word(tmp_path, "b", apart(ONE, cosine))
    table = scan([tmp_path])
    assert len(table.groups) == near
    if near:
        assert table.groups[0].lowest_cosine == pytest.approx(cosine, abs=2e-5)


def test_other_numbers_of_vectors_and_other_encoders_are_no_duplicates(tmp_path: Path) -> None:
    word(tmp_path, "one", ONE[:1])
    word(tmp_path, "twice", ONE[:1].repeat(2, 1))
    sdxl = {"clip_l": ONE[:1], "clip_g": words.vectors(1, 1280)}
    save_embedding(Embedding("xl", sdxl, EmbeddingMetadata()), tmp_path / "xl")
    assert not scan([tmp_path]).groups


def test_both_encoders_of_sdxl_count(tmp_path: Path) -> None:
    large = 100 * words.vectors(1, 1280)
    for name, small in {"a": ONE[:1], "b": words.vectors(1, 768, seed=9), "c": apart(ONE[:1], 0.9995)}.items():
        save_embedding(Embedding(name, {"clip_l": small, "clip_g": large}, EmbeddingMetadata()), tmp_path / name)
    assert groups_of(scan([tmp_path]).rows) == {"a": (1, "near"), "b": (None, None), "c": (1, "near")}


def test_a_group_may_hold_the_same_and_nearly_the_same(tmp_path: Path) -> None:
    word(tmp_path, "a", ONE)
    word(tmp_path, "b", apart(ONE, 0.9995))
    word(tmp_path, "c", ONE, "pt")
    table = scan([tmp_path])
    assert groups_of(table.rows) == {"a": (1, "exact"), "b": (1, "near"), "c": (1, "exact")}
    assert not table.groups[0].exact and "nearly the same vectors (cosine 0.999" in table.groups[0].sentence


def test_groups_are_numbered_in_the_order_of_the_table(tmp_path: Path) -> None:
    for index, name in enumerate("abcabcabc"):
        word(tmp_path / str(index), name, words.vectors(1, 32, seed=ord(name)))
    table = scan([tmp_path])
    assert [row.group for row in table.rows] == [1, 2, 3] * 3 and [group.number for group in table.groups] == [1, 2, 3]


def test_words_of_zeros_are_the_same_and_near_to_nothing_else(tmp_path: Path) -> None:
    word(tmp_path, "a", torch.zeros(1, 768))
    word(tmp_path, "b", torch.zeros(1, 768), "pt")
    word(tmp_path, "c", torch.cat([ONE[:1], -ONE[:1]]).mean(dim=0, keepdim=True) + 1e-30)
    assert groups_of(scan([tmp_path]).rows) == {"a": (1, "exact"), "b": (1, "exact"), "c": (None, None)}


def test_thousands_of_near_duplicates_are_found_across_blocks_and_soon(tmp_path: Path) -> None:
    from dataclasses import replace

    from pseudoword.inspect.library_duplicates import grouped

    word(tmp_path, "a", ONE)
    (row,) = scan([tmp_path]).rows
    table = words.vectors(1500, 768)
    table = table / table.norm(dim=1, keepdim=True)
    rows = [
        replace(row, fingerprint=str(index), signature=table[index % 1400].half().numpy().tobytes())
        for index in range(1500)
    ]
    rows += [replace(row, fingerprint=f"same {index}") for index in range(1500)]
    with words.soon_and_in_little_memory(seconds=5):
        marked, groups = grouped(rows)
    assert len(groups) == 101 and len(groups[-1].files) == 1500
    assert [entry.group for entry in marked[:100]] == [entry.group for entry in marked[1400:1500]] == [*range(1, 101)]
    assert not any(entry.group for entry in marked[100:1400])
    _, stopped = grouped(rows, lambda: True)
    assert not stopped
