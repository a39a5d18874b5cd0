"""Peak memory of evaluating sample batches of two sizes, with a cheap extractor: a table for docs/evaluation.md.

python benchmarks/memory.py [--images 10000 50000] [--size 64]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from metrics import peak

from eddpm.evaluation.features import Extractor, Features
from eddpm.evaluation.metrics import Pair, measure
from eddpm.io.batches import ImageFile, write_sample_batch
from eddpm.stages.features import features_of

DIMENSIONS = 48  # 4x4 patch means of 3 channels


def write_images(path: Path, count: int, size: int) -> None:
    rng = np.random.default_rng(0)
    batches = (rng.integers(0, 256, (min(500, count - k), size, size, 3), np.uint8) for k in range(0, count, 500))
    write_sample_batch(path, (count, size, size, 3), batches, arr_1=np.arange(count))


def patch_means(images: np.ndarray) -> Features:
    n, size = images.shape[:2]
    patches = images.reshape(n, 4, size // 4, 4, size // 4, 3).mean(axis=(2, 4))
    return Features(patches.reshape(n, DIMENSIONS).astype(np.float32))


def evaluate(path: Path) -> None:
    """What `eddpm evaluate` does in a space of patch means; prints the peak of this process in MB."""
    found = features_of(ImageFile(path), [Extractor("patches", {}, patch_means)], keep_spatial=False)["patches"]
    measure(Pair(found, found, 3))
    print(peak())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        evaluate(arguments.run)
        return
    print(f"| images of {arguments.size}x{arguments.size} | file | features | peak memory |")
    print("|---|---|---|---|")
    for count in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "samples.npz"
            write_images(path, count, arguments.size)
            command = [sys.executable, __file__, "--run", str(path)]
            peak = float(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)
            file_size = path.stat().st_size / 2**20
        print(f"| {count} | {file_size:.0f} MB | {count * DIMENSIONS * 4 / 2**20:.0f} MB | {peak:.0f} MB |")


if __name__ == "__main__":
    main()
