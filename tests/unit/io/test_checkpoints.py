"""The remedies that are named for files of weights work. tests/zoo has a row for each kind of file."""

import argparse
import shlex
import sys
import warnings
from pathlib import Path

import pytest
import torch
from refusals import refusal
from safetensors.torch import save_file
from torch import nn

from eddpm.io.files import load_checkpoint


def test_a_whole_checkpoint_may_be_named_as_the_only_one_of_its_parts(tmp_path):
    path = tmp_path / "model-00001-of-00001.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    assert load_checkpoint(path).keys() == {"weight"}


def save_torchscript(network: nn.Module, path: Path) -> None:
    torch.jit.trace(network, torch.ones(1, 2)).save(str(path))


@pytest.mark.parametrize(
    "save",
    [
        lambda network, path: torch.save({"model": network.state_dict(), "args": argparse.Namespace(lr=1)}, path),
        torch.save,
        save_torchscript,
    ],
    ids=["objects beside the tensors", "a network", "TorchScript"],
)
def test_the_command_that_is_named_saves_the_tensors_of_a_file_that_is_more(tmp_path, monkeypatch, save):
    path, network = tmp_path / "my model's.ckpt", nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(network, path)
        _, mark, command = refusal(load_checkpoint, path).partition(": python -c ")
        assert mark
        code, *arguments = shlex.split(command)
        monkeypatch.setattr(sys, "argv", ["-c", *arguments])
        exec(code, {})
    found = load_checkpoint(Path(arguments[1]))
    assert torch.equal(found.get("model", found)["weight"], network.weight)
