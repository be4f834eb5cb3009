"""The WebUI's embeddings folder: which names are taken, what can be continued, and how a new word gets in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modules import call_queue, sd_hijack, sd_models, shared
from PIL import Image

from ..embedding import library, load_embedding
from ..embedding.whole_file import write_whole
from ..errors import SettingsError
from ..hosts.webui.queue_turns import QueueTurns
from ..training.contact_sheet import png_bytes
from ..training.run_folder import RunFolder
from .settings_page import words_folder


def embedding_files() -> Mapping[str, Path]:
    """The files in the WebUI's embeddings folder by name, those for other checkpoints too, in alphabetical order.

    The WebUI's own list is empty until a checkpoint is loaded, which is after its page is built.
    """
    found = library.embedding_files(Path(shared.cmd_opts.embeddings_dir))
    files = {path.stem: path for path in found if path.suffix.lower() != ".png"}  # a card, or nothing but a picture
    return dict(sorted(files.items(), key=lambda item: item[0].casefold()))


def embedding_folders() -> list[Path]:
    """Where the WebUI looks for embeddings: its own folder, and those that other extensions add."""
    others = [Path(folder) for folder in sd_hijack.model_hijack.embedding_db.embedding_dirs]
    return list(dict.fromkeys([Path(shared.cmd_opts.embeddings_dir), *others]))


def refuse_taken_name(name: str) -> None:
    """Raise SettingsError where the embeddings folder has a file, or a prompt an embedding, called `name`."""
    database = sd_hijack.model_hijack.embedding_db  # knows the names of cards, too
    known = [*embedding_files(), *database.word_embeddings, *database.skipped_embeddings]
    if any(taken.casefold() == name.casefold() for taken in known):
        raise SettingsError(
            f"There is an embedding {name!r} already; choose another name, or move its file out of the folder."
        )


def publish(word: Path) -> None:
    """Put the file of a word that was learned into the embeddings folder, with its picture, ready for the next prompt.

    Raises EmbeddingFileError where it cannot be written; the run keeps the word in any case.
    """
    folder = words_folder()
    picture = best_picture(RunFolder(word.parent), word)
    if picture is not None:
        write_whole(folder / f"{word.stem}.preview.png", png_bytes(picture), overwrite=True)
    write_whole(folder / word.name, word.read_bytes(), overwrite=True)
    read_words_again()


def read_words_again() -> None:
    """Let the next prompt know the files in the embeddings folder as they are now.

    Without a model nothing is to be done: the WebUI reads them when it has loaded one, and would load one to read them.
    """
    if sd_models.model_data.sd_model is None:
        return
    with QueueTurns(call_queue.queue_lock):
        sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)


def best_picture(files: RunFolder, word: Path) -> Image.Image | None:
    """The first picture that was made of the word as it is kept, or of the nearest step before; None without any."""
    step = load_embedding(word).metadata.steps or 0
    rows = sorted(files.previews.glob("step-*[0-9].png"))
    row = next((path for path in reversed(rows) if path.stem <= files.preview(step).stem), None)
    if row is None:
        return None
    with Image.open(row) as pictures:
        return pictures.crop((0, 0, pictures.height, pictures.height)).convert("RGB")


def template_files() -> Mapping[str, Path]:
    """The files of the WebUI's templates folder by name."""
    folder = Path(shared.cmd_opts.textual_inversion_templates_dir)
    return {path.name: path for path in sorted(folder.glob("*.txt"))}
