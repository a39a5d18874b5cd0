"""The files of a project as the workflow leaves them, but tiny, and of one time for each step."""

import os
from pathlib import Path

import numpy as np

from eddpm.config.assets import weights_file
from eddpm.config.frozen import frozen_parts, frozen_text
from eddpm.config.project import Project
from eddpm.io.arrays import write_npz
from eddpm.io.files import write_json
from eddpm.reporting.outdated import Files

STEPS = ("settings", "dataset", "network", "tempered", "samples", "metrics", "choice", "best samples", "best metrics")


class Outputs:
    """What all jobs of a project leave below the working directory."""

    def __init__(self, project: Project):
        self.project, self.results = project, Path(f"results/{project.experiment}")
        for part, settings in frozen_parts(project).items():
            self.text("settings", self.results / part / "settings.yaml", frozen_text(settings))
        self.text("dataset", Path(f"resources/datasets/{project.experiment}/dataset.json"), "{}")
        for kind in ("denoisers", "classifiers"):
            for name in getattr(project, kind) | project.trained[kind]:
                self.text("network", Path(weights_file(project, kind, name)), f"weights of {name}")
        runs = project.all_runs.items()
        for run in [run for run, row in runs if row.scale != "best"]:
            self.run(run, "samples", "metrics")
        for run, row in [(run, row) for run, row in runs if row.scale == "best"]:
            first = project.sweep_runs[project.sweep_of(row.method)[0]].scale
            chosen = project.sample(run).model_copy(update={"scale": first})
            self.text("choice", self.results / f"runs/{run}/settings.yaml", frozen_text(chosen))
            self.run(run, "best samples", "best metrics")

    def run(self, run: str, samples: str, metrics: str) -> None:
        for shard in self.project.shards(run):
            self.shard(run, shard, samples)
        path = self.results / f"runs/{run}/metrics.json"
        files, row = Files(self.project), self.project.sample(run).model_dump(mode="json")
        write_json(
            path,
            {
                "run": {key: row[key] for key in ("name", "steps", "guidance", "seed", "labels")},
                "identity": files.identity(run),
                "num_images": self.project.all_runs[run].num_images,
                "metrics": {"accuracy": 0.5, "pixels/fid": 1.5},
                "standard_errors": {},
                "features": {space: {} for space in self.project.evaluation.spaces},
                "provenance": {"commit": "c", "torch": "t", "device": "d"},
            },
        )
        self.at(path, metrics)

    def shard(self, run: str, shard: str, step: str = "samples", **changes) -> Path:
        path = self.results / f"runs/{run}/samples/{shard}.npz"
        index = np.arange(*self.project.shards(run)[shard])
        arrays = {"arr_0": np.zeros((len(index), 1)), "index": index, "identity": Files(self.project).identity(run)}
        write_npz(path, **arrays | changes)
        return self.at(path, step)

    def text(self, step: str, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.at(path, step)

    def at(self, path: Path, step: str) -> Path:
        """Give a file the time of a step; `later` is after them all."""
        time = 1e9 + (STEPS.index(step) if step in STEPS else len(STEPS))
        os.utime(path, (time, time))
        return path
