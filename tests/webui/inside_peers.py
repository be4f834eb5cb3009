"""Run by the WebUI's own Python in its own process: other extensions' figures of words, and ours of the same files.

The job names the folder of their scripts, and the `clip` folder and `open_clip` architecture that checkpoints with
random weights are made of. The answer, which `test_peers` tells, are the largest differences by checkpoint and peer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, TypeAlias

JOB = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.argv.append("--skip-load-model-at-start")
sys.path[:0] = [os.environ["PSEUDOWORD_WEBUI_DIR"]]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import torch  # noqa: E402
from modules import script_callbacks, sd_hijack, sd_models, shared  # noqa: E402
from torch import Tensor  # noqa: E402

sys.path[:0] = [JOB["root"]]

from pseudoword.diffusion import TextEncoder  # noqa: E402
from pseudoword.embedding import Embedding, load_embedding, save_embedding  # noqa: E402
from pseudoword.hosts.webui.loaded_encoders import loaded_encoders  # noqa: E402
from pseudoword.inspect.arithmetic import evaluate  # noqa: E402
from pseudoword.inspect.figures import VectorFigures, figures_of  # noqa: E402
from pseudoword.inspect.vocabulary import Vocabulary  # noqa: E402
from tests.webui.inside_checkpoints import load, make_checkpoint  # noqa: E402

PEERS = Path(JOB["peers"])
SHOWN = 30  # tokens that embedding-inspector shows
BY_VECTORS = 5  # embedding-merge's rows: one for each vector
COLUMNS = ("minimum", "maximum", "sum", "absolute sum", "norm", "deviation")  # of embedding-merge's tables
COUNTS = {"moon": 3, "sun": 3, "star": 1}
WORDS = tuple(COUNTS)
# Our expressions, and how embedding-merge writes the same.
EXPRESSIONS = {
    "0.7*moon + 0.3*sun": "'moon'*0.7 + 'sun'*0.3",
    "moon - sun": "'moon' - 'sun'",
    "(moon + sun) / 2": "'moon' + 'sun' =/ 2",
    "cat + dog": "'cat' + 'dog'",
    'moon[0:2] * 1.5 - "red cat"': "'moon' :2 *1.5 - 'red cat'",
    'concat(moon, "a red cat")': "'moon', 'a red cat'",
}
SHARES = {"moon": 0.7, "sun": 0.3}
ROWS_OF_MIXER = 6  # embedding-inspector's

Figures: TypeAlias = "dict[str, float]"


def main() -> None:
    """Compare with each extension that is there, checkpoint by checkpoint."""
    script_callbacks.before_ui_callback()
    for seed, name in enumerate(name for name in JOB["checkpoints"] if name.startswith("random")):
        # Files of other extensions are told apart by their width, so Stable Diffusion 2 has its own.
        make_checkpoint(name, JOB["clip"], "ViT-H-14" if "sd2" in name else JOB["open_clip"], seed)
    sd_models.list_models()
    answers: dict[str, dict[str, Any]] = {}
    for checkpoint in JOB["checkpoints"]:
        load(checkpoint)
        write_words()
        found = answers[checkpoint] = {}
        if (PEERS / "embedding_inspector.py").is_file() and not shared.sd_model.is_sdxl:  # which it does not know
            inspector = peer("embedding_inspector")
            found["embedding-inspector"] = beside_embedding_inspector(inspector)
            found["embedding-inspector's mixer"] = beside_its_mixer(inspector)
        if (PEERS / "embedding_merge.py").is_file():
            parse = parse_of_embedding_merge()
            found["embedding-merge"] = beside_embedding_merge(parse)
            found["embedding-merge's expressions"] = beside_its_expressions(parse)
    Path(JOB["result"]).write_text(json.dumps(answers), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


def peer(name: str) -> Any:
    """An extension's script, run as the WebUI runs it."""
    spec = importlib.util.spec_from_file_location(name, PEERS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the words -----------------------------------------------------------------------------------------------------


def encoders() -> Sequence[TextEncoder]:
    """Those of the loaded checkpoint."""
    found = loaded_encoders()
    assert found is not None
    return found.encoders


def words_folder() -> Path:
    """Where the WebUI has its embeddings."""
    return Path(shared.cmd_opts.embeddings_dir)


def write_words() -> None:
    """Words for the loaded checkpoint: near to tokens, between two, far away and long, short, and one token's copy."""
    for number, name in enumerate(WORDS):
        random = torch.Generator().manual_seed(number)
        vectors = {encoder.name: made(encoder.vocabulary.float(), random) for encoder in encoders()}
        count = {"star": 1}.get(name, 3)
        save_embedding(
            Embedding(name, {e: rows[:count] for e, rows in vectors.items()}), words_folder() / name, overwrite=True
        )
    database = sd_hijack.model_hijack.embedding_db
    database.load_textual_inversion_embeddings(force_reload=True)
    assert set(WORDS) <= set(database.word_embeddings), database.skipped_embeddings


def made(vocabulary: Tensor, random: torch.Generator) -> Tensor:
    """Vectors (3, D): near to one of `vocabulary` (V, D), between two and five times as long, and noise."""
    _, places, counts = vocabulary.unique(dim=0, return_inverse=True, return_counts=True)
    own = vocabulary[counts[places] == 1]  # the built-in checkpoint has one vector for all tokens that it never learned
    one, two, three = own[torch.randint(len(own), (3,), generator=random)]
    noise = torch.randn(2, vocabulary.shape[1], generator=random) * vocabulary.std()
    return torch.stack([one + 0.3 * noise[0], 5 * (two + three) / 2, noise[1]])


def word_in(name: str) -> Embedding:
    """The word in the file called `name`, as we read it."""
    found = next(path for path in words_folder().rglob("*") if path.stem == name)
    return load_embedding(found)


def figures_in(embedding: Embedding) -> dict[str, tuple[VectorFigures, ...]]:
    """Our figures of a word by text encoder, with as many tokens as the other shows, start and end among them."""
    vocabularies = [Vocabulary.of_encoder(encoder) for encoder in encoders()]
    found = figures_of(embedding, vocabularies, SHOWN)
    return {encoder: figures.vectors for encoder, figures in found.encoders.items()}


# ---- embedding-inspector -------------------------------------------------------------------------------------------


@contextmanager
def cosines_noted() -> Iterator[list[Tensor]]:
    """What every torch.nn.CosineSimilarity gives meanwhile."""
    noted: list[Tensor] = []

    def note(module: torch.nn.Module, _: Any, given: Any) -> None:
        if isinstance(module, torch.nn.CosineSimilarity):
            noted.append(given.detach().clone())

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        yield noted
    finally:
        hook.remove()


def beside_embedding_inspector(inspector: Any) -> Figures:
    """Differences between its report and our figures of the same words."""
    tokens, elsewhere = 0, 0
    norms, extremes, cosines, swapped = [0.0], [0.0], [0.0], [0.0]
    for name in WORDS:
        with cosines_noted() as noted:
            report, _ = inspector.do_inspect(name)
        embedding = word_in(name)
        ((encoder, vectors),) = figures_in(embedding).items()
        lengths = [float(told) for told in re.findall(r"^Magnitude: (\S+)$", report, re.M)]
        ends = [(float(low), float(high)) for low, high in re.findall(r"^Min, Max: (\S+), (\S+)$", report, re.M)]
        nearest = [ids_in(line) for line in re.findall(r"^Similar embeddings:\n(.*)$", report, re.M)]
        rows = embedding.vectors[encoder]
        for row, vector, length, low_high, ids, their in zip(rows, vectors, lengths, ends, nearest, noted, strict=True):
            ours = vector.nearest["cosine"]
            assert len(ids) == len(ours) == SHOWN, report
            norms.append(abs(vector.norm - length))
            extremes += [abs(float(row.min()) - low_high[0]), abs(float(row.max()) - low_high[1])]
            cosines += [abs(float(their[token.token_id]) - token.figure) for token in ours]
            tokens += SHOWN
            for token, theirs in zip(ours, ids, strict=True):
                if token.token_id != theirs:
                    elsewhere += 1
                    swapped.append(abs(float(their[token.token_id] - their[theirs])))
    return {
        "tokens": tokens,
        "tokens in another place": elsewhere,
        "their cosines' difference there": max(swapped),
        "cosine": max(cosines),
        "norm": max(norms),
        "minimum and maximum": max(extremes),
    }


def ids_in(line: str) -> list[int]:
    """The ids in its line of similar tokens, each in brackets behind what the token says."""
    return [int(told) for told in re.findall(r"\((\d+)\)(?=   |$)", line)]


def beside_its_mixer(inspector: Any) -> Figures:
    """The difference between what it mixes and saves, and our sum."""
    blank = ROWS_OF_MIXER - len(SHARES)
    names, shares = [*SHARES, *[""] * blank], [*SHARES.values(), *[1.0] * blank]
    told, _ = inspector.do_save(*names, *shares, False, False, "", False, "mixed", True, "")
    assert "Saved" in told, told
    return {"number": largest_difference(word_in("mixed"), "0.7*moon + 0.3*sun")}


# ---- embedding-merge -----------------------------------------------------------------------------------------------


def parse_of_embedding_merge() -> Any:
    """What its button "Parse!" calls, of the tab that it builds."""
    known = script_callbacks.callback_map["callbacks_ui_tabs"]
    before = len(known)
    peer("embedding_merge")
    ((tab, _, _),) = known[before].callback()
    return next(function.fn for function in tab.fns if function.fn.__name__ == "gr_func")


def beside_embedding_merge(parse: Any) -> Figures:
    """Differences between its tables and our figures of the same words."""
    differences = dict.fromkeys(COLUMNS, 0.0)
    for name in WORDS:
        embedding = word_in(name)
        lengths = [vector.norm for vectors in figures_in(embedding).values() for vector in vectors]
        rows = [row.double() for table in embedding.vectors.values() for row in table]
        told, _, _ = parse("", name, BY_VECTORS, False, False)
        for row, length, theirs in zip(rows, lengths, numbers_in(told), strict=True):
            ours = (row.min(), row.max(), row.sum(), row.abs().sum(), length, row.std())
            for column, one, other in zip(COLUMNS, ours, theirs, strict=True):
                differences[column] = max(differences[column], abs(float(one) - other))
    return differences


def numbers_in(html: str) -> list[list[float]]:
    """The figures in the rows of its tables; of one row for each vector."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    cells = ([unescape(cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)] for row in rows)
    return [[float(cell) for cell in row[-len(COLUMNS) :]] for row in cells if len(row) >= len(COLUMNS)]


def beside_its_expressions(parse: Any) -> Figures:
    """By our expression, the largest difference to the word that it saves of the same one."""
    differences = {}
    for number, (ours, theirs) in enumerate(EXPRESSIONS.items()):
        told, left, _ = parse(f"merged-{number}", theirs, BY_VECTORS, False, True)
        assert left == "" and numbers_in(told), told
        differences[ours] = largest_difference(word_in(f"merged-{number}"), ours)
    return differences


def largest_difference(made: Embedding, expression: str) -> float:
    """Of any number in `made` and in what `expression` gives here."""
    words: Mapping[str, Embedding] = {name: word_in(name) for name in WORDS}
    ours = evaluate(expression, encoders(), words).vectors
    assert ours.keys() == made.vectors.keys()
    assert all(rows.shape == made.vectors[encoder].shape for encoder, rows in ours.items())
    return max(float((rows - made.vectors[encoder]).abs().max()) for encoder, rows in ours.items())


if __name__ == "__main__":
    main()
