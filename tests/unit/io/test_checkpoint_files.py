"""Checkpoints in files: what is written reads back, and what is damaged or hostile is refused."""

import os
import pickle
import re
import resource
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from refusals import cut, refusal, refused_of_changed
from zoo.weights import ENCODER

from eddpm.io.files import load_checkpoint, save_model, save_training_state
from eddpm.models.build import build_classifier, load_weights_file

TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2, dtype=torch.float16)}


def save_legacy(path: Path, state: dict) -> None:
    """As torch saved before 1.6; some published weights are of that kind."""
    torch.save(state, path, _use_new_zipfile_serialization=False)


FORMATS = [save_model, save_training_state, save_legacy]


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m"])
def test_tensors_read_back_as_written_whatever_the_name(tmp_path, name, save):
    save(tmp_path / name, TENSORS)
    torch.testing.assert_close(load_checkpoint(tmp_path / name), TENSORS, rtol=0, atol=0)


def test_the_same_weights_give_the_same_bytes_whatever_their_layout_in_memory(tmp_path):
    save_model(tmp_path / "a", TENSORS)
    strided = {key: torch.stack([value, value], dim=-1)[..., 0] for key, value in TENSORS.items()}
    save_model(tmp_path / "b", strided)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", FORMATS)
def test_a_checkpoint_cut_short_anywhere_is_refused_and_with_a_changed_byte_refused_or_read(tmp_path, save):
    path = tmp_path / "m"
    save(path, TENSORS)
    for length in cut(path):
        message = refusal(load_checkpoint, path)
        cut_within_a_name = message.startswith("holds more than tensors")
        assert length < 64 or cut_within_a_name or message.endswith("; fetch or train it again")
    save(path, TENSORS)
    assert 10 < refused_of_changed(load_checkpoint, path, 150) < 150


class Malicious:
    """Runs code when it is unpickled: makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


@pytest.mark.parametrize("save", [save_training_state, save_legacy])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, save):
    save(tmp_path / "m.pt", {"layer.weight": Malicious(tmp_path / "trace")})
    message = refusal(load_checkpoint, tmp_path / "m.pt")
    assert re.match("holds more than tensors, an object of _?io.open; only if you trust", message)
    assert not (tmp_path / "trace").exists()
    with pickle.loads(pickle.dumps(Malicious(tmp_path / "trace"))):
        assert (tmp_path / "trace").exists()  # so it was malicious


def nested(depth: int) -> bytes:
    """A pickle of a mapping within a mapping, so often."""
    return b"\x80\x02" + b"}K\x01" * depth + b"}" + b"s" * depth + b"."


def with_pickle(path: Path, pickled: bytes) -> None:
    """A file as torch.save writes it, with another pickle inside."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else content)


def test_a_checkpoint_of_mappings_without_end_is_refused(tmp_path):
    network, path = build_classifier(ENCODER), tmp_path / "a.pt"
    within_itself: dict = {}
    within_itself["a"] = within_itself
    in_many = {"weight": torch.ones(1)}
    for _ in range(40):
        in_many = {"a": in_many, "b": in_many}
    for content in (nested(10**6), pickle.dumps(within_itself, 2), nested(100)):
        with_pickle(path, content)
        assert refusal(lambda path: load_weights_file(network, path), path).startswith("holds mappings within mappings")
    torch.save(in_many, path)
    assert refusal(lambda path: load_weights_file(network, path), path).startswith("holds mappings within mappings")


def test_a_checkpoint_that_holds_a_name_twice_is_refused_with_the_name(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pt")
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr("a/data.pkl", nested(1))
    assert refusal(load_checkpoint, tmp_path / "a.pt").startswith(
        "holds a/data.pkl 2 times, of which only one can count"
    )


OVERLAPPING = (
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}'
)


@pytest.mark.parametrize(
    ("header", "length", "reason"),
    [
        (b'{"a": ', 90_000_000, "has a header of 90,000,000 bytes, more than the names of weights need"),
        (b"{not JSON}", None, "not a readable checkpoint ("),
        (b"{" * 200, None, "not a readable checkpoint ("),
        (b"{}", 2**20, "not a readable checkpoint ("),
        (OVERLAPPING, None, "not a readable checkpoint ("),
        (b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}', None, "not a readable"),
    ],
    ids=["90 MB", "no JSON", "brackets", "beyond the end", "overlapping", "more than there is"],
)
def test_a_header_of_safetensors_that_lies_is_refused_in_little_memory(tmp_path, header, length, reason):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length or len(header)) + header + bytes(16))
    if (length or 0) > 2**20:
        os.truncate(path, length + 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(load_checkpoint, path).startswith(reason)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes
