"""A world of one, and of several."""

import os
import signal
import socket
from datetime import timedelta

import numpy as np
import pytest
import torch
from ranks import run_ranks, tell_what_is_seen
from torch import nn

from eddpm.errors import ConfigError
from eddpm.training import distributed
from eddpm.training.distributed import World, join_world

CPU = torch.device("cpu")


def test_rows_are_those_of_array_split_and_more_processes_than_images_are_refused():
    for batch_size, size in ((7, 3), (3, 3), (10, 4), (5, 1)):
        rows = [World(CPU, rank, size).rows(batch_size) for rank in range(size)]
        assert [list(each) for each in rows] == [part.tolist() for part in np.array_split(np.arange(batch_size), size)]
    with pytest.raises(ConfigError, match=r"training\.batch_size: 3 images are too few for 4 processes; .*"):
        World(CPU, 0, 4).rows(3)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="torchrun: 3 processes for 2 GPUs"), join_world():
        pass


COMPLETE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


def set_variables(monkeypatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "gone", "MASTER_PORT": "1"},
        {"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": ""},
        {"SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NTASKS": "8"},  # of an srun, whose shell this is
    ],
    ids=["none", "of one process", "empty", "Slurm's"],
)
def test_variables_that_speak_of_no_other_process_leave_a_world_of_one(monkeypatch, variables):
    set_variables(monkeypatch, variables)
    before = signal.getsignal(signal.SIGTERM)
    network, values = nn.Linear(2, 1), torch.tensor([1.0, 2.0])
    with join_world() as world:
        assert (world.rank, world.size, world.local_size, world.leads) == (0, 1, 1, True)
        assert world.parallel(network) is network
        assert (world.sum(values).tolist(), world.max(-3)) == ([1, 2], -3)
        assert not world.terminated()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert world.terminated()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "variables",
    [
        {"RANK": "1"},  # which would train, and write nothing
        {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
        {"RANK": "one"},
        COMPLETE,
        {**COMPLETE, "MASTER_PORT": "many"},
    ],
    ids=" ".join,
)
def test_variables_that_are_incomplete_or_contradict_each_other_are_refused_in_one_line(monkeypatch, variables):
    set_variables(monkeypatch, variables)
    with pytest.raises(ConfigError) as caught, join_world():
        pass
    given = " ".join(f"{name}={value}" for name, value in variables.items())
    assert str(caught.value).startswith(f"environment: {given}, which are incomplete, or contradict each other; start")


def test_processes_that_never_come_are_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # nor a machine with one GPU for two
    monkeypatch.setattr(distributed, "PATIENCE", timedelta(seconds=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        set_variables(monkeypatch, {**COMPLETE, "MASTER_PORT": str(free.getsockname()[1])})
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConfigError, match=r"^environment: RANK=0 .*, but 2 processes do not meet in"), join_world():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_processes_agree(tmp_path):
    assert run_ranks(2, tell_what_is_seen, tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert (first.pop("leads"), second.pop("leads")) == (True, False)
    assert (first.pop("rows"), second.pop("rows")) == ([0, 1], [2])
    assert (first.pop("local gradient"), second.pop("local gradient")) == (1, 2)
    # The mean over processes of 1 + 0 and 2 + 2; SIGTERM to one is known to both.
    assert first == second == {"gradient": 2.5, "sum": [2.0, 1.0], "max": 1, "terminated": (False, True)}
