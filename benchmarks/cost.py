"""Cost of sampling against images, steps and images that are already done: docs/cost.png and docs/cost.csv.

python benchmarks/cost.py [--out docs/cost]

The stage `sample_shard` makes a guided run of the digits, with networks of random weights: shards of several sizes, by
several numbers of steps; and the rest of shards of which batches are done, as a killed job leaves them. A time is the
shortest of three, of the processor, on one thread; loading of networks, reading and writing of batches are in it.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from digits import Digits
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from metrics import machine

BATCH, IMAGES, STEPS = 250, 500, 10
REPEATS = 3
SERIES = {  # degrees of the lines that are fitted, and points
    "images": (1, (250, 500, 1000, 2000, 4000)),
    "steps": (1, (5, 10, 20, 40, 50)),
    "images already done": (0, (0, 500, 1000, 2000, 4000)),
}


class Timer:
    """Times shards of a folder."""

    def __init__(self, folder: Path):
        self.digits, self.samples, self.batches = Digits(folder), folder / "samples.npz", folder / "batches"

    def seconds(self, images: int, steps: int, done: int = 0) -> float:
        """Of a shard; the batches of its first `done` images are there."""
        times = []
        for _ in range(REPEATS):
            self._leave(done)
            start = time.process_time()
            self.digits.sample(self.samples, images, BATCH, steps)
            times.append(time.process_time() - start)
        return min(times)

    def series(self, name: str, value: int) -> float:
        if name == "images":
            return self.seconds(value, STEPS)
        return self.seconds(IMAGES, value) if name == "steps" else self.seconds(value + IMAGES, STEPS, value)

    def make_batches(self, images: int) -> None:
        """Keep the batches of a shard, as a job does that is killed just before it removes them."""
        with patch("eddpm.stages.sample.shutil.rmtree"):
            self.digits.sample(self.samples, images, BATCH, STEPS)
        self.samples.with_suffix(".unfinished").rename(self.batches)

    def _leave(self, done: int) -> None:
        folder = self.samples.with_suffix(".unfinished")
        folder.mkdir()
        for path in self.batches.glob("*.npz") if done else ():
            if int(path.stem) < done:
                shutil.copy(path, folder)


def measured(folder: Path) -> Iterator[dict]:
    """The points, each with the value there of the line (of degree 0: the mean) that fits its series."""
    timer = Timer(folder)
    timer.make_batches(max(SERIES["images already done"][1]))
    for name, (degree, values) in SERIES.items():
        seconds = [timer.series(name, value) for value in values]
        line = np.polyval(np.polyfit(values, seconds, degree), values)
        for value, time_taken, at_line in zip(values, seconds, line, strict=True):
            yield {"against": name, "value": value, "seconds": round(time_taken, 3), "line": round(at_line, 3)}


def plotted(points: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    fixed = (f"{STEPS} steps", f"{IMAGES} images", f"{IMAGES} further images, {STEPS} steps")
    for axis, (name, of_series), note in zip(
        figure.subplots(1, 3), points.groupby("against", sort=False), fixed, strict=True
    ):
        axis.plot(of_series["value"], of_series["line"], color="0.6")
        axis.plot(of_series["value"], of_series["seconds"], "o", color="#0072B2", clip_on=False)
        axis.set(xlabel=name, ylabel="seconds of the processor", title=note, xlim=0)
        axis.set_ylim(0, 1.15 * of_series["seconds"].max())
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs/cost", help="without a suffix")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points = pd.DataFrame(measured(Path(folder)))
    points.to_csv(arguments.out.with_suffix(".csv"), index=False)
    plotted(points).savefig(arguments.out.with_suffix(".png"), dpi=120)
    print(points.to_markdown(index=False))
    print(f"\nBatches of {BATCH} images, one thread, {machine()}.")


if __name__ == "__main__":
    main()
