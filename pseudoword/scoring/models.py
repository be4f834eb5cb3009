"""Which CLIP models are there: the built-in one, files one names, and what open_clip and others have downloaded.

Nothing here asks a server. A name such as ViT-B-32:laion2b_s34b_b79k is open_clip's: an architecture
and what it was trained on.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from ..builtin import CHECKPOINT, OPEN_CLIP_FOLDER
from ..errors import MissingExtra, ModelError
from .clip import ClipScorer
from .clip_files import TOKENIZER_CONFIG, TORCH_SUFFIXES, read_config, tokenizer_place
from .torchscript_file import is_torchscript

Origin = Literal["built in", "given", "Hugging Face's cache", "open_clip's cache", "not here"]

BUILT_IN_KNOWS = (
    "It is the small one that is built in: it learned from icons alone, and is often wrong on all else, such as photos"
)
OPENAI = "openai"
TOWER = "hf_model_name"  # the setting that names a text tower on a server
CONFIG = "open_clip_config.json"
# open_clip's own order.
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)


@dataclass(frozen=True)
class ClipModel:
    """A CLIP model that is on this disk (`weights`), or would have to be downloaded (None).

    It is described by a `config` file, or by the `architecture` that open_clip knows and the `tag` of its training, ""
    for weights of one's own. `problem` says why one that is there cannot be used, "" where it can.
    """

    name: str
    origin: Origin
    weights: Path | None
    config: Path | None = None
    architecture: str = ""
    tag: str = ""
    size_bytes: int | None = None
    problem: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it can be loaded without a download, as far as that can be told from outside."""
        return self.weights is not None and not self.problem


def models_here(places: Sequence[Path] = ()) -> list[ClipModel]:
    """All models on this disk, the built-in one first, then those in `places`, then what was once downloaded.

    A place is a folder with open_clip_config.json and weights, a folder of such folders, or a weight file whose name
    begins with that of an architecture. Raises MissingExtra where open_clip is not installed.
    """
    given = [model for place in places for model in models_at(place)]
    return [builtin_model(), *given, *(model for model in pretrained_models() if model.weights is not None)]


def builtin_model() -> ClipModel:
    """The small one that ships with Pseudoword."""
    folder = Path(OPEN_CLIP_FOLDER)
    weights = folder / WEIGHTS[0]
    return ClipModel(Path(CHECKPOINT).stem, "built in", weights, folder / CONFIG, size_bytes=_size(weights))


def models_at(place: Path) -> list[ClipModel]:
    """The models at `place`, see `models_here`. Raises ModelError where there is nothing of the kind."""
    candidates = [place]
    if place.is_dir() and not (place / CONFIG).exists():
        candidates = sorted(place.iterdir())
    found = [model for candidate in candidates if (model := _model_at(candidate)) is not None]
    if not found:
        raise ModelError(
            f"There is no CLIP model at {str(place)!r}; give a folder with {CONFIG} and its weights, or a weight file "
            "whose name begins with an architecture that open_clip knows, such as ViT-B-32."
        )
    return found


def pretrained_models() -> list[ClipModel]:
    """All models that open_clip knows, each once, with their files where they lie in a cache."""
    pretrained = pretrained_of()
    found: dict[str, ClipModel] = {}
    for architecture, tag in pretrained.list_pretrained():
        source = pretrained.get_pretrained_cfg(architecture, tag)
        # The same weights are listed with and without -quickgelu; which it is we read from the training's own entry.
        address = source.get("hf_hub") or source.get("url") or ""
        if address and address not in found:
            found[address] = _pretrained(architecture, tag, source)
    return list(found.values())


def choose_default(models: Sequence[ClipModel]) -> ClipModel:
    """The best of `models` that can be used: the largest file, those with attention before ResNets; else the built-in.

    Larger models of one training see more; across trainings the size is only a guess, which whoever asks should name.
    """
    usable = [model for model in models if model.is_usable and model.origin != "built in"]
    return max(
        usable, key=lambda model: (not model.name.startswith("RN"), model.size_bytes or 0), default=builtin_model()
    )


def named(name: str, models: Sequence[ClipModel]) -> ClipModel:
    """The one of `models` that is called `name`, whatever its case. Raises ModelError."""
    for model in models:
        if model.name.lower() == name.lower():
            return model
    raise ModelError(f"No CLIP model is called {name!r}; --list-clips shows those there are.")


def load_model(model: ClipModel, device: torch.device | str = "cpu") -> ClipScorer:
    """The scorer that `model` is. Raises ModelError, also for one that is not on this disk, and MissingExtra."""
    if model.weights is None:
        raise ModelError(f"The CLIP model {model.name} is not on this disk; download it first, or choose another.")
    if model.problem:
        raise ModelError(f"The CLIP model {model.name} cannot be used: {model.problem}.")
    if model.config is not None:
        scorer = ClipScorer.load(model.config, model.weights, device=device)
        scorer.name = model.name
        return scorer
    config: dict[str, Any] = {"model_cfg": _open_clip().get_model_config(model.architecture)}
    if model.tag:
        source = pretrained_of().get_pretrained_cfg(model.architecture, model.tag)
        kept = ("mean", "std", "interpolation", "resize_mode")
        config["preprocess_cfg"] = {key: source[key] for key in kept if source.get(key)}
        if _is_quick(model.tag, source):
            config["model_cfg"]["quick_gelu"] = True
    return ClipScorer.of_config(model.name, config, model.weights, model.name, None, device)


