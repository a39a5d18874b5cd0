"""Images per second of training in each precision, and the share of time that is lost waiting for data.

python benchmarks/training.py [--settings settings.yaml --dataset dataset.json] [--steps 50] [--threads 8]

Times the loop that trains a classifier, on prepared data and, for what the step alone can do, on one batch again and
again. Without settings it is the noise-aware classifier of config/cifar10, on random images that are prepared here.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from metrics import machine

from eddpm.config.schema import TrainClassifierConfig
from eddpm.config.settings import load_settings, parse_settings, read_yaml
from eddpm.data.loader import training_batches
from eddpm.data.store import Store
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule
from eddpm.io.batches import Samples, write_samples
from eddpm.models.build import build_classifier
from eddpm.models.device import device_name, pick_device
from eddpm.stages.prepare import prepare_dataset
from eddpm.stages.train import ClassifierTask
from eddpm.training.distributed import World
from eddpm.training.loop import Hooks, Trainer, run_training

REPO = Path(__file__).parents[1]


def prepare_random_images(folder: Path, count: int) -> Path:
    """The dataset.json of CIFAR-10's kind of images, with the whole ones that random crops need."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(count, 32, 32, 3), dtype=np.uint8), np.arange(count) % 10
    write_samples(folder / "images.npz", Samples(images, labels, {}))
    values = {"source": str(folder / "images.npz"), "image_size": 32, "image_channels": 3, "num_classes": 10}
    (folder / "settings.yaml").write_text(yaml.safe_dump(values | {"uncropped": True}), encoding="utf-8")
    prepare_dataset(folder / "settings.yaml", folder / "dataset.json", folder / "unreadable.tsv", 1)
    return folder / "dataset.json"


def cifar10_classifier() -> TrainClassifierConfig:
    """The classifier `ce` of config/cifar10."""
    project = read_yaml(REPO / "config/cifar10/config.yaml")
    images = {key: project["dataset"][key] for key in ("image_size", "image_channels", "num_classes")}
    entry = project["classifiers"]["ce"]
    values = {"network": entry["network"] | images, "diffusion": project["diffusion"], "training": entry["training"]}
    return parse_settings(TrainClassifierConfig, values, "config/cifar10/config.yaml")


def with_training(config: TrainClassifierConfig, **changes) -> TrainClassifierConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def pace(config: TrainClassifierConfig, batches: Iterator, microbatch: int | None) -> dict:
    """What the loop says of its second half, the first being for warming up."""
    device, measured = pick_device(), []
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    schedule = NoiseSchedule(schedule.betas.to(device), schedule.timesteps.to(device))
    trainer = Trainer(build_classifier(config.network).to(device), config.training)
    hooks = Hooks(lambda network: {}, lambda: None, lambda row, seen: measured.append(seen))
    loss_fn = ClassifierTask(config, schedule).loss
    run_training(trainer, World(device), loss_fn, batches, len(schedule), hooks, microbatch)
    return measured[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, help="of a classifier's training")
    parser.add_argument("--dataset", type=Path, help="dataset.json of prepared data")
    parser.add_argument("--batch-size", type=int, help="in place of the settings'")
    parser.add_argument("--microbatch", type=int)
    parser.add_argument("--steps", type=int, default=50, help="that are timed, after as many that are not (50)")
    parser.add_argument("--threads", type=int, default=1, help="all but one read data (1)")
    arguments = parser.parse_args()
    cuda = torch.cuda.is_available()
    config = load_settings(TrainClassifierConfig, arguments.settings) if arguments.settings else cifar10_classifier()
    size = arguments.batch_size or config.training.batch_size
    config = with_training(config, iterations=2 * arguments.steps, save_interval=arguments.steps, batch_size=size)
    print("| precision | images/s | on one batch again and again | waiting for data |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(arguments.dataset or prepare_random_images(Path(folder), 8192), "train")
        for precision in ("float32", "bfloat16", "float16")[: 3 if cuda else 2]:
            config = with_training(config, precision=precision)
            batches = training_batches(store, config.training, 0, range(size), arguments.threads - 1)
            found = pace(config, batches, arguments.microbatch)
            batch = next(training_batches(store, config.training, 0, range(size), 0))
            alone = pace(config, itertools.repeat(batch), arguments.microbatch)["images_per_second"]
            share = f"{found['waiting_for_data']:.1%}"
            print(f"| {precision} | {found['images_per_second']:.1f} | {alone:.1f} | {share} |", flush=True)
    parameters = sum(parameter.numel() for parameter in build_classifier(config.network).parameters())
    print(
        f"\nBatches of {size} images {'x'.join(map(str, store.shape))}, {parameters / 1e6:.1f} million parameters,"
        f" {arguments.threads - 1} processes reading, {device_name(pick_device())}, {machine()}."
    )


if __name__ == "__main__":
    main()
