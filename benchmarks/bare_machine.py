"""A whole experiment on a machine with torch and this checkout, but no Snakemake and no network: every verb in order.

python benchmarks/bare_machine.py --config config/cifar10/config.yaml [--fraction 0.01]

The files are those of the workflow, below results/ and resources/. What exists is not made again, so that the same
command goes on after a kill. `results/E/times.md` says what each verb took, and on what.
"""

import argparse
import json
import os
import time
from pathlib import Path

import pandas as pd
import torch
import yaml

from eddpm.cli import main as eddpm
from eddpm.config.assets import missing_files
from eddpm.config.outputs import tables_of
from eddpm.config.project import TEMPERATURE_SCALED, Project
from eddpm.config.projectfile import load_project
from eddpm.config.schema import INCEPTION_FILE, SpaceConfig
from eddpm.config.settings import Settings, read_yaml
from eddpm.io.files import write_json, write_text
from eddpm.models.device import device_name, pick_device

LEAST = {"iterations": 2, "num_images": 40}  # however small the fraction


class Machine:
    """Runs verbs, each once, and knows what they took."""

    def __init__(self, project: Project):
        self.project = project
        self.results = Path("results") / project.experiment
        self.log = self.results / "times.json"
        self.times = json.loads(self.log.read_text(encoding="utf-8")) if self.log.exists() else {}

    def settings(self, part: str, settings: Settings) -> Path:
        path = self.results / part / "settings.yaml"
        write_text(path, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        return path

    def run(self, verb: str, outputs: dict, **inputs) -> None:
        """Run a verb unless all of its outputs exist. An input that is None or empty is an option without a value."""
        flat = [path for output in outputs.values() for path in (output if isinstance(output, list) else [output])]
        if all(path.exists() for path in flat):
            return
        arguments = [verb]
        for option, value in (inputs | outputs).items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            arguments += [f"--{option.replace('_', '-')}", *map(str, values)]
        start = time.perf_counter()
        if eddpm(arguments) != 0:
            raise SystemExit(2)
        self.times.setdefault(verb, []).append(time.perf_counter() - start)
        write_json(self.log, self.times)

    def write_times(self) -> None:
        table = pd.DataFrame(
            [(verb, len(times), sum(times)) for verb, times in self.times.items()], columns=["verb", "jobs", "seconds"]
        )
        table.loc[len(table)] = ["all", table["jobs"].sum(), table["seconds"].sum()]
        table = table.to_markdown(index=False, floatfmt=".1f")
        write_text(self.results / "times.md", f"{table}\n\n{device_name(pick_device())}, torch {torch.__version__}\n")


def run_experiment(machine: Machine) -> None:
    project, results, threads = machine.project, machine.results, os.cpu_count()
    prepared = Path("resources/datasets") / project.experiment
    dataset = prepared / "dataset.json"
    machine.run(
        "prepare-dataset",
        {"dataset": dataset, "unreadable": prepared / "unreadable.tsv"},
        settings=machine.settings("dataset", project.dataset),
        workers=threads,
    )
    for kind, entries, config in (
        ("denoiser", project.denoisers, project.train_denoiser),
        ("classifier", project.classifiers, project.train_classifier),
    ):
        for name, entry in entries.items():
            folder = results / f"{kind}s" / name
            machine.run(
                f"train-{kind}",
                {"model": folder / "model.safetensors", "log": folder / "log.jsonl"},
                settings=machine.settings(f"{kind}s/{name}", config(name)),
                dataset=dataset,
                init_from=entry.training.init_from,
                microbatch=entry.microbatch or entry.training.batch_size,
                threads=threads,
            )
    for name in project.guiding_classifiers:
        folder = results / "classifiers" / name
        inputs = {
            "settings": machine.settings(f"classifiers/{name}/levels", project.measure_classifier(name)),
            "dataset": dataset,
        }
        if name.endswith(TEMPERATURE_SCALED):
            plain = results / "classifiers" / name.removesuffix(TEMPERATURE_SCALED) / "model.safetensors"
            machine.run("fit-temperature", {"model": folder / "model.safetensors"}, **inputs, classifier=plain)
        levels = {"levels": folder / "noise_levels.jsonl"}
        machine.run("measure-classifier", levels, **inputs, classifier=folder / "model.safetensors")
    measuring = Measuring(machine, dataset)
    for run in project.all_runs:
        if run in project.best_runs:
            choose_scale(machine, run)
        else:
            machine.settings(f"runs/{run}", project.sample(run))
        measuring.sample_and_measure(run)


def choose_scale(machine: Machine, run: str) -> None:
    project = machine.project
    sweep = project.sweep_of(project.best_runs[run].method)
    machine.run(
        "choose-scale",
        {"run_settings": machine.results / "runs" / run / "settings.yaml"},
        settings=machine.settings(f"runs/{run}/choice", project.choice(run)),
        metrics=[machine.results / "runs" / swept / "metrics.json" for swept in sweep],
    )


def weights(space: SpaceConfig, results: Path) -> Path:
    """The file of the network behind a feature space; that of Inception is brought along."""
    if space.classifier:
        return results / f"classifiers/{space.name.removeprefix('classifier:')}/model.safetensors"
    return Path("resources/assets") / INCEPTION_FILE


class Measuring:
    """Samples of any run, measured against the references."""

    def __init__(self, machine: Machine, dataset: Path):
        project, results = machine.project, machine.results
        self.machine = machine
        self.inputs = {
            "settings": machine.settings("evaluation", project.measure()),
            "weights": [weights(space, results) for space in project.measure().spaces if space.has_weights],
        }
        spaces = project.evaluation.spaces
        self.references = [results / f"references/{space.replace(':', '-')}.npz" for space in spaces]
        reference = project.evaluation.reference or dataset
        machine.run("extract-references", {"references": self.references}, dataset=reference, **self.inputs)

    def sample_and_measure(self, run: str) -> None:
        machine, project = self.machine, self.machine.project
        row, folder = project.all_runs[run], machine.results / "runs" / run
        settings = folder / "settings.yaml"
        guide = machine.results / f"classifiers/{row.classifier}/model.safetensors" if row.classifier else None
        shards = {name: folder / f"samples/{name}.npz" for name in project.shards(run)}
        for name, (start, stop) in project.shards(run).items():
            machine.run(
                "sample-shard",
                {"samples": shards[name]},
                settings=settings,
                denoiser=machine.results / f"denoisers/{row.denoiser}/model.safetensors",
                classifier=guide,
                start=start,
                stop=stop,
                batch_size=project.sampling.batch_size,
            )
        machine.run(
            "measure-samples",
            {"metrics": folder / "metrics.json", "traces": folder / "trace.csv", "grids": folder / "grid.png"},
            runs=settings,
            samples=list(shards.values()),
            references=self.references,
            **self.inputs,
        )


def draw(machine: Machine) -> None:
    """Tables and figures of what was measured."""
    project, results = machine.project, machine.results
    for name, table in tables_of(project).items():
        outputs = {suffix: results / f"tables/{name}.{suffix}" for suffix in ("csv", "md", "tex")}
        metrics = [results / f"runs/{run}/metrics.json" for run in table.runs]
        names = [row.run for row in table.runs.values()]
        machine.run("make-table", outputs, runs=names, metrics=metrics, caption=table.caption)
    guided = {run: row.run for run, row in project.table_runs.items() if row.classifier}
    rows = {run: row.run for run, row in project.table_runs.items()}
    levels = [results / f"classifiers/{name}/noise_levels.jsonl" for name in project.guiding_classifiers]
    for figure, inputs, labels in (
        ("samples", [results / f"runs/{run}/samples/0000.npz" for run in rows], list(rows.values())),
        ("trace", [results / f"runs/{run}/trace.csv" for run in guided], list(guided.values())),
        ("noise_levels", levels, project.guiding_classifiers),
        ("scales", [results / "tables/sweep.csv"], []),
    ):
        outputs = {suffix: results / f"figures/{figure}.{suffix}" for suffix in ("png", "pdf")}
        machine.run("plot-figure", outputs, figure=figure, inputs=inputs, labels=labels)


def shrunk(values: dict, fraction: float) -> dict:
    """The contents of a project file with so much of the steps and images of its trainings, its sweep."""
    for entry in (*values["denoisers"].values(), *values["classifiers"].values()):
        iterations = max(LEAST["iterations"], round(entry["training"]["iterations"] * fraction))
        entry["training"] = entry["training"] | {"iterations": iterations}
    images = max(LEAST["num_images"], round(values["sweep"]["num_images"] * fraction))
    return values | {"sweep": values["sweep"] | {"num_images": images}}


def open_project(path: Path, fraction: float) -> Project:
    values = read_yaml(path)
    project = load_project(values if fraction == 1 else shrunk(values, fraction), str(path))
    if missing := missing_files(project):
        raise SystemExit("\n".join(file.message for file in missing))
    if fraction < 1:
        values = project.model_dump()
        for row in values["runs"]:
            row["num_images"] = max(LEAST["num_images"], round(row["num_images"] * fraction))
        project = Project.model_validate(values)
    return project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("config/cifar10/config.yaml"))
    parser.add_argument("--fraction", type=float, default=1.0, help="of training steps and images, for a trial (1)")
    arguments = parser.parse_args()
    machine = Machine(open_project(arguments.config, arguments.fraction))
    run_experiment(machine)
    draw(machine)
    machine.write_times()
    for table in ("main", "best_scale"):
        print((machine.results / f"tables/{table}.md").read_text(encoding="utf-8"))
    print((machine.results / "times.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
