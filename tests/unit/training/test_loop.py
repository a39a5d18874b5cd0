"""The loop: every step is a function of (seed, step), so that microbatches and resuming change nothing."""

import os
import signal

import pytest
import torch
from loops import CPU, TIMESTEPS, assert_same, batches, evaluate, loss_fn, make_trainer, nothing, stored, train
from ranks import run_ranks, train_linear
from torch import nn

from eddpm.diffusion.images import to_float
from eddpm.diffusion.noise import draw
from eddpm.training.distributed import World, join_world
from eddpm.training.loop import Hooks, run_training

# What a step is ---------------------------------------------------------------------------------------------------


def test_a_step_is_adamw_on_the_mean_loss_of_its_own_rows():
    trainer = make_trainer(iterations=2, save_interval=1, ema_rate=0.0, weight_decay=0.1)
    network = nn.Linear(4, 1)
    network.load_state_dict(trainer.network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.05, weight_decay=0.1)
    wanted = []
    for step, (images, y) in enumerate(batches(0, trainer.config)):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 2)
        x0 = to_float(images)
        loss = loss_fn(network, x0, y, *draw(0, step, range(4), range(TIMESTEPS), x0)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        wanted.append(loss.item())
    log = train(trainer).log
    assert [row["loss"] for row in log] == pytest.approx(wanted, rel=1e-6)
    torch.testing.assert_close(trainer.network.weight, network.weight)


@pytest.mark.parametrize("microbatch", [1, 3])
def test_a_microbatch_bounds_what_the_network_sees_at_once_and_changes_nothing_but_rounding(microbatch):
    sizes = set()

    def watch(network, x0, *rest):
        sizes.add(len(x0))
        return loss_fn(network, x0, *rest)

    whole, parts = train(make_trainer()), train(make_trainer(), microbatch, loss_fn=watch)
    assert sizes == {1, microbatch}
    torch.testing.assert_close(parts.result.weight, whole.result.weight, rtol=1e-4, atol=1e-5)
    assert [row["loss"] for row in parts.log] == pytest.approx([row["loss"] for row in whole.log], rel=1e-4)


def test_dropout_depends_on_its_step_alone_where_the_layout_is_the_same():
    def network():
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    first = make_trainer(network(), ema_rate=0.0)
    second = make_trainer(network(), ema_rate=0.0)
    second.load_state_dict(stored(first))
    train(first)
    torch.manual_seed(7)
    assert_same(train(second), first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_that_of_the_network_and_not_of_its_weights_or_losses(dtype):
    seen = []

    def watch(network, x0, y, t, noise):
        output = network((x0 + 0.1 * noise).flatten(1)).squeeze(1)
        seen.append(output.dtype)
        return (output.float() - y).square()

    trainer = train(make_trainer(precision=str(dtype).removeprefix("torch.")), loss_fn=watch)
    assert set(seen) == {dtype}
    assert trainer.network.weight.dtype == torch.float32
    assert trainer.log[-1]["loss"] < trainer.log[0]["loss"]


def test_every_number_of_processes_makes_the_same_steps(tmp_path):
    assert run_ranks(1, train_linear, tmp_path, None) == [0]
    assert run_ranks(3, train_linear, tmp_path, 2) == [0] * 3
    alone, *shared = (torch.load(tmp_path / name) for name in ("0of1.pt", "0of3.pt", "1of3.pt", "2of3.pt"))
    for each in shared:
        torch.testing.assert_close(each["weights"], alone["weights"])
    losses = [[row["loss"] for row in each["log"]] for each in (alone, *shared)]
    assert losses[1] == pytest.approx(losses[0])
    assert losses[2:] == [[], []]  # one process keeps the log


@pytest.mark.parametrize("init_from", [None, "published.pt"])
def test_moving_average_follows_its_recursion_from_the_first_weights_that_were_trained(init_from):
    trainer = make_trainer(iterations=3, save_interval=1, init_from=init_from)
    seen = [trainer.network.weight.detach().clone()] if init_from else []
    train(trainer, save=lambda: seen.append(trainer.network.weight.detach().clone()))
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(trainer.result.weight, expected)


def test_the_log_has_a_row_per_interval_and_one_for_the_end():
    every = [row["loss"] for row in train(make_trainer(iterations=12, save_interval=1)).log]
    log = train(make_trainer(iterations=12)).log
    assert [row["step"] for row in log] == [5, 10, 12]
    means = [sum(part) / len(part) for part in (every[:5], every[5:10], every[10:])]
    assert [row["loss"] for row in log] == pytest.approx(means)


@pytest.mark.parametrize("ema_rate", [0.0, 0.9])
def test_what_is_evaluated_is_the_result_in_evaluation_mode(ema_rate):
    trainer, seen = make_trainer(ema_rate=ema_rate), []
    train(trainer, evaluate=lambda network: seen.append((network, network.training)) or {})
    assert seen == [(trainer.result, False)] * 4
    assert trainer.network.training


def test_pace_counts_images_and_waiting(monkeypatch):
    clock, seen, trainer = [0.0], [], make_trainer()
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def taking(seconds, result):
        clock[0] += seconds
        return result

    hooks = Hooks(lambda network: taking(100.0, {}), nothing, lambda row, measured: seen.append(measured))
    slow_batches = (taking(3.0, batch) for batch in batches(0, trainer.config))
    slow_loss = lambda *rest: taking(1.0, loss_fn(*rest))  # noqa: E731
    run_training(trainer, World(CPU), slow_loss, slow_batches, TIMESTEPS, hooks)
    assert len(seen) == 4
    for measured in seen:
        assert measured["images_per_second"] == pytest.approx(1.0)  # 4 images in 3 + 1 s, evaluation apart
        assert measured["waiting_for_data"] == pytest.approx(0.75)


# Its end before the end -------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("during", ["save", "evaluate"])
@pytest.mark.parametrize("after", [10, 20])
def test_killed_and_resumed_training_equals_uninterrupted_training(after, during, precision):
    kept, killed = {}, make_trainer(precision=precision)

    def steep_loss_fn(*rest):
        return 30 * loss_fn(*rest).float()  # whose gradients overflow in float16, until the scale has fallen

    def die(when):
        if (when, killed.step) == (during, after):
            raise Killed

    def save():
        kept.update(stored(killed))
        die("save")

    def evaluate_or_die(network):
        die("evaluate")
        return evaluate(network)

    with pytest.raises(Killed):
        train(killed, loss_fn=steep_loss_fn, save=save, evaluate=evaluate_or_die)
    resumed, whole = make_trainer(precision=precision), make_trainer(precision=precision)
    scale = whole.scaler.get_scale()
    resumed.load_state_dict(kept)
    assert resumed.step == after - 5 * (during == "evaluate")
    assert_same(train(resumed, loss_fn=steep_loss_fn), train(whole, loss_fn=steep_loss_fn))
    assert whole.scaler.get_scale() < scale or precision == "float32"


@pytest.mark.parametrize(
    ("where", "at", "kept_step"), [("loss", 0, 1), ("loss", 4, 5), ("loss", 19, 20), ("evaluate", 5, 6)]
)
def test_sigterm_ends_after_the_step_in_flight_and_the_rest_follows_later(where, at, kept_step):
    kept, stopped = {}, make_trainer()

    def loss_then_term(*rest):
        if where == "loss" and stopped.step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss_fn(*rest)

    def evaluate_then_term(network):
        if where == "evaluate" and stopped.step >= at:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(network)

    hooks = Hooks(evaluate_then_term, lambda: kept.update(stored(stopped)), nothing)
    with join_world() as world:
        source = batches(0, stopped.config)
        assert not run_training(stopped, world, loss_then_term, source, TIMESTEPS, hooks)
    assert kept["step"] == kept_step
    resumed = make_trainer()
    resumed.load_state_dict(kept)
    assert_same(train(resumed), train(make_trainer()))
