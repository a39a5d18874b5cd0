"""Training stages: what they leave behind, and that a kill in the middle changes nothing."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import room_for
from ranks import run_ranks, train_until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import arguments, changed, equal, result

import eddpm
from eddpm.config.schema import ClassifierLossConfig
from eddpm.diffusion.schedule import make_schedule
from eddpm.errors import ArtifactError, EddpmError
from eddpm.io.files import load_checkpoint, save_model
from eddpm.models.build import build_classifier
from eddpm.stages import train as stage


def scalars(folder):
    """TensorBoard's curves: {tag: [(step, value), ...]}."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


# What is left behind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "network"), [("uadm", {}), ("cadm", {"learn_sigma": True})])
def test_denoiser_is_written_whole(tiny, run, tmp_path, name, network):
    config = changed(tiny.project.train_denoiser(name), network)
    weights, log = run(name, config=config)
    network = eddpm.load(tmp_path / "out/model.safetensors")
    assert (network.config, network.diffusion) == (config.network, config.diffusion)
    assert equal(network.state_dict(), weights)
    assert [row["step"] for row in log] == [2, 3]
    assert all(np.isfinite(row["validation_loss"]) for row in log)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"events", "log.jsonl", "model.safetensors", "settings.yaml"}


def test_noise_aware_classifier_tells_of_each_noise_level(run, tmp_path, capsys):
    _, log = run("ce")
    levels = log[-1]["noise_levels"]
    assert [(level["t_from"], level["t_to"]) for level in levels] == [(100 * k, 100 * k + 100) for k in range(10)]
    assert log[-1]["accuracy"] == pytest.approx(np.mean([level["accuracy"] for level in levels]))
    curves = scalars(tmp_path / "out/events")
    for row in range(2):
        assert curves["loss"][row] == (log[row]["step"], pytest.approx(log[row]["loss"]))
        assert curves["ece/t_900_to_1000"][row][1] == pytest.approx(log[row]["noise_levels"][9]["ece"])
    assert {"accuracy", "lr", "images_per_second", "waiting_for_data"} < curves.keys()
    of_levels = {tag.partition("/")[0] for tag in curves if "/t_" in tag}
    assert of_levels == {"accuracy", "confidence", "entropy", "ece", "gradient_norm"}
    assert "step 3: loss" in capsys.readouterr().err


@pytest.mark.parametrize("noised", [True, False])
def test_classifier_sees_the_noise_that_its_loss_knows_of(tiny, noised):
    loss = ClassifierLossConfig(ect_weight=0.5, ect_weighting="snr")
    config = tiny.project.train_classifier("ect").model_copy(update={"noised": noised, "loss": loss})
    schedule, t, y = make_schedule("linear"), torch.tensor([0, 300, 999]), torch.tensor([1, 0, 2])
    x0, noise = torch.randn(2, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    seen = []
    task = stage.ClassifierTask(config, schedule)
    found = task.loss(lambda x, t: seen.append((x, t)) or x.flatten(1), x0, y, t, noise)

    alpha_bar = schedule.alpha_bar[t].float() if noised else torch.ones(3)
    scale, spread = (part.view(-1, 1, 1, 1) for part in (alpha_bar.sqrt(), (1 - alpha_bar).sqrt()))
    x_t = scale * x0 + spread * noise
    torch.testing.assert_close(seen, [(x_t, t if noised else torch.zeros(3, dtype=torch.long))])
    log_p = x_t.flatten(1).log_softmax(-1)
    constraint = math.log(4) + (log_p.exp() * log_p).sum(-1)
    torch.testing.assert_close(found, -log_p[torch.arange(3), y] + 0.5 * alpha_bar * constraint)


# Where it starts from ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ema_rate", [0.0, 0.999])
def test_training_starts_from_a_given_checkpoint(tiny, run, tmp_path, ema_rate):
    published, start = tmp_path / "published.pt", load_checkpoint(tiny.weights["ce"])
    torch.save(start, published)
    config = changed(tiny.project.train_classifier("ce"), lr=1e-9, init_from=str(published), ema_rate=ema_rate)
    weights, _ = run("ce", config=config, init_from=published)
    for name, value in start.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("network", "options", "told"),
    [
        ({}, {"init_from": "a.pt"}, r"settings\.yaml: training\.init_from.* to both or to neither"),
        ({}, {"microbatch": 0}, "--microbatch: value 0"),
        ({"image_size": 16}, {}, r"dataset\.json: images are.*prepare"),
        ({"num_classes": 5}, {}, r"dataset\.json: has 10 classes.*prepare"),
    ],
)
def test_options_and_images_that_do_not_fit_the_settings_are_refused(tiny, run, network, options, told):
    with pytest.raises(EddpmError, match=told):
        run("ce", config=changed(tiny.project.train_classifier("ce"), network), **options)


