"""What is known of the embeddings in a library, beside the loaded model, another one, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pseudoword.embedding import Embedding, save_embedding
from pseudoword.errors import EmbeddingFileError, ModelError, SettingsError
from pseudoword.jobs.library.inspector import Inspector
from tests import tiny_models
from tests.jobs.small_library import library_host, library_in, put_word, rows, without_model


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    return Inspector(library_host(library_in(tmp_path)))


def test_files_of_sub_folders_and_of_the_same_name_are_told_apart(inspector: Inspector) -> None:
    (folder,) = inspector.host.library()
    (folder / "portraits").mkdir()
    put_word(inspector, "moon")
    put_word(inspector, "portraits/moon", rows(3), "pt")
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 nothing")
    assert inspector.labels() == [], "a page is built without waiting for the files"
    inspector.reader().table()
    assert inspector.labels() == ["moon.safetensors", "portraits/moon.pt"]
    assert inspector.load("portraits/moon.pt").vector_count == 3
    assert "broken" in inspector.row("broken.pt").problem
    assert inspector.counts() == {"moon": 2}, "of two words of one name prompts can say the first"


def test_two_folders_with_the_same_file_show_both(inspector: Inspector, tmp_path: Path) -> None:
    put_word(inspector, "moon")
    other = tmp_path / "other"
    other.mkdir()
    save_embedding(Embedding("moon", {"clip_l": rows(5)}), other / "moon.safetensors")
    both = Inspector(replace(inspector.host, library=lambda: [*inspector.host.library(), other]))
    both.reader().table()
    assert both.labels() == ["moon.safetensors", "moon.safetensors (2)"]
    assert both.load("moon.safetensors (2)").vector_count == 5


def test_a_word_is_compared_with_the_model_and_with_other_words(inspector: Inspector) -> None:
    vocabulary = inspector.host.model().text_encoders[0].vocabulary
    put_word(inspector, "like-a-token", vocabulary[[7, 9]] * 1.01)
    put_word(inspector, "nearly-the-same", vocabulary[[7, 9]] + 0.001)
    put_word(inspector, "else", rows(2))
    examined = inspector.examine("like-a-token.safetensors")
    assert examined.fitting is not None and examined.figures is not None
    assert examined.fitting.title == "tiny"
    nearest = [vector.nearest["cosine"][0].token_id for vector in examined.figures.encoders["clip_l"].vectors]
    assert nearest == [7, 9]
    assert {finding.kind for finding in examined.findings} == {"token copy"}
    assert [one.name for one in examined.relations.by_encoder["clip_l"]] == ["nearly-the-same", "else"]
    assert [place.label for place in examined.map_for("clip_l").others] == ["nearly-the-same", "else"]
    layers = inspector.layers(examined, "clip_l")
    assert layers.norms.shape == (tiny_models.LAYERS, 2)
    with pytest.raises(SettingsError, match="no vectors for 'clip_g'; it has clip_l"):
        examined.map_for("clip_g")


def test_a_file_that_changes_is_looked_at_anew(inspector: Inspector) -> None:
    path = put_word(inspector, "moon")
    assert inspector.examine("moon.safetensors").embedding.vector_count == 2
    path.unlink()
    put_word(inspector, "moon", rows(4))
    assert inspector.examine("moon.safetensors").embedding.vector_count == 4
    path.unlink()
    with pytest.raises(EmbeddingFileError, match=r"moon\.safetensors is gone"):
        inspector.examine("moon.safetensors")


def test_another_checkpoint_brings_another_vocabulary(inspector: Inspector) -> None:
    put_word(inspector, "moon")
    loaded = inspector.host.encoders()
    assert loaded is not None
    now = [loaded]
    changing = Inspector(replace(inspector.host, encoders=lambda: now[0]))
    before = changing.examine("moon.safetensors")
    weights = loaded.encoders[0].vocabulary
    weights.mul_(-1)  # another checkpoint in the same memory, as the WebUI loads them
    now[0] = replace(loaded, title="other", identity="other")
    after = changing.examine("moon.safetensors")
    assert before.figures is not None and after.figures is not None and after.fitting is not None
    assert after.fitting.title == "other"
    of_both = [found.figures.encoders["clip_l"].vectors[0].nearest["cosine"][0] for found in (before, after)]  # type: ignore[union-attr]
    assert of_both[0].token_id != of_both[1].token_id


def test_without_a_model_the_vocabulary_of_a_checkpoint_file_serves(inspector: Inspector) -> None:
    put_word(inspector, "moon")
    wide, fitting = Path("sd2.safetensors"), Path("mini.safetensors")
    shelf = {wide: {"open_clip_h": torch.randn(50, 64)}, fitting: {"clip_l": torch.randn(50, tiny_models.WIDTH)}}
    examined = Inspector(without_model(inspector.host, shelf)).examine("moon.safetensors")
    assert examined.figures is not None and examined.fitting is not None
    assert examined.fitting.title == "mini.safetensors"
    with pytest.raises(ModelError, match=r"needs its model loaded.*mini\.safetensors"):
        inspector.layers(examined, "clip_l")


@pytest.mark.parametrize("is_loaded", [True, False])
def test_what_is_missing_is_said_where_no_vocabulary_fits(inspector: Inspector, is_loaded: bool) -> None:
    (folder,) = inspector.host.library()
    word = Embedding("big", {"clip_l": torch.randn(1, 768), "clip_g": torch.randn(1, 1280)})
    save_embedding(word, folder / "big")
    save_embedding(replace(word, name="bigger"), folder / "bigger")
    here = inspector if is_loaded else Inspector(without_model(inspector.host))
    examined = here.examine("big.safetensors")
    assert examined.figures is None and not examined.findings
    assert ("tiny has others" if is_loaded else "no model is loaded") in examined.missing
    assert "Load an SDXL checkpoint" in examined.missing
    assert [one.name for one in examined.relations.by_encoder["clip_g"]] == ["bigger"], "this needs no model"
    with pytest.raises(ModelError, match="clip_l, 768 wide and clip_g, 1280 wide"):
        examined.map_for("clip_l")


def test_any_folder_can_be_looked_into_by_who_has_the_computer_to_himself(inspector: Inspector, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = save_embedding(Embedding("sun", {"clip_l": rows(1)}), elsewhere / "sun")
    inspector.reader(str(elsewhere)).table()
    assert inspector.labels(str(elsewhere)) == [str(path)]
    assert inspector.load(str(path)).name == "sun"
    with pytest.raises(SettingsError, match="is no folder"):
        inspector.labels(str(tmp_path / "nowhere"))


def test_on_a_server_only_allowed_folders_can_be_named(inspector: Inspector, tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed, other):
        folder.mkdir()
        save_embedding(Embedding("sun", {"clip_l": rows(1)}), folder / "sun")
    server = Inspector(replace(inspector.host, folders=[allowed]))
    assert len(server.reader(str(allowed)).table().rows) == 1
    assert server.labels(str(inspector.host.library()[0])) == []
    for forbidden in (str(other), f"{allowed}/../other", "~", "/"):
        with pytest.raises(SettingsError, match="outside of the folders"):
            server.labels(forbidden)
    with pytest.raises(SettingsError, match="There is no embedding"):
        server.load(str(other / "sun.safetensors"))
