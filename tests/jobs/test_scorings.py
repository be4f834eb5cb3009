"""Pictures are scored in the background: by one model that is named, with whatever cannot be scored named, too."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pseudoword.errors import SettingsError
from pseudoword.jobs.scoring import score_job, score_request
from pseudoword.jobs.scoring.score_job import ScoreJob
from pseudoword.jobs.scoring.score_request import NamedPicture, ScoreRequest
from pseudoword.jobs.scoring.score_result import result_table
from pseudoword.jobs.scoring.scorings import MOST_ENDED, MOST_UNDER_WAY, Scorings
from pseudoword.scoring import OPENAI_SEVEN_TEMPLATES, ClipScorer, class_features
from pseudoword.scoring.models import ClipModel, builtin_model, load_model
from tests.jobs.small_scorings import ended, named_pictures, result_of, scoring_host
from tests.scoring.pictures import hostile
from tests.scoring.watched_loans import DECODING, PASS, watched_loans

pytest.importorskip("open_clip")

TEXTS = ("a cat", "a dog", "a house by the sea")
ROUNDING = 1e-3  # features are kept with 16 bits


# ---- figures -------------------------------------------------------------------------------------------------------


def test_each_picture_is_compared_with_each_text_by_the_default_model(scorings: Scorings, tmp_path: Path) -> None:
    pictures = named_pictures(tmp_path, 5)
    result = result_of(scorings, ScoreRequest(pictures, labels=TEXTS))
    with scorings.host.clips.using(scorings.host.clips.default()) as scorer:
        images = [Image.open(picture.path) for picture in pictures]
        wanted = scorer.image_features(images) @ scorer.text_features(TEXTS).T
        assert (result.model, result.width) == (scorer.title, scorer.width) and "tiny-clip [" in result.model
    assert result.scores is not None and torch.allclose(result.scores.cosines, wanted, atol=ROUNDING, rtol=0)
    assert result.pictures == tuple(f"picture {number}" for number in range(5)) and result.labels == TEXTS
    assert result.found is None and not result.unreadable and not result.notes


def test_with_as_many_texts_as_pictures_it_is_counted_which_found_their_own(scorings: Scorings, tmp_path: Path) -> None:
    result = result_of(scorings, ScoreRequest(named_pictures(tmp_path, 3), labels=TEXTS))
    assert result.scores is not None
    assert result.found == sum(best == own for own, best in enumerate(result.scores.best_texts))


def test_classes_are_put_into_sentences_whose_mean_counts(scorings: Scorings, tmp_path: Path) -> None:
    pictures = named_pictures(tmp_path, 3)
    asked = ScoreRequest(pictures, labels=("cat", "dog", "bird"), templates=OPENAI_SEVEN_TEMPLATES)
    result = result_of(scorings, asked)
    with scorings.host.clips.using(scorings.host.clips.default()) as scorer:
        images = scorer.image_features([Image.open(picture.path) for picture in pictures])
        wanted = images @ class_features(scorer, asked.labels, OPENAI_SEVEN_TEMPLATES).T
    assert (
        result.are_classes
        and result.scores is not None
        and torch.allclose(result.scores.cosines, wanted, atol=ROUNDING, rtol=0)
    )
    assert result.found is None  # classes are not in the order of the pictures


@pytest.mark.parametrize(
    ("labels", "templates", "reason"),
    [
        (("cat",) * 100, ("a {}",) * 51, "make 5,100 sentences, and at most 5,000 are read"),
        (("c" * 1000,), ("{} " * 20,), "has 20,020 letters, and at most 10,000 are read"),
    ],
    ids=["many sentences", "a class many times"],
)
def test_classes_that_make_too_much_text_are_refused_before_it_is_made(
    scorings: Scorings, tmp_path: Path, labels: tuple[str, ...], templates: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        scorings.start(ScoreRequest(named_pictures(tmp_path, 1), labels=labels, templates=templates))


def test_another_model_scores_for_itself_where_it_is_named(scorings: Scorings, tmp_path: Path) -> None:
    host = replace(scorings.host, features=tmp_path / "features.sqlite")
    both = Scorings(host)
    pictures = named_pictures(tmp_path, 2)
    first = result_of(both, ScoreRequest(pictures, labels=TEXTS))
    second = result_of(both, ScoreRequest(pictures, labels=TEXTS, model="pseudoword-mini"))
    again = result_of(both, ScoreRequest(pictures, labels=TEXTS))
    assert first.model == again.model != second.model == load_model(builtin_model()).title
    assert first.scores is not None and again.scores is not None and second.scores is not None
    assert torch.equal(first.scores.cosines, again.scores.cosines)
    assert not torch.allclose(first.scores.cosines, second.scores.cosines, atol=ROUNDING, rtol=0)


def test_a_head_says_something_of_each_picture_also_without_texts(scorings: Scorings, tmp_path: Path) -> None:
    with scorings.host.clips.using(scorings.host.clips.default()) as scorer:
        width = scorer.width
    head = tmp_path / "taste.safetensors"
    save_file({"weight": torch.zeros(1, width), "bias": torch.tensor([4.5])}, head)
    result = result_of(scorings, ScoreRequest(named_pictures(tmp_path, 2), head=head))
    assert (result.head, result.head_scores, result.scores) == ("taste", (4.5, 4.5), None)
    save_file({"weight": torch.zeros(1, width + 1), "bias": torch.zeros(1)}, head)
    watched = ended(scorings.start(ScoreRequest(named_pictures(tmp_path, 2), head=head))).watch()
    assert watched.state == "failed" and "choose the CLIP model that the head was made for" in watched.message


def test_texts_that_are_too_long_and_empty_ones_are_told(scorings: Scorings, tmp_path: Path) -> None:
    pictures, texts = named_pictures(tmp_path, 1), ("word " * 99, "", "a cat")
    cut = result_of(scorings, ScoreRequest(pictures, labels=texts))
    mean = result_of(scorings, ScoreRequest(pictures, labels=texts, long="mean"))
    assert "the rest is cut off" in cut.notes[0] and "A text is empty" in cut.notes[1]
    assert "read in parts" in mean.notes[0]
    assert cut.scores is not None and mean.scores is not None
    same = torch.isclose(cut.scores.cosines, mean.scores.cosines, atol=ROUNDING, rtol=0)
    assert same.tolist() == [[False, True, True]]


def test_the_table_has_a_row_for_each_pair_and_for_what_could_not_be_read(scorings: Scorings, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    pictures = (*named_pictures(tmp_path, 2), NamedPicture("=cmd()", bad))
    lines = result_table(result_of(scorings, ScoreRequest(pictures, labels=TEXTS))).splitlines()
    assert len(lines) == 1 + 2 * 3 + 1 and lines[0].startswith("picture,text,cosine") and lines[0].endswith(",problem")
    assert lines[1].startswith("picture 0,a cat,") and lines[-1].startswith("'=cmd(),") and "no picture" in lines[-1]


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_hostile_pictures_are_named_while_others_are_scored(scorings: Scorings, tmp_path: Path) -> None:
    sound, broken = hostile(tmp_path / "folder")
    result = result_of(scorings, ScoreRequest(folder=tmp_path / "folder", labels=TEXTS))
    assert set(result.pictures) == sound and {one.path for one in result.unreadable} == broken
    assert all(one.reason for one in result.unreadable)


def test_where_none_can_be_read_that_is_said(scorings: Scorings, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    watched = ended(scorings.start(ScoreRequest((NamedPicture("a", tmp_path / "text.png"),), labels=TEXTS))).watch()
    assert watched.message == "None of the pictures could be read." and watched.result is not None
    assert [one.path for one in watched.result.unreadable] == ["a"]
    assert result_table(watched.result).count("\n") == 2


def test_pictures_can_be_looked_at_as_long_as_they_are_there(scorings: Scorings, tmp_path: Path) -> None:
    pictures = named_pictures(tmp_path, 2)
    job = ended(scorings.start(ScoreRequest(pictures, labels=TEXTS)))
    small = job.thumbnail(0)
    assert small is not None and small[:2] == b"\xff\xd8"
    for picture in pictures:
        picture.path.unlink()
    assert job.thumbnail(0) == small and job.thumbnail(1) is None
    assert job.thumbnail(-1) is None and job.thumbnail(2) is None


def test_only_folders_that_are_allowed_are_read_and_links_lead_nowhere_else(scorings: Scorings, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    named_pictures(allowed, 1)
    [secret] = named_pictures(tmp_path / "secret", 1)
    (allowed / "link.png").symlink_to(secret.path)
    guarded = Scorings(replace(scorings.host, folders=[allowed]))
    result = result_of(guarded, ScoreRequest(folder=allowed, labels=TEXTS))
    assert result.pictures == ("0000.png",)
    assert [one.path for one in result.unreadable] == ["link.png"] and "is a link" in result.unreadable[0].reason
    for request in (ScoreRequest(folder=tmp_path, labels=TEXTS), ScoreRequest(folder=allowed, head=secret.path)):
        with pytest.raises(SettingsError, match="outside of the folders"):
            guarded.start(request)


def test_addresses_are_fetched_where_that_is_allowed_and_never_from_here(scorings: Scorings, tmp_path: Path) -> None:
    asked = ScoreRequest(
        named_pictures(tmp_path, 1), addresses=("http://127.0.0.1/a.png", "ftp://example.org"), labels=TEXTS
    )
    with pytest.raises(SettingsError, match="--pseudoword-fetch-urls"):
        scorings.start(asked)
    result = result_of(Scorings(replace(scorings.host, may_fetch=True)), asked)
    assert result.pictures == ("picture 0",)
    assert [one.path for one in result.unreadable] == list(asked.addresses)
    assert "public internet" in result.unreadable[0].reason


# ---- what is refused, and what ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ScoreRequest(labels=TEXTS), "no pictures"),
        (ScoreRequest(folder=Path("x")), "nothing to compare with"),
        (ScoreRequest(folder=Path("x"), labels=("a",) * 201), "at most 200"),
        (ScoreRequest(folder=Path("x"), labels=("a" * 10_001,)), "10,001 letters"),
        (ScoreRequest((NamedPicture("a", Path("a")),) * 501, labels=("a",) * 200), "501 pictures, and at most 500"),
    ],
)
def test_too_much_and_too_little_is_refused(scorings: Scorings, request_: ScoreRequest, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        scorings.start(request_)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folder": Path("nowhere")}, "no folder"),
        ({"model": "unheard-of"}, "No CLIP model is called"),
        ({"templates": ("a photo",)}, "has no {}"),
        ({"head": Path("nowhere.pt")}, "cannot be read"),
    ],
)
def test_what_turns_out_to_be_impossible_is_told(
    scorings: Scorings, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    asked = ScoreRequest(named_pictures(tmp_path, 1), labels=TEXTS)
    watched = ended(scorings.start(replace(asked, **changes))).watch()  # type: ignore[arg-type]
    assert watched.state == "failed" and said in watched.message and watched.result is None


def test_a_folder_with_too_many_pictures_is_refused(
    scorings: Scorings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named_pictures(tmp_path / "many", 4)
    monkeypatch.setattr(score_request, "MOST_PAIRS", 9)
    watched = ended(scorings.start(ScoreRequest(folder=tmp_path / "many", labels=TEXTS))).watch()
    assert "at most 3 are scored" in watched.message and "pseudoword score" in watched.message


def test_what_was_scored_by_then_is_kept_when_it_is_cancelled(
    scorings: Scorings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_job, "AT_ONCE", 2)
    jobs: list[ScoreJob] = []
    portions: list[int] = []

    def noting(self: ScoreJob, *given: object) -> None:
        add(self, *given)  # type: ignore[arg-type]
        portions.append(self.watch().done)
        jobs[0].cancel()

    add = ScoreJob._add
    monkeypatch.setattr(ScoreJob, "_add", noting)
    with scorings._turns:
        jobs.append(scorings.start(ScoreRequest(named_pictures(tmp_path, 6), labels=TEXTS)))
    watched = ended(jobs[0]).watch()
    assert watched.state == "cancelled" and len(portions) == 1 and watched.result is not None
    assert len(watched.result.pictures) == portions[0] < 6 and "kept" in watched.message


def test_many_texts_are_encoded_in_portions_and_can_be_cancelled_between(
    scorings: Scorings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_job, "TEXTS_AT_ONCE", 2)
    said: list[str] = []
    using = scorings.host.clips.using

    def noting(model: ClipModel) -> AbstractContextManager[ClipScorer]:
        said.append(jobs[0].watch().message if jobs else "")
        if said.count("Encoding the texts") == 2:
            jobs[0].cancel()
        return using(model)

    monkeypatch.setattr(scorings.host.clips, "using", noting)
    jobs: list[ScoreJob] = []
    with scorings._turns:
        jobs.append(scorings.start(ScoreRequest(named_pictures(tmp_path, 1), labels=(*TEXTS, *"abcde"))))
    watched = ended(jobs[0]).watch()
    assert watched.state == "cancelled" and said.count("Encoding the texts") == 2 and watched.result is None


def test_the_model_is_lent_for_passes_alone_and_not_for_pictures_that_are_known(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorings = Scorings(scoring_host(tmp_path, clip, features=tmp_path / "cache"))
    asked = ScoreRequest(named_pictures(tmp_path / "pictures", 1), labels=TEXTS)
    loans = watched_loans(monkeypatch)
    monkeypatch.setattr(scorings.host.clips, "using", loans.watched(scorings.host.clips.using))
    result_of(scorings, asked)
    assert (loans.within, loans.outside) == ({PASS}, {DECODING})
    before = loans.count
    result_of(scorings, asked)
    assert loans.count == 2 * before - 1
    scorings.end()


def test_one_scores_after_the_other_and_too_many_are_refused(scorings: Scorings, tmp_path: Path) -> None:
    asked = ScoreRequest(named_pictures(tmp_path, 1), labels=TEXTS)
    with scorings._turns:
        jobs = [scorings.start(asked) for _ in range(MOST_UNDER_WAY)]
        with pytest.raises(SettingsError, match="wait, or cancel"):
            scorings.start(asked)
        assert {job.watch().state for job in jobs} == {"waiting"}
        jobs[0].cancel()
        assert ended(jobs[0]).watch().state == "cancelled"  # at once, while the others wait
    assert [ended(job).watch().state for job in jobs] == ["cancelled", *["finished"] * (MOST_UNDER_WAY - 1)]


def test_old_ones_are_forgotten_with_their_uploads(scorings: Scorings, tmp_path: Path) -> None:
    asked = ScoreRequest(named_pictures(tmp_path, 1), labels=TEXTS)
    places = [TemporaryDirectory() for _ in range(MOST_ENDED + 2)]
    jobs = [ended(scorings.start(asked, place)) for place in places]
    with pytest.raises(SettingsError, match="no longer kept"):
        scorings.job(jobs[0].id)
    assert scorings.job(jobs[-1].id) is jobs[-1]
    assert not Path(places[0].name).exists() and Path(places[-1].name).exists()
    scorings.end()
    assert not Path(places[-1].name).exists() and not any(
        thread.name.startswith("scores") for thread in threading.enumerate()
    )
