"""Files of weights are told by their content; the remedies that are named work. tests/zoo has a row for each kind."""

import argparse
import shlex
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from eddpm.errors import ArtifactError
from eddpm.io.files import load_checkpoint


def test_a_whole_checkpoint_may_be_named_as_the_only_one_of_its_parts(tmp_path):
    path = tmp_path / "model-00001-of-00001.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    assert load_checkpoint(path).keys() == {"weight"}


def run_named_command(path: Path, monkeypatch) -> Path:
    """Run the command that the refusal of `path` ends with, in this process; the file that it writes."""
    with pytest.raises(ArtifactError) as caught:
        load_checkpoint(path)
    _, mark, command = str(caught.value).partition(": python -c ")
    assert mark
    code, *arguments = shlex.split(command)
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, {})
    return Path(arguments[1])


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_command_that_is_named_saves_the_tensors_of_a_file_that_holds_objects(tmp_path, monkeypatch, wrapped):
    path, network = tmp_path / "my model's.ckpt", nn.Linear(2, 2)
    torch.save({"model": network.state_dict(), "args": argparse.Namespace(lr=1)} if wrapped else network, path)
    found = load_checkpoint(run_named_command(path, monkeypatch))
    found = found["model"] if wrapped else found
    assert torch.equal(found["weight"], network.weight)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_command_that_is_named_saves_the_tensors_of_a_torchscript_archive(tmp_path, monkeypatch):
    network = nn.Linear(2, 2)
    torch.jit.trace(network, torch.ones(1, 2)).save(str(tmp_path / "m.pt"))
    found = load_checkpoint(run_named_command(tmp_path / "m.pt", monkeypatch))
    assert torch.equal(found["weight"], network.weight)
