"""Any bytes of a file from outside give a value, or one line that names the file.

Bytes are small valid files with changes, and files made from parts that do not go together. `FUZZ_EXAMPLES` is the
number of trials for each reader, by chance then; the usual ones are always the same and take some seconds. What was
found stands as cases in the tests of the readers.
"""

import io
import json
import os
import resource
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
from fuzz_files import READERS, pt, read_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import config_of, prepare, save_classes
from tiny import tiny_values
from zoo.weights import RIGHT

from eddpm.config.methods import RULES
from eddpm.errors import EddpmError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
SECONDS, MEMORY = 10, 2**29  # that a file of some kilobytes may take

TRIALS = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


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


PARAMETERS = st.sampled_from(sorted({name for rule in RULES.values() for name in rule.model_fields}))
METHODS = st.dictionaries(PARAMETERS, VALUES | st.lists(st.integers(0, 999), max_size=3), max_size=3).flatmap(
    lambda rule: st.sampled_from([*RULES, "entrpy", 3]).map(lambda name: {"rule": name, **rule})
)


MADE: dict[str, tuple[list[str], st.SearchStrategy[bytes]]] = {
    "arrays": (["npz of images", "npz", "numbers", "statistics", "features", "data set as npz"], arrays()),
    "JSON": (["JSON"], VALUES.map(lambda value: json.dumps(value).encode())),
    "YAML": (["settings", "project"], VALUES.map(lambda value: yaml.safe_dump(value).encode())),
    "methods": (
        ["project"],
        (VALUES | METHODS | st.lists(METHODS, max_size=3)).map(
            lambda method: yaml.safe_dump(tiny_values() | {"guidance": {"mine": method}}).encode()
        ),
    ),
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
