"""What holds for every embedding and for every file, looked for by hypothesis."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as theirs_load
from safetensors.torch import save as theirs_save

from pseudoword.embedding import Embedding, EmbeddingMetadata, FileFormat, load_embedding, save_embedding
from pseudoword.embedding.card_pixels import find_hidden, hide
from pseudoword.embedding.pickle_reader import read_pickle
from pseudoword.embedding.safetensors_file import read_safetensors, write_safetensors
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words

FEW = settings(max_examples=25, deadline=None)
MANY = settings(max_examples=100, deadline=None)
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

# Texts that are neither JSON nor a path: of those only the last part is kept.
facts = st.text(max_size=30).filter(
    lambda text: not text.startswith(("/", "\\", "~", "{", "[")) and ":" not in text[:2]
)
utf8 = st.text(st.characters(codec="utf-8"), max_size=30)


@st.composite
def tables(draw: st.DrawFn, count: int | None = None, largest: float | None = None) -> torch.Tensor:
    """Vectors (n, D) of any finite float32 up to `largest`, negative zeros and subnormal numbers too."""
    rows, width = count or draw(st.integers(1, 4)), draw(st.sampled_from([1, 7, 32, 768]))
    least = None if largest is None else -largest
    finite = st.floats(least, largest, width=32, allow_nan=False, allow_infinity=False)
    numbers = draw(st.lists(finite, min_size=1, max_size=20))
    return torch.from_numpy(np.resize(np.array(numbers, np.float32), (rows, width)))


@st.composite
def embeddings(draw: st.DrawFn, largest: float | None = None) -> Embedding:
    count = draw(st.integers(1, 4))
    encoders = draw(st.sampled_from([["clip_l"], ["clip_l", "clip_g"], ["clip_g"], ["open_clip_h"]]))
    metadata = EmbeddingMetadata(
        title=draw(facts),
        description=draw(facts),
        author=draw(facts),
        recipe=draw(facts),
        steps=draw(st.none() | st.integers(0, 10**9)),
        extra={"pseudoword.x": draw(facts)},
    )
    return Embedding(
        draw(st.text(max_size=40)), {encoder: draw(tables(count, largest)) for encoder in encoders}, metadata
    )


def round_trip(word: Embedding, format: FileFormat, half: bool = False) -> Embedding:
    with tempfile.TemporaryDirectory() as folder:
        return load_embedding(save_embedding(word, Path(folder) / "file", format, half=half))


def bits(word: Embedding) -> dict[str, bytes]:
    return {encoder: tensor.numpy().tobytes() for encoder, tensor in word.vectors.items()}


@FEW
@given(embeddings(), st.sampled_from(["safetensors", "pt", "diffusers"]))
def test_every_embedding_comes_back_to_the_bit(word: Embedding, format: FileFormat) -> None:
    found = round_trip(word, format)
    assert bits(found) == bits(word)
    assert found.name == word.name or found.name in ("file", "emb_params")


@FEW
@given(embeddings(largest=65504), st.sampled_from(["safetensors", "pt", "diffusers"]))
def test_every_embedding_that_fits_comes_back_from_16_bits_as_torch_rounds_it(
    word: Embedding, format: FileFormat
) -> None:
    rounded = {encoder: tensor.half().float().numpy().tobytes() for encoder, tensor in word.vectors.items()}
    assert bits(round_trip(word, format, half=True)) == rounded


@FEW
@given(embeddings())
def test_facts_of_any_text_come_back(word: Embedding) -> None:
    found = round_trip(word, "safetensors").metadata
    given_ = word.metadata
    assert found.steps == given_.steps

    def whole(text: str) -> str:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    for ours, theirs in ((given_.description, found.description), (given_.author, found.author)):
        assert theirs == whole(ours)
    assert found.recipe == whole(given_.recipe) and found.extra["pseudoword.x"] == whole(given_.extra["pseudoword.x"])
    assert found.title == whole(given_.title or word.name)


@settings(max_examples=6, deadline=None)
@given(embeddings())
def test_every_embedding_comes_back_from_a_card(word: Embedding) -> None:
    assert bits(round_trip(word, "card")) == bits(word)


@FEW
@given(
    st.dictionaries(
        utf8.filter(lambda key: key != "__metadata__"),
        tables() | tables(largest=65504).map(torch.Tensor.half),
        min_size=1,
        max_size=4,
    ),
    st.dictionaries(utf8, utf8),
)
def test_the_safetensors_package_and_our_reader_agree_both_ways(
    tensors: dict[str, torch.Tensor], metadata: dict[str, str]
) -> None:
    for data in (write_safetensors(tensors, metadata), theirs_save(tensors, metadata)):
        ours, said = read_safetensors(data)
        theirs = theirs_load(data)
        assert ours.keys() == theirs.keys() == tensors.keys() and said == metadata
        for key, stored in ours.items():
            assert stored.read().reshape(stored.shape).numpy().tobytes() == theirs[key].numpy().tobytes()


@MANY
@given(st.binary(min_size=1, max_size=3000), st.integers(1, 40), st.integers(1, 40))
def test_what_is_hidden_in_a_picture_is_found_again(data: bytes, width: int, height: int) -> None:
    from PIL import Image

    found = find_hidden(hide(Image.new("RGB", (width, height), (9, 200, 31)), data))
    # A block whose column happens to be black cannot be read; zlib's output never is, and a card is 640 pixels high.
    if height > 8:
        assert found is not None and found.startswith(data)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**400), 2**400) | st.floats(allow_nan=False) | utf8,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(utf8, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=20,
)


@MANY
@given(plain, st.integers(2, 5))
def test_plain_values_are_unpickled_as_python_does(value: object, protocol: int) -> None:
    def never(*arguments: object) -> object:
        raise AssertionError

    data = b"in front" + pickle.dumps(value, protocol)
    assert read_pickle(data, 8, never, never) == (value, len(data))


# --- files that are not what they seem --------------------------------------------------------------------------------


def read_or_refuse(data: bytes) -> None:
    """Whatever a file holds: an embedding with finite vectors, or the one error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.bin"
        path.write_bytes(data)
        try:
            word = load_embedding(path)
        except EmbeddingFileError as error:
            assert str(error).startswith("fuzz.bin cannot be read as an embedding: ")
        else:
            assert all(bool(tensor.isfinite().all()) for tensor in word.vectors.values())