def _model_at(path: Path) -> ClipModel | None:
    """The model in a folder or a weight file; None where it is something else."""
    if path.is_dir():
        weights = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
        if not (path / CONFIG).is_file() or weights is None:
            return None
        name = path.resolve().name
        problem = problem_of(weights)
        with suppress(ModelError):  # loading tells what is wrong with it
            problem = problem or text_problem(read_config(path / CONFIG)["model_cfg"]["text_cfg"], path)
        return ClipModel(name, "given", weights, path / CONFIG, size_bytes=_size(weights), problem=problem)
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        return None
    stem = _folded(path.stem)
    fitting = [name for name in _open_clip().list_models() if stem.startswith(_folded(name))]
    if not fitting:
        return None
    architecture = max(fitting, key=len)
    problem = problem_of(path) or text_problem(text_settings_of(architecture))
    tag = OPENAI if _is_of_openai(path, architecture) else ""
    return ClipModel(path.stem, "given", path, None, architecture, tag, _size(path), problem)


def _is_of_openai(path: Path, architecture: str) -> bool:
    """Whether a weight file that is called like one of OpenAI's models is in the form that OpenAI distributes.

    Tools that describe pictures, such as the WebUI's interrogator, leave it in their own folders.
    """
    with suppress(OSError, zipfile.BadZipFile):
        is_theirs = path.suffix.lower() in TORCH_SUFFIXES and is_torchscript(path)
        return is_theirs and bool(pretrained_of().get_pretrained_cfg(architecture, OPENAI))
    return False


def _pretrained(architecture: str, tag: str, source: dict[str, Any]) -> ClipModel:
    """One of open_clip's models; without its tokenizer it is not here, since its download is what brings that, too."""
    model = ClipModel(f"{architecture}:{tag}", "not here", None, architecture=architecture, tag=tag)
    places: list[tuple[Origin, Path]] = [
        ("Hugging Face's cache", path) for path in _in_hub_cache(source.get("hf_hub") or "")
    ]
    if source.get("url"):
        places.append(("open_clip's cache", open_clip_cache() / Path(source["url"]).name))
    for origin, path in places:
        if path.is_file():
            settings = text_settings_of(architecture)
            if TOWER not in settings and lacking_tokenizer(settings):
                return model
            problem = problem_of(path) or text_problem(settings)
            return replace(model, origin=origin, weights=path, size_bytes=_size(path), problem=problem)
    return model


def _in_hub_cache(address: str) -> Iterator[Path]:
    """The files of "owner/name/file" or "owner/name/" that Hugging Face's cache holds; safetensors first."""
    repository, _, file = address.rpartition("/")
    if not repository:
        return
    with suppress(ImportError):
        from huggingface_hub import constants, try_to_load_from_cache

        if not (Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}").is_dir():
            return  # open_clip knows over a hundred, and to ask for each one's files takes ten times as long
        for name in (str(Path(file).with_suffix(".safetensors")), file) if file else WEIGHTS:
            path = try_to_load_from_cache(repository, name)
            if isinstance(path, str):
                yield Path(path)


def _is_quick(tag: str, source: dict[str, Any]) -> bool:
    """Whether a training used OpenAI's quick GELU; open_clip before 2.24 told only by names."""
    return bool(source.get("quick_gelu", tag == OPENAI or "quickgelu" in source.get("url", "")))


def problem_of(weights: Path) -> str:
    """Why a weight file cannot be used, as far as one sees without reading it."""
    if weights.suffix.lower() not in SUFFIXES:
        return f"files of the kind {weights.suffix} are not read"
    if weights.suffix.lower() in TORCH_SUFFIXES:
        try:
            zipfile.ZipFile(weights).close()
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            with suppress(OSError), weights.open("rb") as file:
                if file.read(2) == b"PK":  # torch's older files are no archives
                    return f"its file {weights.name} is cut off; delete it, and download it again"
        except OSError:
            pass
    return ""


def text_settings_of(architecture: str) -> dict[str, Any]:
    """How open_clip configures the text tower of `architecture`."""
    return (_open_clip().get_model_config(architecture) or {}).get("text_cfg", {})


def text_problem(settings: dict[str, Any], folder: Path | None = None) -> str:
    """Why texts cannot be read by a tower with these `settings` whose files lie in `folder`; "" where they can."""
    if TOWER in settings:
        return "its text tower lies on a server"
    if name := lacking_tokenizer(settings, folder):
        return (
            f"its tokenizer {name} is not on this disk; give a folder with {CONFIG}, the weights and the tokenizer's "
            f"files, {TOKENIZER_CONFIG} among them"
        )
    return ""


def lacking_tokenizer(settings: dict[str, Any], folder: Path | None = None) -> str:
    """The name of the tokenizer that a text tower with these `settings` needs; "" where it needs none that lacks."""
    name = str(settings.get("hf_tokenizer_name") or "")
    return name if name and tokenizer_place(name, folder) is None else ""


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace("/", "-")


def open_clip_cache() -> Path:
    """Where open_clip keeps the files that it fetches by their addresses."""
    return Path("~/.cache/clip").expanduser()


def pretrained_of() -> Any:
    """open_clip's module of the models that it knows. Raises MissingExtra where it is not installed."""
    return _open_clip().pretrained


def _open_clip() -> Any:
    try:
        import open_clip
        import open_clip.pretrained
    except ImportError as error:
        raise MissingExtra("open_clip_torch", "standalone") from error
    return open_clip
