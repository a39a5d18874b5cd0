"""The loop: every step is a function of (seed, step), so that resuming changes nothing."""

import copy

import pytest
import torch
from torch import nn

from eddpm.config import TrainingConfig
from eddpm.training.loop import Trainer, batch_indices, run_training

X0 = torch.linspace(-1, 1, 40).view(10, 1, 2, 2)
Y = torch.arange(10) % 2


def loss_fn(network, x0, y):
    noise = torch.randn_like(x0)
    return (network((x0 + 0.1 * noise).flatten(1)).squeeze(1) - y).square()


def make_trainer(**changes):
    torch.manual_seed(0)
    settings = {"iterations": 20, "batch_size": 4, "lr": 0.05, "ema_rate": 0.9, "save_interval": 5} | changes
    return Trainer(nn.Linear(4, 1), TrainingConfig(**settings))


def train(trainer, save=lambda: None):
    run_training(trainer, loss_fn, X0, Y, lambda network: {"weight": network.weight[0, 0].item()}, save)
    return trainer


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [5, 10, 15])
def test_killed_and_resumed_training_equals_uninterrupted_training(after):
    kept = {}

    def save():
        kept["state"] = copy.deepcopy(killed.state_dict())
        if killed.step == after:
            raise Killed

    killed = make_trainer()
    with pytest.raises(Killed):
        train(killed, save)
    resumed = make_trainer(seed=0)
    resumed.load_state_dict(kept["state"])
    assert resumed.step == after
    whole, resumed = train(make_trainer()), train(resumed)
    for name, value in whole.result.state_dict().items():
        assert torch.equal(value, resumed.result.state_dict()[name]), name
    assert whole.log == resumed.log


def test_the_log_has_a_row_per_interval_and_one_for_the_end():
    assert [row["step"] for row in train(make_trainer(iterations=12)).log] == [5, 10, 12]


def test_training_lowers_the_loss():
    log = train(make_trainer(iterations=200, save_interval=1)).log
    assert sum(row["loss"] for row in log[-20:]) < 0.7 * sum(row["loss"] for row in log[:20])


def test_learning_rate_falls_linearly_to_zero():
    trainer = make_trainer(iterations=10, save_interval=1)
    seen = []
    train(trainer, lambda: seen.append(trainer.optimiser.param_groups[0]["lr"]))
    assert seen == pytest.approx([0.05 * (1 - k / 10) for k in range(10)])


def test_the_result_is_the_moving_average():
    trainer = train(make_trainer())
    assert trainer.result is trainer.average.module
    assert not torch.equal(trainer.result.weight, trainer.network.weight)
    assert train(make_trainer(ema_rate=0.0)).result.weight.requires_grad


@pytest.mark.parametrize("ema_rate", [0.0, 0.9])
def test_what_is_evaluated_is_the_result_in_evaluation_mode(ema_rate):
    trainer, seen = make_trainer(ema_rate=ema_rate), []
    run_training(trainer, loss_fn, X0, Y, lambda network: seen.append((network, network.training)) or {}, lambda: None)
    assert {network for network, _ in seen} == {trainer.result}
    assert not any(training for _, training in seen)
    assert trainer.network.training or trainer.network is trainer.result


def test_moving_average_follows_its_recursion():
    trainer = make_trainer(iterations=3, save_interval=1)
    weights = []
    train(trainer, lambda: weights.append(trainer.network.weight.detach().clone()))
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(trainer.result.weight, expected)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_batches_pass_over_the_images_epoch_by_epoch(batch_size):
    steps = 60 // batch_size + 1
    seen = torch.cat([batch_indices(7, step, batch_size, 10) for step in range(steps)])
    assert len(seen) == steps * batch_size
    for epoch in range(len(seen) // 10):
        assert sorted(seen[10 * epoch : 10 * epoch + 10].tolist()) == list(range(10))
    assert not torch.equal(seen[:10], seen[10:20])