def honest_files() -> list[bytes]:
    files = []
    with tempfile.TemporaryDirectory() as folder:
        small = Embedding("w", {"clip_l": words.vectors(1, 8)}, EmbeddingMetadata(steps=3))
        for format in FORMATS:
            files.append(save_embedding(small, Path(folder) / "w", format).read_bytes())
        old = Path(folder) / "old.pt"
        torch.save({"string_to_param": {"*": small.vectors["clip_l"]}}, old, _use_new_zipfile_serialization=False)
        files.append(old.read_bytes())
        torch.save({"string_to_param": torch.nn.ParameterDict({"*": small.vectors["clip_l"]})}, old)
        files.append(old.read_bytes())
    return files


HONEST = honest_files()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(len(HONEST))), st.data())
def test_a_damaged_file_is_read_or_refused(index: int, data: st.DataObject) -> None:
    file = bytearray(HONEST[index])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=8))
    read_or_refuse(bytes(file))


@MANY
@given(
    st.sampled_from([b"", b"PK\3\4", b"\x89PNG\r\n\x1a\n", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"]),
    st.binary(max_size=200),
)
def test_any_bytes_are_refused(beginning: bytes, rest: bytes) -> None:
    read_or_refuse(beginning + rest)


CODES = [bytes([code]) for code in range(256)] + [b"ctorch\nSize\n", b"ccollections\nOrderedDict\n", b"cos\nsystem\n"]
CODES += [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nFloatStorage\n"]
CODES += [
    b"X\x07\0\0\0storage",
    b"X\x01\0\0\x000",
    b"K\x08",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"}",
    b"(",
    b"R",
]


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(CODES), max_size=40))
def test_any_pickle_program_is_refused_or_builds_plain_values(program: list[bytes]) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"".join(program) + b".")
        archive.writestr("archive/data/0", b"\0" * 32)
    read_or_refuse(written.getvalue())


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["w", "__metadata__", "dtype", "shape", "data_offsets", "TORCHTENSOR"]), inner
        )
    ),
    max_leaves=15,
)


@MANY
@given(st.dictionaries(st.sampled_from(["w", "clip_l", "clip_g", "__metadata__"]), json_like, max_size=3))
def test_any_safetensors_header_is_refused_or_true(header: dict[str, Any]) -> None:
    import json

    text = json.dumps(header).encode()
    read_or_refuse(struct.pack("<Q", len(text)) + text + b"\0" * 32)


@MANY
@given(json_like, st.sampled_from(["string_to_param", "w", "clip_l"]))
def test_any_json_in_a_picture_is_refused_or_true(content: object, key: str) -> None:
    import base64
    import json

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info, written = PngInfo(), io.BytesIO()
    info.add_text(
        "sd-ti-embedding", base64.b64encode(json.dumps({key: {"*": content}, "name": content}).encode()).decode()
    )
    Image.new("RGB", (4, 4)).save(written, "PNG", pnginfo=info)
    read_or_refuse(written.getvalue())
