"""Trainings that diverge: nothing of them is saved, and the message names the step, the cause and what is kept."""

import os
import signal

import pytest
import torch
from loops import TIMESTEPS, batches, loss_fn, make_trainer, nothing, train
from ranks import diverge_together, run_ranks

from eddpm.errors import ConfigError
from eddpm.training.distributed import join_world
from eddpm.training.loop import Hooks, run_training


def moments(trainer):
    return trainer.optimiser.state[trainer.network.weight]


def diverged(trainer, loss_fn=loss_fn, **hooks):
    """The message of a training that diverges, and the steps whose state it has saved."""
    saved = []
    with pytest.raises(ConfigError) as caught:
        train(trainer, loss_fn=loss_fn, save=lambda: saved.append(trainer.step), **hooks)
    assert "\n" not in str(caught.value)
    return str(caught.value), saved


@pytest.mark.parametrize(
    ("precision", "way_out"),
    [("float32", "lower training.lr;"), ("float16", "lower training.lr, or take training.precision: bfloat16;")],
)
def test_a_loss_that_is_not_finite_ends_with_its_step_and_keeps_the_last_good_state(precision, way_out):
    steps = []

    def diverging(network, x0, *rest):
        steps.append(len(steps))
        return loss_fn(network, x0, *rest) * (float("nan") if len(steps) == 8 else 1)

    message, saved = diverged(make_trainer(precision=precision), diverging)
    kept = "the state of step 5, the last good one, is kept"
    assert message == f"training.lr: 0.05: the loss of step 8 is nan; {way_out} {kept}"
    assert saved == [5]


@pytest.mark.parametrize(
    ("changes", "cause"), [({}, "check network and loss"), ({"init_from": "a.pt"}, "check training.init_from and loss")]
)
def test_a_loss_that_is_not_finite_before_any_change_of_weights_is_not_laid_to_the_learning_rate(changes, cause):
    message, saved = diverged(make_trainer(**changes), lambda *rest: loss_fn(*rest) / 0)
    assert (
        message
        == f"training.lr: 0.05: the loss of step 1 is inf; {cause}, as the weights are those of the start; "
        + ("no state is kept")
    )
    assert saved == []


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        (lambda trainer: trainer.network.state_dict(), "network.weight"),
        (lambda trainer: trainer.average.state_dict(), "average.module.weight"),
        (lambda trainer: {"": moments(trainer)["exp_avg_sq"]}, "optimiser.state.0.exp_avg_sq"),
    ],
)
def test_a_state_that_is_not_finite_is_never_saved(part, cause):
    trainer = make_trainer()

    def spoil(network):
        if trainer.step == 10:
            tensors = part(trainer)
            tensors[next(key for key in tensors if tensors[key].ndim)].view(-1)[0] = float("nan")
        return {}

    message, saved = diverged(trainer, evaluate=spoil)
    assert f"{cause} is not finite after step 10; lower training.lr; the state of step 5, the last" in message
    assert saved == [5]


def test_a_measurement_that_is_not_finite_is_never_logged_or_saved():
    trainer, told = make_trainer(), []
    numbers = iter([{"a": 0.5, "levels": [{"b": 1.0}]}, {"a": 0.5, "levels": [{"b": 1.0}, {"b": float("nan")}]}])
    message, saved = diverged(
        trainer, evaluate=lambda network: next(numbers), report=lambda row, measured: told.append(row["step"])
    )
    assert "log.1.levels.1.b is not finite after step 10" in message
    assert (saved, told) == ([5], [5])


@pytest.mark.parametrize("answer", [1e30, float("nan"), float("-inf")])
def test_an_absurd_answer_in_the_evaluation_ends_it_at_once(answer):
    trainer = make_trainer()

    def evaluate(network):
        network.weight.data.zero_()
        network.bias.data.fill_(answer if trainer.step == 10 else 9000.0)
        network(torch.ones(3, 4))
        assert trainer.step < 10
        return {}

    message, saved = diverged(trainer, evaluate=evaluate)
    assert f"the network answers with numbers up to {abs(answer):.3g} after step 10; lower" in message
    assert saved == [5]


@pytest.mark.parametrize("ema_rate", [0.0, 0.9])
def test_sigterm_saves_no_diverged_state(ema_rate):
    trainer, saved = make_trainer(ema_rate=ema_rate, lr=1e20, save_interval=20), []

    def loss_then_term(*rest):
        os.kill(os.getpid(), signal.SIGTERM)
        return loss_fn(*rest)

    hooks = Hooks(nothing, lambda: saved.append(trainer.step), nothing)
    with (
        join_world() as world,
        pytest.raises(ConfigError, match=r"numbers up to .* after step 1; .*; no state is kept$"),
    ):
        run_training(trainer, world, loss_then_term, batches(0, trainer.config), TIMESTEPS, hooks)
    assert saved == []


def test_all_processes_end_together_where_a_training_diverges(tmp_path):
    assert run_ranks(2, diverge_together, tmp_path) == [2, 2]
    messages = [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)]
    assert "the network answers with numbers up to nan after step 1" in messages[0]
    assert messages[1] == "stops with the first process, which tells why"
