"""A training loop small enough for tests: a linear network on ten images."""

import io

import torch
from torch import nn

from eddpm.config.schema import TrainingConfig
from eddpm.training.distributed import World
from eddpm.training.loop import Hooks, Trainer, run_training

CPU = torch.device("cpu")
IMAGES = torch.arange(40, dtype=torch.uint8).mul(6).view(10, 2, 2, 1)
LABELS = torch.arange(10) % 2
TIMESTEPS = 7


def batches(first, config):
    for step in range(first, config.iterations):
        index = torch.arange(step * config.batch_size, (step + 1) * config.batch_size) % 10
        yield IMAGES[index], LABELS[index]


def loss_fn(network, x0, y, t, noise):
    return (network((x0 + 0.02 * t.view(-1, 1, 1, 1) * noise).flatten(1)).squeeze(1) - y).square()


def make_trainer(network=None, **changes):
    torch.manual_seed(0)
    settings = {"iterations": 20, "batch_size": 4, "lr": 0.05, "ema_rate": 0.9, "save_interval": 5} | changes
    return Trainer(network or nn.Linear(4, 1), TrainingConfig(**settings))


def nothing(*_):
    return {}


def train(trainer, microbatch=None, world=None, loss_fn=loss_fn, **hooks):
    hooks = Hooks(**{"evaluate": evaluate, "save": nothing, "report": nothing} | hooks)
    source = batches(trainer.step, trainer.config)
    run_training(trainer, world or World(CPU), loss_fn, source, TIMESTEPS, hooks, microbatch)
    return trainer


def evaluate(network):
    return {"weight": next(network.parameters()).flatten()[0].item()}


def stored(trainer):
    """Its state as it comes back from disk."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_same(trainer, other):
    assert trainer.log == other.log
    theirs = other.result.state_dict()
    for name, value in trainer.result.state_dict().items():
        assert torch.equal(value, theirs[name]), name
