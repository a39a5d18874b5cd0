"""Peak memory of sampling, features, references and metrics by the number of images: tables for docs/evaluation.md.

python benchmarks/memory.py [--images 1000 10000 50000] [--size 64]

The first table is of the pipeline's stages on 8x8 images: the digits' networks with random weights, a guided run of
five steps in one shard (more steps take no more memory). The second is of larger images and a cheap extractor. Each
peak is that of a process of its own. The latter is measured once more where large blocks of memory, once freed, go
back to the system at once (MALLOC_MMAP_THRESHOLD_ of the GNU C library): what is then left is in use.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from digits import Digits
from metrics import machine, peak

from eddpm.config.schema import DatasetConfig
from eddpm.evaluation.features import Extractor, Features
from eddpm.evaluation.metrics import Pair, measure
from eddpm.io.batches import ImageFile, write_sample_batch
from eddpm.stages.features import extract_features, features_of
from eddpm.stages.measure import measure_samples
from eddpm.stages.prepare import prepare_dataset
from eddpm.stages.references import extract_references

DIMENSIONS = 48  # 4x4 patch means of 3 channels
BATCH, STEPS = 500, 5
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
MB = 2**20


class Stages:
    """The stages of a run, in their order, on files in one folder; each is to be run in a process of its own."""

    names = ("sampling", "preparing", "features", "references", "metrics")

    def __init__(self, folder: Path):
        self.digits, self.samples, self.dataset = Digits(folder), folder / "samples.npz", folder / "dataset.json"
        self.features_file, self.references_files = folder / "features.npz", [folder / f"{k}.npz" for k in range(2)]
        self.measured = self.digits.settings("measure", self.digits.project.measure())

    def sampling(self, images: int) -> None:
        self.digits.sample(self.samples, images, BATCH, STEPS)

    def preparing(self, images: int) -> None:
        """The samples serve as the data set, too."""
        values = {"image_size": 8, "image_channels": 1, "num_classes": 10, "validation_fraction": 0.05}
        settings = self.digits.settings("dataset", DatasetConfig(source=str(self.samples), **values))
        prepare_dataset(settings, self.dataset, self.dataset.with_name("unreadable.tsv"))

    def features(self, images: int) -> None:
        extract_features(self.measured, self.samples, [self.digits.classifier], self.features_file)

    def references(self, images: int) -> None:
        extract_references(self.measured, self.dataset, [self.digits.classifier], self.references_files)

    def metrics(self, images: int) -> None:
        outputs = ([self.samples.with_name(name)] for name in ("metrics.json", "halves.csv", "trace.csv", "grid.png"))
        inputs = [self.samples], [self.features_file], [self.digits.classifier], self.references_files
        measure_samples(self.measured, [self.digits.folder / "run.yaml"], *inputs, *outputs)


def write_images(path: Path, count: int, size: int) -> None:
    rng = np.random.default_rng(0)
    batches = (rng.integers(0, 256, (min(500, count - k), size, size, 3), np.uint8) for k in range(0, count, 500))
    write_sample_batch(path, (count, size, size, 3), batches, arr_1=np.arange(count))


def patch_means(images: np.ndarray) -> Features:
    n, size = images.shape[:2]
    patches = images.reshape(n, 4, size // 4, 4, size // 4, 3).mean(axis=(2, 4))
    return Features(patches.reshape(n, DIMENSIONS).astype(np.float32))


def evaluate(path: Path) -> None:
    """The work of `eddpm evaluate` in a space of patch means."""
    found = features_of(ImageFile(path), [Extractor("patches", {}, patch_means)], keep_spatial=False)["patches"]
    measure(Pair(found, found, 3))


def peak_of(part: str, folder: Path, count: int, **environment: str) -> float:
    """Peak memory, in MB, of a part in a process of its own."""
    command = [sys.executable, __file__, "--run", part, str(folder), "--images", str(count)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=os.environ | environment)
    return float(done.stdout.splitlines()[-1])


def stages_row(count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        peaks = {part: peak_of(part, Path(folder), count) for part in Stages.names}
        sizes = [Path(folder, name).stat().st_size / MB for name in ("samples.npz", "features.npz")]
    shown = [*sizes, *(peaks[part] for part in Stages.names if part != "preparing")]
    return f"| {count} | {' | '.join(f'{each:.0f} MB' for each in shown)} |"


def larger_row(count: int, size: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.npz"
        write_images(path, count, size)
        shown = [path.stat().st_size / MB, count * DIMENSIONS * 4 / MB]
        shown += [peak_of("evaluate", path, count, **environment) for environment in ({}, AT_ONCE)]
    return f"| {count} | {' | '.join(f'{each:.0f} MB' for each in shown)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        part, path = arguments.run[0], Path(arguments.run[1])
        evaluate(path) if part == "evaluate" else getattr(Stages(path), part)(*arguments.images)
        print(peak())
        return
    print("| images of 8x8 | samples | features' file | sampling | features | references | metrics |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.images:
        print(stages_row(count), flush=True)
    print(f"\n| images of {arguments.size}x{arguments.size} | file | features | features and metrics | in use |")
    print("|---|---|---|---|---|")
    for count in arguments.images:
        print(larger_row(count, arguments.size), flush=True)
    print(f"\n{machine()}.")


if __name__ == "__main__":
    main()
