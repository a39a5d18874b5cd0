"""Memory that the training of a classifier needs, by microbatch: a formula, and its check by trainings on the CPU.

python benchmarks/training_memory.py [--check]

    weights, gradients, AdamW's two moments and, where there is one, the moving average: 4 bytes each
    + within autocast a copy of the weights in half precision
    + microbatch * activations of an image

Activations are what autograd saves for the backward pass, counted on fake tensors, which have shapes but no memory;
attention saves what fused kernels do. The check trains small networks in processes of their own.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from metrics import held, machine, peak
from torch._subclasses.fake_tensor import FakeTensorMode

from eddpm.config.networks import EncoderConfig
from eddpm.config.schema import DiffusionConfig, TrainClassifierConfig, TrainingConfig
from eddpm.diffusion.schedule import make_schedule
from eddpm.models.build import PUBLISHED, build_classifier
from eddpm.stages.train import ClassifierTask
from eddpm.training.distributed import World
from eddpm.training.loop import Trainer, train_step

CLASSIFIERS = tuple(f"{size}x{size}_classifier" for size in (64, 128, 256))
PRECISIONS = ("float32", "bfloat16")
MICROBATCHES = (8, 16, 32, 64, 128, 256)
CHECKED = ((32, 16), (32, 32), (64, 8), (64, 16))  # image sizes and microbatches
STEPS = 2
MB, GB = 2**20, 2**30


class Memory(NamedTuple):
    """Bytes of a training."""

    parameters: int  # with gradients, moments and moving average
    fixed: int  # saved for the backward pass, whatever the microbatch: weights in half precision
    image: int  # saved for each image

    def of(self, microbatch: int) -> int:
        return self.parameters + self.fixed + self.image * microbatch


def memory(config: TrainClassifierConfig) -> Memory:
    """The formula."""
    with FakeTensorMode():
        one, two = (saved(config, count) for count in (1, 2))
        weights = sum(each.nbytes for each in build_classifier(config.network).parameters())
    return Memory(weights * (4 + bool(config.training.ema_rate)), 2 * one - two, two - one)


def saved(config: TrainClassifierConfig, count: int) -> int:
    """Bytes that autograd saves for `count` images, parameters left out."""
    network, found = build_classifier(config.network), {}
    own = {each.untyped_storage()._cdata for each in network.parameters()}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()  # of which several tensors may be views
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes()
        return tensor

    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    x0 = torch.zeros(count, config.network.image_channels, config.network.image_size, config.network.image_size)
    t = torch.zeros(count, dtype=torch.long)
    precision = getattr(torch, config.training.precision)
    with (
        torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor),
        torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32),
    ):
        loss = ClassifierTask(config, schedule).loss(network, x0, t, t, x0)
    assert loss.requires_grad  # the graph is still there, and no storage of it has given its place to another
    return sum(found.values())


def training(precision: str, name: str = "64x64_classifier", **changes) -> TrainClassifierConfig:
    """A training of one of ADM's classifiers from scratch; `changes` make the network another."""
    network = EncoderConfig(**PUBLISHED[name].model_dump() | changes)
    values = TrainingConfig(iterations=STEPS, batch_size=256, lr=1e-4, precision=precision)
    return TrainClassifierConfig(network=network, diffusion=DiffusionConfig(noise_schedule="linear"), training=values)


def small(precision: str, size: int) -> TrainClassifierConfig:
    """ADM's classifier of 64 pixels, half as wide, for images of this size."""
    return training(precision, image_size=size, classifier_width=64)


def train(config: TrainClassifierConfig, microbatch: int) -> None:
    """Some steps, each of two microbatches."""
    network, size = config.network, config.network.image_size
    config = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 2 * microbatch})})
    trainer, world = Trainer(build_classifier(network), config.training), World(torch.device("cpu"))
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    images = torch.zeros(2 * microbatch, size, size, network.image_channels, dtype=torch.uint8)
    labels, loss_fn = torch.zeros(2 * microbatch, dtype=torch.long), ClassifierTask(config, schedule).loss
    for trainer.step in range(STEPS):
        train_step(trainer, world, trainer.network, loss_fn, images, labels, len(schedule), microbatch)


def measure(precision: str, size: int, microbatch: int) -> None:
    """Print the bytes that a training takes in this process, once torch has loaded all that it needs."""
    train(training(precision, image_size=32, classifier_width=32, classifier_depth=1, num_head_channels=32), 1)
    before = held()
    train(small(precision, size), microbatch)
    print((peak() - before) * MB)


def checked(precision: str) -> Iterator[str]:
    """Rows of the formula beside measured peaks."""
    # What is given back goes to the system at once, so that memory is held only while it is in use.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    for size, microbatch in CHECKED:
        command = [sys.executable, __file__, "--measure", precision, str(size), str(microbatch)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment)
        found, formula = float(done.stdout), memory(small(precision, size)).of(microbatch)
        yield (
            f"| {size} | {precision} | {microbatch} | {formula / MB:.0f} MB | {found / MB:.0f} MB |"
            f" {found / formula:.3f} |"
        )


def formulas() -> Iterator[str]:
    """Rows of the formula."""
    for name in CLASSIFIERS:
        for precision in PRECISIONS:
            found = memory(training(precision, name))
            totals = " | ".join(f"{found.of(each) / GB:.1f}" for each in MICROBATCHES)
            yield f"| {name} | {precision} | {found.image / MB:.0f} MB | {found.of(0) / GB:.2f} GB | {totals} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", choices=PRECISIONS, nargs="*", help="measure small trainings in these precisions")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        precision, size, microbatch = arguments.measure
        measure(precision, int(size), int(microbatch))
        return
    print(f"| network | precision | an image | all else | {' | '.join(f'{each}, GB' for each in MICROBATCHES)} |")
    print(f"|{'---|' * (4 + len(MICROBATCHES))}")
    for row in formulas():
        print(row, flush=True)
    if arguments.check:
        print("\n| image size | precision | microbatch | formula | measured | ratio |\n|---|---|---|---|---|---|")
    for precision in arguments.check or ():
        for row in checked(precision):
            print(row, flush=True)
    print(f"\n{machine()}.")


if __name__ == "__main__":
    main()