# When it is killed ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's
@pytest.mark.parametrize("file", ["unfinished.pt", "events"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tiny, tmp_path, monkeypatch, file):
    verb, options = arguments(tiny, tmp_path / "out", "ce")
    if file == "events":
        monkeypatch.setattr(stage, "save_training_state", lambda *_: None)
    told = rf"/out/{file}: cannot be written \(File too large\); [^\n]+$"
    with room_for(1000), pytest.raises(ArtifactError, match=told):
        getattr(stage, verb)(**options)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"settings.yaml", "events"}


@pytest.mark.parametrize("after", ["save_training_state", "_report"])
def test_killed_training_goes_on_to_the_same_weights(run, run_killed, tmp_path, after):
    whole, log = run("uadm", "whole")

    run_killed("uadm", "killed", after=after)
    assert not (tmp_path / "killed/model.safetensors").exists()
    time.sleep(1)  # TensorBoard reads files of events in the order of their names, which have whole seconds
    resumed, resumed_log = run("uadm", "killed")
    assert equal(resumed, whole)
    assert resumed_log == log
    assert not (tmp_path / "killed/unfinished.pt").exists()
    curves, resumed_curves = (scalars(tmp_path / folder / "events") for folder in ("whole", "killed"))
    assert resumed_curves["loss"] == curves["loss"]


def test_processes_that_see_different_states_do_not_start(run, monkeypatch):
    monkeypatch.setattr(stage.World, "max", lambda world, value: value + 1)
    with pytest.raises(ArtifactError, match=r"unfinished\.pt: not seen by every process"):
        run("ce")


# Many processes ---------------------------------------------------------------------------------------------------

TESTS = Path(__file__).parents[2]
# Images that two processes do not share evenly.
SHARED = {"iterations": 9, "batch_size": 7, "save_interval": 3, "init_from": "weights", "ema_rate": 0.9}


def shared(tiny, folder, **options):
    """The arguments of a training by processes of their own, from weights without zeros."""
    # Adam makes whole steps of the rounding of gradients that are 0: of what norms of one channel remove, or of zeros
    # in the next layer. So this network has neither.
    config = changed(tiny.project.train_classifier("ce"), {"classifier_width": 64}, **SHARED)
    torch.manual_seed(0)
    network = build_classifier(config.network)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    save_model(folder / "start.safetensors", network.state_dict())
    return arguments(tiny, folder, "ce", config, init_from=folder / "start.safetensors", **options)


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    """Weights and log of one process without a stop."""
    verb, options = shared(tiny, tmp_path_factory.mktemp("uninterrupted"))
    assert run_ranks(1, train_until, None, verb, options) == [0]
    return result(options)


def assert_close(found, wanted):
    """The same loss curve and weights, but for rounding."""
    (weights, log), (wanted_weights, wanted_log) = found, wanted
    for name, value in wanted_weights.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=5e-5)
    assert [row["step"] for row in log] == [row["step"] for row in wanted_log]
    assert [row["loss"] for row in log] == pytest.approx([row["loss"] for row in wanted_log], rel=1e-5)


def test_two_processes_learn_what_one_does(tiny, uninterrupted, tmp_path):
    verb, options = shared(tiny, tmp_path, microbatch=3)
    assert run_ranks(2, train_until, None, verb, options) == [0, 0]
    assert_close(result(options), uninterrupted)


def test_training_killed_and_stopped_at_random_steps_equals_uninterrupted_training(tiny, uninterrupted, tmp_path):
    verb, options = shared(tiny, tmp_path)
    killed, stopped = random.randrange(3, 6), random.randrange(6, 9)
    steps = f"killed in step {killed + 1}, stopped in step {stopped + 1}"
    assert run_ranks(1, train_until, (signal.SIGKILL, killed), verb, options) == [-signal.SIGKILL], steps
    assert run_ranks(1, train_until, (signal.SIGTERM, stopped), verb, options) == [128 + signal.SIGTERM], steps
    assert load_checkpoint(tmp_path / "unfinished.pt")["trainer"]["step"] == stopped + 1, steps
    assert run_ranks(1, train_until, None, verb, options) == [0], steps
    (weights, log), (wanted_weights, wanted_log) = result(options), uninterrupted
    assert equal(weights, wanted_weights), steps
    assert log == wanted_log, steps


def test_torchrun_stops_its_processes_together_and_one_process_can_go_on(tiny, uninterrupted, tmp_path):
    verb, options = shared(tiny, tmp_path, microbatch=3)
    train = f"from pathlib import *; from ranks import *; train_under_torchrun(4, {verb!r}, {options!r})"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    done = subprocess.run(
        [*torchrun, sys.executable, "-c", train],
        env=os.environ | {"PYTHONPATH": str(TESTS), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.count("stopped by SIGTERM after step") == 1, done.stderr
    stopped = load_checkpoint(tmp_path / "unfinished.pt")["trainer"]["step"]
    assert 4 < stopped < SHARED["iterations"]

    assert run_ranks(1, train_until, None, verb, options) == [0]
    assert_close(result(options), uninterrupted)
