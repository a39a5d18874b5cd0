"""Whatever the bytes of a file from outside are, a reader gives a value, or refuses the file by name, in one line.

Bytes are small valid files with changes, and files made from parts that do not go together. `FUZZ_EXAMPLES` is the
number of trials for each reader; the usual one takes a few seconds. What was found once stands in CASES.
"""

import contextlib
import hashlib
import io
import json
import os
import resource
import shutil
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import config_of, pack, prepare, random_picture, save, save_classes
from PIL import Image
from safetensors.torch import save as to_safetensors
from tiny import REPO, tiny_project, tiny_values
from zoo.weights import ENCODER, RIGHT

import eddpm
from eddpm.config.frozen import frozen_text
from eddpm.config.projectfile import load_project
from eddpm.config.schema import TrainClassifierConfig
from eddpm.config.settings import load_settings, read_yaml
from eddpm.data.imagesets import open_images
from eddpm.data.sources import Unreadable, open_source
from eddpm.data.store import Store
from eddpm.errors import EddpmError
from eddpm.evaluation.features import Extractor, Features
from eddpm.evaluation.inception import load_inception
from eddpm.io.arrays import image_numbers, map_array, read_npz
from eddpm.io.files import read_json
from eddpm.models.build import build_classifier, load_weights_file
from eddpm.models.trained import save_trained
from eddpm.reporting.published import read_published
from eddpm.stages.features import read_features
from eddpm.stages.references import ReferenceFile

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
SECONDS, MEMORY = 10, 2**29  # that a file of some kilobytes may take

TRIALS = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Readers ----------------------------------------------------------------------------------------------------------

SPACE = Extractor(
    "tiny", {"of": "tests"}, lambda images: Features(images.reshape(len(images), -1)[:, :3] / np.float32(1))
)
IMAGES = random_picture(8, 24).reshape(8, 8, 3, 3)


def read_images(path: Path) -> None:
    images = open_images(path)
    assert sum(map(len, images.batches(3))) == len(images)
    assert images.labels is None or len(images.labels) == len(images)


def read_source(path: Path) -> None:
    source = open_source(str(path), 2)
    for entry in source.entries:
        with contextlib.suppress(Unreadable):
            source.read(entry, 3)


def read_picture(path: Path) -> None:
    """The file as an image in a folder."""
    folder = path.parent / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path.replace(folder / path.name)
    read_images(folder)


def read_store(path: Path) -> None:
    store = Store(path, "train")
    assert store.read(np.arange(len(store))).shape == (len(store), *store.shape)


def read_weights(path: Path) -> None:
    load_weights_file(build_classifier(ENCODER), path)


def read_table(path: Path) -> None:
    load_project(tiny_values() | {"runs": str(path)}, "project")


def read_torchscript(path: Path) -> None:
    load_inception(path, hashlib.sha256(path.read_bytes()).hexdigest())


# Small valid files ------------------------------------------------------------------------------------------------


def npz(save_as: Callable = np.savez, **arrays: np.ndarray) -> bytes:
    data = io.BytesIO()
    save_as(data, **arrays)
    return data.getvalue()


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def pt(value: object, **options) -> bytes:
    data = io.BytesIO()
    torch.save(value, data, **options)
    return data.getvalue()


def image(kind: str, mode: str = "RGB", **options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(random_picture(16, 16)).convert(mode).save(data, kind, **options)
    return data.getvalue()


def zipped(folder: Path) -> bytes:
    for name in ("cats/a.png", "cats/b.gif", "dogs/c.bmp", "dogs/d.png"):
        save(folder / "images" / name, random_picture(8, 8))
    (folder / "images/dogs/d.png").rename(folder / "images/dogs/no suffix")
    return pack(folder / "images", folder / "images.zip").read_bytes()


def trained(folder: Path) -> bytes:
    config = tiny_project().train_classifier("ce")
    save_trained(folder / "model.safetensors", build_classifier(config.network).state_dict(), config)
    return (folder / "model.safetensors").read_bytes()


def torchscript() -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), data)
    return data.getvalue()


