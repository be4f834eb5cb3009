"""What is pressed on the studio's panels that reads or changes what can belong to somebody; and all the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pseudoword.jobs.training.saved_settings import save_settings, saved_settings
from tests.api.panel_rights import AT_ONCE_S, Given, Page, Press, Target
from tests.api.rights_studio import ANN, LAYERS, OWNER, WORD, RightsStudio
from tests.training.small_runs import settings

SAVED, OWN_STEPS = "zxqv-portraits", 77
ZONK = "zonk.safetensors"


# ---- what it is about ------------------------------------------------------------------------------------------------


def training(state: str) -> Callable[[Page, str], Any]:
    """A training of the owner that waits or is paused: its job's id, its word, and its state."""

    def made(page: Page, session: str) -> Any:
        job = page.studio.job("training", state)
        return job.id, job.title, job.state

    return made


def has_changed(studio: RightsStudio, subject: Any, text: str) -> bool:
    """Whether the job is in another state."""
    return bool(studio.trainings.board.job(subject[0]).state != subject[2])


def is_gone(studio: RightsStudio, subject: Any, text: str) -> bool:
    """Whether the run's folder is."""
    return not (studio.trainings.host.runs / subject[1]).exists()


def finished(page: Page, session: str) -> Any:
    """The training that taught the owner's word."""
    job = page.studio.job("training", "finished")
    return job.id, job.title, job.state


def says(*texts: str) -> Callable[[RightsStudio, Any, str], bool]:
    """Whether the answer says one of them."""
    return lambda studio, subject, text: any(one in text for one in texts)


def says_not(words: str) -> Callable[[RightsStudio, Any, str], bool]:
    """Whether the answer is another one, and none that refuses."""
    return lambda studio, subject, text: '"data"' in text and words not in text


def begun(kind: str, target: Target, given: Callable[[RightsStudio, Any], Given]) -> Callable[[Page, str], Any]:
    """A job of the queue that the owner begins in his page: its id, its title and state."""

    def made(page: Page, session: str) -> Any:
        page.press(OWNER, session, target, given(page.studio, None))
        job = page.studio.trainings.queue.store.jobs(owner=ANN.owner, kinds=[kind], states=["waiting"])[0][0]
        return job.id, job.title, job.state

    return made


def pressed_before(*targets: Target, given: Callable[[RightsStudio, Any], Given]) -> Callable[[Page, str], Any]:
    """What is kept in memory, and begins when the owner presses the last of these in his page."""

    def made(page: Page, session: str) -> Any:
        for target in targets:
            answer = page.press(OWNER, session, target, given(page.studio, None))
            assert answer.status == 200, answer
        return None

    return made


def saved(page: Page, session: str) -> Any:
    """Settings that the owner saved."""
    save_settings(page.studio.trainings.host.runs, SAVED, settings(name="x", steps=OWN_STEPS))


def saved_steps(studio: RightsStudio) -> Any:
    """How many steps they say; None where they are forgotten."""
    return saved_settings(studio.trainings.host.runs).get(SAVED, {}).get("steps")


def checked(page: Page, session: str) -> Any:
    """A check of a training set that has ended."""
    pressed_before(click("check"), given=in_folder)(page, session)
    ends = time.monotonic() + AT_ONCE_S
    while "left out" not in page.press(OWNER, session, CHECK_ORDER, ORDERED).text:
        assert time.monotonic() < ends
        time.sleep(0.05)


# ---- what stands in the fields ---------------------------------------------------------------------------------------


def click(name: str) -> Target:
    """The press of a button."""
    return f"pseudoword_{name}", "click"


def in_folder(studio: RightsStudio, subject: Any) -> Given:
    """The folder of pictures to train on, or to check."""
    return {"pseudoword_folder": str(studio.pictures)}


def new_word(studio: RightsStudio, subject: Any) -> Given:
    """All that a new training needs."""
    studio.words += 1
    return {
        **in_folder(studio, subject),
        "pseudoword_name": f"zxqv-new-{studio.words}",
        "pseudoword_start_words": "dog",
    }


def run(studio: RightsStudio, subject: Any) -> Given:
    """The run is chosen among the earlier ones."""
    return {"pseudoword_earlier": subject[1]}


def scored(studio: RightsStudio, subject: Any) -> Given:
    """A folder beside a text."""
    return {"pseudoword_score_folder": str(studio.pictures), "pseudoword_score_texts": "a cat"}


def always(**values: Any) -> Callable[[RightsStudio, Any], Given]:
    """The same values each time, by the ends of the fields' ids."""
    return lambda studio, subject: {f"pseudoword_{name}": value for name, value in values.items()}


CHECK_ORDER = "pseudoword_check_order", "change"
ORDERED: Given = {"pseudoword_check_order": "[0]"}
WORDS = click("refresh_words")
REFRESHED = (click("refresh"),)
NO_TRAINING, NO_PICTURES = "No training is under way", "No pictures are being"
EXPRESSION = always(expression="zonk", arithmetic_steps=1)
VECTORS = always(embedding=ZONK, vectors_steps=1)
BETWEEN = always(embedding=ZONK, between_other=ZONK, between_steps=1)
COMPARED = always(layers_template=LAYERS["prompt"], layers_list=LAYERS["layers"], layers_steps=1)
STRIPS = {
    "Inspect, What each vector does": ("vectors", VECTORS),
    "Inspect, Between two": ("between", BETWEEN),
    "Inspect, Arithmetic": ("arithmetic", EXPRESSION),
}
"""Panels that make strips of pictures, which are kept in memory: how their ids begin, and what stands in them."""

