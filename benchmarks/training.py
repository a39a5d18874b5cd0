"""The step of our training loop beside that of a plain loop, in each precision, and the share of time lost to data.

python benchmarks/training.py [--config config/digits/config.yaml] [--batch-size 16] [--steps 20] [--rounds 9]
python benchmarks/training.py --settings settings.yaml --dataset dataset.json [--threads 8]

The plain loop trains the same network on the same batch by the same loss: forward, backward, AdamW, a moving average
where ours has one, with torch's own draws and no checks. Both take turns in one process, on one batch again and again;
ratios are medians over the rounds. Without settings they are the first classifier and denoiser of each configuration,
on random images that are prepared here. The draws are timed by themselves, as a share of our step: ours, of which each
belongs to a row of the batch, and torch's, of the whole batch at once.
"""

import argparse
import copy
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from digits import REPO, open_project
from metrics import machine
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from eddpm.config.schema import TrainClassifierConfig, TrainDenoiserConfig
from eddpm.config.settings import parse_settings, read_yaml
from eddpm.data.loader import training_batches
from eddpm.data.store import Store
from eddpm.diffusion.images import to_float
from eddpm.diffusion.noise import draw
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule
from eddpm.io.batches import Samples, write_samples
from eddpm.models.device import device_name, in_hardware, pick_device
from eddpm.stages.prepare import prepare_dataset
from eddpm.stages.train import ClassifierTask, DenoiserTask
from eddpm.training.distributed import World
from eddpm.training.loop import Hooks, Trainer, run_training

CONFIGS = [REPO / f"config/{name}/config.yaml" for name in ("cifar10", "digits")]

Config = TrainClassifierConfig | TrainDenoiserConfig


def clock() -> float:
    """Seconds: of the processor where one thread does all the work, since other programs do not show there."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def prepare_random_images(folder: Path, config: Config, count: int) -> Path:
    """The dataset.json of images for this training, with the whole ones that random crops need."""
    network, rng = config.network, np.random.default_rng(0)
    shape = (network.image_size, network.image_size, network.image_channels)
    classes = 10  # fewer than the network may have
    folder.mkdir()
    images, labels = rng.integers(256, size=(count, *shape), dtype=np.uint8), np.arange(count) % classes
    write_samples(folder / "images.npz", Samples(images, labels, {}))
    values = {"source": str(folder / "images.npz"), "image_size": shape[0], "image_channels": shape[2]}
    values |= {"num_classes": classes, "uncropped": True}
    (folder / "settings.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    prepare_dataset(folder / "settings.yaml", folder / "dataset.json", folder / "unreadable.tsv", 1)
    return folder / "dataset.json"


def trainings(arguments: argparse.Namespace) -> Iterator[tuple[str, Config]]:
    """The trainings to time, by name."""
    if arguments.settings:
        values = read_yaml(arguments.settings)
        of_classifier = "classifier_width" in values["network"]
        kind = TrainClassifierConfig if of_classifier else TrainDenoiserConfig
        yield arguments.settings.parent.name, parse_settings(kind, values, str(arguments.settings))
        return
    for path in arguments.config:
        project = open_project(path)
        classifier, denoiser = (next(iter(project.trained[kind]), None) for kind in ("classifiers", "denoisers"))
        if classifier:
            yield f"{project.experiment}, classifier", project.train_classifier(classifier)
        if denoiser:
            yield f"{project.experiment}, denoiser", project.train_denoiser(denoiser)


def with_training(config: Config, **changes) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


class Setup:
    """A training's network, newly initialised, and its loss, on the device."""

    def __init__(self, config: Config):
        self.config, self.device = config, pick_device()
        schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
        self.schedule = NoiseSchedule(schedule.betas.to(self.device), schedule.timesteps.to(self.device))
        task_class = ClassifierTask if isinstance(config, TrainClassifierConfig) else DenoiserTask
        self.network = task_class.build(config.network).to(self.device)
        self.loss = task_class(config, self.schedule).loss


class Ours:
    """The loop of eddpm.training.loop, on one process."""

    def __init__(self, setup: Setup, microbatch: int | None):
        self.setup, self.microbatch = setup, microbatch
        self.trainer = Trainer(copy.deepcopy(setup.network), setup.config.training)

    def waiting(self, batches: Iterator) -> float:
        """Train; the share of waiting for data in the steps since the last row but one of the log."""
        measured = []
        self._train(batches, Hooks(lambda network: {}, lambda: None, lambda row, pace: measured.append(pace)))
        return measured[-1]["waiting_for_data"]

    def seconds(self, batch: tuple, steps: int) -> float:
        """Of a step, on one batch; `steps` are those of the settings. The evaluation begins when they have ended."""
        ended = []
        hooks = Hooks(lambda network: ended.append(clock()) or {}, lambda: None, lambda row, pace: None)
        start = clock()
        self._train(itertools.repeat(batch), hooks)
        return (ended[0] - start) / steps

    def _train(self, batches: Iterator, hooks: Hooks) -> None:
        self.trainer.step = 0
        world, timesteps = World(self.setup.device), len(self.setup.schedule)
        run_training(self.trainer, world, self.setup.loss, batches, timesteps, hooks, self.microbatch)