RUNS = str(REPO / "config/digits/runs.tsv")
REFERENCE = {
    "arr_0": IMAGES,
    "features": np.ones((8, 3), np.float32),
    "mu": np.zeros(3),
    "sigma": np.eye(3),
    "extractor": np.array(json.dumps(SPACE.identity)),
}
FEATURES = {"extractors": np.array(json.dumps({"tiny": SPACE.identity})), "tiny/pooled": np.ones((8, 3), np.float32)}
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (16, 16))]}

# reader -> the file's name, what reads it, and the files that are changed
READERS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], list[bytes]]]] = {
    "npz of images": (
        "a.npz",
        read_images,
        lambda _: [npz(arr_0=IMAGES, arr_1=np.arange(8)), npz(x=random_picture(8, 72, 1).reshape(8, 8, 9))],
    ),
    "npz": ("a.npz", read_npz, lambda _: [npz(np.savez_compressed, index=np.arange(4), identity=np.array("word"))]),
    "numbers": ("a.npz", image_numbers, lambda _: [npz(index=np.arange(4), identity=np.array("word"))]),
    "npy of images": ("a.npy", read_images, lambda _: [npy(IMAGES)]),
    "mapped npy": ("a.npy", lambda path: map_array(path, "remedy"), lambda _: [npy(IMAGES)]),
    "statistics": ("a.npz", lambda path: ReferenceFile(path).in_space(SPACE), lambda _: [npz(**REFERENCE)]),
    "features": ("a.npz", lambda path: read_features([path], [SPACE], 8, True), lambda _: [npz(**FEATURES)]),
    "data set as npz": ("a.npz", read_source, lambda _: [npz(arr_0=IMAGES, arr_1=np.arange(8) % 2)]),
    "data set as zip": ("a.zip", read_source, lambda folder: [zipped(folder)]),
    "samples as zip": ("a.zip", read_images, lambda folder: [zipped(folder)]),
    **{
        f"image as {kind}": (f"a.{kind.lower()}", read_picture, lambda _, made=made: made)
        for kind, made in {
            "PNG": [image("PNG"), image("PNG", "P"), image("PNG", **FRAMES)],
            "JPEG": [image("JPEG"), image("MPO", **FRAMES)],
            "TIFF": [image("TIFF", compression=how) for how in (None, "tiff_lzw", "jpeg", "tiff_deflate")],
            "GIF": [image("GIF", **FRAMES)],
            "BMP": [image("BMP")],
            "WEBP": [image("WEBP"), image("WEBP", lossless=True)],
            "PPM": [image("PPM"), b"P3 2 1 255 1 2 3 4 5 6\n"],
            "PCX": [image("PCX")],
            "SGI": [image("SGI")],
            "TGA": [image("TGA"), image("TGA", compression="tga_rle")],
            "ICO": [image("ICO", sizes=[(16, 16)])],
            "JP2": [image("JPEG2000")],
        }.items()
    },
    "settings": (
        "settings.yaml",
        lambda path: load_settings(TrainClassifierConfig, path),
        lambda _: [frozen_text(tiny_project().train_classifier("ect")).encode()],
    ),
    "project": (
        "config.yaml",
        lambda path: load_project(read_yaml(path) | {"runs": RUNS}, str(path)),  # else it may name another file
        lambda _: [yaml.safe_dump(tiny_values()).encode()],
    ),
    "runs": ("runs.tsv", read_table, lambda _: [(REPO / "config/digits/runs.tsv").read_bytes()]),
    "published": ("p.tsv", read_published, lambda _: [(REPO / "config/imagenet128/published.tsv").read_bytes()]),
    "JSON": ("a.json", read_json, lambda _: [b'{"a": [1, 2.5, null, "b"], "c": {"d": true}}']),
    "safetensors": ("a.safetensors", read_weights, lambda _: [to_safetensors(RIGHT)]),
    "trained network": ("model.safetensors", eddpm.load, lambda folder: [trained(folder)]),
    "checkpoint": (
        "a.pt",
        read_weights,
        lambda _: [pt({"ema": RIGHT, "step": 3}), pt(RIGHT, _use_new_zipfile_serialization=False)],
    ),
    "TorchScript": ("a.pt", read_torchscript, lambda _: [torchscript()]),
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Callable[[str], list[bytes]]:
    made: dict[str, list[bytes]] = {}

    def of_reader(name: str) -> list[bytes]:
        if name not in made:
            made[name] = READERS[name][2](tmp_path_factory.mktemp("seeds"))
        return made[name]

    return of_reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# The property -----------------------------------------------------------------------------------------------------


def try_to_read(read: Callable[[Path], object], path: Path, data: bytes, named: str = "") -> str | None:
    """The refusal, if the file is refused. Fails where the reader does anything but that, or to give a value."""
    path.write_bytes(data)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    said = None
    try:
        with warnings.catch_warnings(action="ignore"):
            read(path)
    except EddpmError as error:
        said = str(error)
        assert len(said.splitlines()) == 1, said
        assert (named or path.name) in said
        assert len(said) < 4000
    assert time.process_time() - start < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    return said


# Changes ----------------------------------------------------------------------------------------------------------

ODD = [
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\0" * 4,
    b"\0\0\0\x80",
    b"\n",
    b"\0",
    b"-1",
    b"1e999",
    b"{[",
    b"\t",
    b"&a *a",
]


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with bytes turned, cut, doubled, moved, or put in; often near its ends, where headers are."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        size = len(data)
        where = st.one_of(st.integers(0, min(size, 200)), st.integers(max(0, size - 200), size), st.integers(0, size))
        first, second = sorted((draw(where), draw(where)))
        match draw(st.sampled_from(["turn", "turn", "put", "insert", "cut", "drop", "copy"])):
            case "turn" if first < size:
                data[first] ^= 1 << draw(st.integers(0, 7))
            case "put":
                odd = draw(st.sampled_from(ODD))
                data[first : first + len(odd)] = odd
            case "insert":
                data[first:first] = draw(st.one_of(st.sampled_from(ODD), st.binary(max_size=20)))
            case "cut":
                del data[second:]
            case "drop":
                del data[first : min(second, first + 50)]
            case "copy":
                data[second:second] = data[first : first + 200]
    return bytes(data)


@st.composite
def changed_inside(draw: st.DrawFn, whole: bytes) -> bytes:
    """A zip whose entries are changed and packed anew, so that its checksums hold."""
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(data, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        chosen = draw(st.sampled_from(old.namelist()))
        for name in old.namelist():
            content = old.read(name)
            renamed = draw(st.sampled_from([name] * 9 + [name.upper(), "a\nb.npy", f"../{name}", "x"]))
            new.writestr(renamed, draw(changed(content)) if name == chosen else content)
    return data.getvalue()


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused_by_name_in_one_line(name, seeds, folder):
    file, read, _ = READERS[name]
    wholes = seeds(name)
    for whole in wholes:
        assert try_to_read(read, folder / file, whole) is None or name in ("TorchScript", "published")
    strategies = [changed(whole) for whole in wholes]
    strategies += [changed_inside(whole) for whole in wholes if whole.startswith(b"PK")]

    @TRIALS
    @given(st.one_of(strategies))
    def trial(data: bytes) -> None:
        try_to_read(read, folder / file, data)

    trial()


# Files made of parts ----------------------------------------------------------------------------------------------

LENGTHS = st.one_of(st.integers(-2, 9), st.sampled_from([2**31, 2**63, 10**12, 10**30]))
TYPES = st.sampled_from(["|u1", "<i8", "<f4", ">f8", "|b1", "|O", "<U3", "|S0", "|V0", "<c8", "<M8[s]", [("a", "|u1")]])


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """An npz of arrays whose headers say anything, under the names that readers look for."""
    data = io.BytesIO()
    names = st.sampled_from(
        ["arr_0", "arr_1", "mu", "sigma", "features", "extractor", "extractors", "index", "tiny/pooled"]
    )
    with zipfile.ZipFile(data, "w", draw(st.sampled_from([0, 8]))) as archive:
        for name in draw(st.lists(names, unique=True, min_size=1)):
            shape, order = tuple(draw(st.lists(LENGTHS, max_size=5))), draw(st.booleans())
            header = repr({"descr": draw(TYPES), "fortran_order": order, "shape": shape}).encode() + b"\n"
            fitting = int(np.prod([length for length in shape if 0 <= length < 10], dtype=np.int64))
            content = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
            archive.writestr(f"{name}.npy", content + bytes(draw(st.sampled_from([0, fitting, 8 * fitting]))))
    return data.getvalue()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@st.composite
def safetensors(draw: st.DrawFn) -> bytes:
    """A header that says anything of the weights of a network, before some bytes."""
    header: dict[str, object] = {}
    for key in draw(st.lists(st.sampled_from(list(RIGHT)), unique=True)):
        kind = draw(st.sampled_from(["F32", "F16", "F64", "I8", "F8_E4M3", "BOOL", "Q4"]))
        offsets = draw(st.lists(st.integers(-1, 2**40) | st.integers(0, 64), min_size=1, max_size=3))
        header[key] = {"dtype": kind, "shape": draw(st.lists(LENGTHS, max_size=4)), "data_offsets": offsets}
    header |= draw(st.dictionaries(st.sampled_from(["__metadata__", "x", ""]), VALUES, max_size=2))
    text = json.dumps(header).encode()
    return struct.pack("<Q", draw(st.sampled_from([len(text), len(text) + 1, 2**63]))) + text + bytes(64)


TENSORS = st.sampled_from(
    [
        torch.ones(3),
        torch.ones(3, dtype=torch.int8),
        torch.ones(3).to(torch.float8_e4m3fn),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, 3).to_sparse(),
        torch.ones(3, device="meta"),
        torch.ones(1).expand(10**9),
        torch.tensor(torch.nan),
    ]
)
STATES = st.recursive(
    TENSORS | st.none() | st.text(max_size=3) | st.integers(),
    lambda inner: st.dictionaries(
        st.sampled_from([*list(RIGHT)[:4], "ema", "param_groups", "", 3, None]), inner, max_size=4
    ),
    max_leaves=8,
)


@st.composite
def described(draw: st.DrawFn, record: dict) -> bytes:
    """A description of a prepared data set with another value at a place."""
    places = [(record, key) for key in record] + [(record["parts"]["train"], key) for key in record["parts"]["train"]]
    places += [(shard, key) for shard in record["parts"]["train"]["shards"] for key in shard]
    place, key = draw(st.sampled_from(places))
    before, place[key] = place[key], draw(VALUES | LENGTHS | st.lists(LENGTHS))
    text = json.dumps(record)
    place[key] = before
    return text.encode()


MADE: dict[str, tuple[list[str], st.SearchStrategy[bytes]]] = {
    "arrays": (["npz of images", "npz", "numbers", "statistics", "features", "data set as npz"], arrays()),
    "JSON": (["JSON"], VALUES.map(lambda value: json.dumps(value).encode())),
    "YAML": (["settings", "project"], VALUES.map(lambda value: yaml.safe_dump(value).encode())),
    "tables": (
        ["runs", "published"],
        st.lists(st.lists(st.text(max_size=9)), max_size=4).map(
            lambda rows: "\n".join(map("\t".join, rows)).encode("utf-8", "surrogatepass")
        ),
    ),
    "safetensors": (["safetensors", "trained network"], safetensors()),
    "checkpoints": (["checkpoint"], STATES.map(pt)),
}


@pytest.mark.parametrize(("made", "name"), [(made, name) for made, (names, _) in MADE.items() for name in names])
def test_files_of_parts_that_do_not_go_together_are_read_or_refused(made, name, folder):
    file, read, _ = READERS[name]

    @TRIALS
    @given(MADE[made][1])
    def trial(data: bytes) -> None:
        try_to_read(read, folder / file, data)

    trial()


@pytest.mark.parametrize("made", ["changes", "parts"])
def test_a_description_of_a_prepared_data_set_that_is_wrong_is_read_or_refused(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    dataset = prepare(folder, config_of(save_classes(folder / "images", {"cats": 3, "dogs": 3})))
    whole = dataset.read_bytes()
    strategy = changed(whole) if made == "changes" else described(json.loads(whole))

    @TRIALS
    @given(strategy)
    def trial(data: bytes) -> None:
        try_to_read(read_store, dataset, data, str(folder))  # it may be a shard that is not as described

    trial()