PRESSES = [
    Press("Train", "Start", click("start"), says("waits for its turn"), given=new_word),
    Press("Train", "Pause", click("pause"), has_changed, training("waiting")),
    Press("Train", "Resume", click("resume"), has_changed, training("paused")),
    Press("Train", "Stop, keep", click("stop"), has_changed, training("paused")),
    Press("Train", "Cancel", click("cancel"), has_changed, training("waiting")),
    Press("Train", "Earlier runs: the list", click("refresh"), says(WORD), finished),
    Press("Train", "Earlier runs: Go on with it", click("go_on"), has_changed, training("paused"), run, REFRESHED),
    Press("Train", "Earlier runs: Remove it", click("remove"), is_gone, training("paused"), run, REFRESHED),
    Press(
        "Train",
        "Use its settings (pressed in Jobs)",
        ("pseudoword_cloned", "change"),
        says(f"the settings of {WORD}"),
        finished,
        lambda studio, subject: {"pseudoword_cloned": subject[0]},
    ),
    Press(
        "Train",
        "Saved settings: Recall",
        click("recall_settings"),
        says(f"the settings of {SAVED}"),
        saved,
        always(saved=SAVED),
    ),
    Press(
        "Train",
        "Saved settings: Save in their place",
        click("save_settings"),
        lambda studio, subject, text: saved_steps(studio) not in (None, OWN_STEPS),
        saved,
        always(saved=SAVED),
    ),
    Press(
        "Train",
        "Saved settings: Forget",
        click("forget_settings"),
        lambda studio, subject, text: saved_steps(studio) is None,
        saved,
        always(saved=SAVED),
    ),
    Press("Train", "Check pictures", click("check"), says("data-check"), given=in_folder),
    Press(
        "Train",
        "Cancel check",
        click("check_cancel"),
        says_not(NO_PICTURES),
        pressed_before(click("check"), given=in_folder),
        held=True,
    ),
    Press("Train", "Leave out", CHECK_ORDER, says("left out"), checked, lambda studio, subject: ORDERED),
    *(
        one
        for panel, (prefix, given) in STRIPS.items()
        for one in (
            Press(panel, "Show", click(f"{prefix}_show"), says("data-strip"), given=given, before=(WORDS,)),
            Press(
                panel,
                "Cancel",
                click(f"{prefix}_cancel"),
                says_not(NO_PICTURES),
                pressed_before(WORDS, click(f"{prefix}_show"), given=given),
                held=True,
            ),
        )
    ),
    Press("CLIP skip", "Compare", click("layers_show"), says("data-strip"), given=COMPARED),
    Press("CLIP skip", "Cancel", click("layers_cancel"), has_changed, begun("layers", click("layers_show"), COMPARED)),
    Press(
        "CLIP skip",
        "Remember this layer",
        click("layers_remember"),
        says("is remembered for"),
        given=always(layers_wanted="2"),
    ),
    Press("CLIP skip", "Forget", click("layers_forget"), says("Nothing is remembered", "Nothing was remembered")),
    Press("Score", "Score a folder", click("score_start"), says("data-scores"), given=scored),
    Press("Score", "Cancel", click("score_cancel"), has_changed, begun("scoring", click("score_start"), scored)),
    Press("Score", "Download it (a CLIP model)", click("clip_download"), says("No model is chosen")),
    Press("Score", "Cancel (the download)", click("clip_cancel"), says("Nothing is being downloaded")),
]

OF_THE_PAGE = {
    click("generate"),
    ("pseudoword_prompt", "submit"),
    ("", "then"),
    click("generate_cancel"),
    ("pseudoword_pictures", "change"),
    ("pseudoword_folder", "change"),
    ("pseudoword_preset", "change"),
    ("pseudoword_score_pictures", "change"),
    click("score_clear"),
    click("score_prompts"),
    ("pseudoword_score_way", "change"),
    ("pseudoword_score_templates", "change"),
    click("refresh_clips"),
    ("pseudoword_expression_insert", "change"),
    *(click(f"example_{number}") for number in range(7)),
}
"""What is about pictures and texts that stand in the page alone, which nobody else has."""
EVERYBODYS = {
    ("pseudoword_name", "change"),
    ("pseudoword_prompt", "focus"),
    ("", "load"),
    ("pseudoword_embedding", "change"),
    ("pseudoword_viewed_prompt", "change"),
    ("pseudoword_attention", "change"),
    ("pseudoword_expression", "change"),
    click("mix_save"),
    ("pseudoword_edit_vectors", "change"),
    ("pseudoword_edit_name", "change"),
    ("pseudoword_edit_half", "change"),
    click("edit_save"),
    click("edit_download"),
    click("edit_undo"),
    ("pseudoword_inspected", "change"),
    WORDS,
    click("layers_look"),
}
"""What is about the words of the library, which are everybody's."""