class Plain:
    """The loop that one writes without this package."""

    def __init__(self, setup: Setup, microbatch: int | None):
        self.setup, self.microbatch, self.network = setup, microbatch, copy.deepcopy(setup.network)
        training, device = setup.config.training, setup.device.type
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=training.lr, weight_decay=training.weight_decay, fused=True
        )
        precision = getattr(torch, training.precision)
        self.autocast = torch.autocast(device, dtype=precision, enabled=precision != torch.float32)
        self.scaler = torch.amp.GradScaler(device, enabled=precision == torch.float16)
        self.average = None
        if training.ema_rate:
            self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(training.ema_rate))

    def seconds(self, batch: tuple, steps: int) -> float:
        """Of a step, on one batch."""
        start = clock()
        for _ in range(steps):
            loss = self.step(*batch)
        loss.item()  # waits for the device
        return (clock() - start) / steps

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        total, part = 0.0, self.microbatch or len(labels)
        for x, y in zip(images.split(part), labels.split(part), strict=True):
            x0, y = to_float(x.to(self.setup.device, non_blocking=True)), y.to(self.setup.device, non_blocking=True)
            t, noise = plain_draw(x0, len(self.setup.schedule))
            with self.autocast:
                loss = self.setup.loss(self.network, x0, y, t, noise).sum() / len(labels)
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        if self.average:
            self.average.update_parameters(self.network)
        return total


def plain_draw(like: torch.Tensor, timesteps: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(timesteps, (len(like),), device=like.device), torch.randn_like(like)


def seconds_of(work: Callable[[int], tuple[torch.Tensor, torch.Tensor]], times: int = 20) -> float:
    """Of a call of work(k), k = 0, 1, ..., each to its end on the device."""
    start = clock()
    for k in range(times):
        work(k)[1].flatten()[0].item()
    return (clock() - start) / times


def compared(setup: Setup, batch: tuple, arguments: argparse.Namespace) -> np.ndarray:
    """Medians over the rounds: seconds of our step and of the plain one, their ratio, the shares of both draws."""
    ours, plain = Ours(setup, arguments.microbatch), Plain(setup, arguments.microbatch)
    like, total = to_float(batch[0].to(setup.device)), len(setup.schedule)
    rounds = []
    for k in range(arguments.rounds + 1):
        turns = (ours, plain) if k % 2 else (plain, ours)
        seconds = {loop: loop.seconds(batch, arguments.steps) for loop in turns}
        addressed = seconds_of(lambda step: draw(0, step, range(len(like)), range(total), like))
        unaddressed = seconds_of(lambda step: plain_draw(like, total))
        step = seconds[ours]
        rounds.append([step, seconds[plain], step / seconds[plain], addressed / step, unaddressed / step])
    return np.median(rounds[1:], axis=0)  # the first is for warming up


def precisions() -> tuple[list[str], str]:
    """The precisions that this device computes in, and a line about those that it does not."""
    found = {name: in_hardware(pick_device(), getattr(torch, name)) for name in ("float32", "bfloat16", "float16")}
    slow = [name for name, fast in found.items() if not fast]
    line = f"{' and '.join(slow)}: left out, since this CPU has no instructions for it." if slow else ""
    return [name for name, fast in found.items() if fast], line


def rows_of(name: str, config: Config, folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """The rows of a training, one for each precision."""
    steps, size = arguments.steps, arguments.batch_size or config.training.batch_size
    store = Store(arguments.dataset or prepare_random_images(folder, config, 16 * size), "train")
    for precision in arguments.precisions or precisions()[0]:
        changes = {"batch_size": size, "precision": precision, "save_interval": steps}
        # Of data, the second half counts: the first is for warming up.
        config = with_training(config, iterations=2 * steps, **changes)
        batches = training_batches(store, config.training, 0, range(size), arguments.threads - 1)
        waiting = Ours(Setup(config), arguments.microbatch).waiting(batches)
        batch = next(training_batches(store, config.training, 0, range(size), 0))
        setup = Setup(with_training(config, iterations=steps, **changes))
        ours, plain, ratio, addressed, unaddressed = compared(setup, batch, arguments)
        parameters = sum(parameter.numel() for parameter in setup.network.parameters()) / 1e6
        yield (
            f"| {name} | {parameters:.2f} | {size} | {precision} | {size / ours:.1f} | {size / plain:.1f} |"
            f" {ratio:.3f} | {addressed:.2%} | {unaddressed:.2%} | {waiting:.1%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", default=CONFIGS, help="of experiments (cifar10 and digits)")
    parser.add_argument("--settings", type=Path, help="of one training, in their place")
    parser.add_argument("--dataset", type=Path, help="dataset.json of prepared data, in place of random images")
    parser.add_argument("--batch-size", type=int, help="in place of the settings'")
    parser.add_argument("--microbatch", type=int)
    parser.add_argument("--precisions", nargs="+", help="(those that the device has)")
    parser.add_argument("--steps", type=int, default=20, help="of each turn (20)")
    parser.add_argument("--rounds", type=int, default=9, help="after one for warming up (9)")
    parser.add_argument("--threads", type=int, default=1, help="all but one read data (1)")
    arguments = parser.parse_args()
    print("| training | million parameters | batch | precision | ours, images/s | plain loop, images/s |", end="")
    print(" time, ours / plain | our draws | torch's draws | waiting for data |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, config) in enumerate(trainings(arguments)):
            for row in rows_of(name, config, Path(folder, str(k)), arguments):
                print(row, flush=True)
    reading = f"{arguments.threads - 1} processes reading"
    print(f"\n{precisions()[1]} {reading}, {device_name(pick_device())}, {machine()}.".lstrip())


if __name__ == "__main__":
    main()
