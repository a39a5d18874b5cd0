"""Snakemake on the tiny project, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from tiny import REPO, tiny_values

RUNS = """\
run\tdenoiser\tclassifier\tsampler\tsteps\tguidance\tscale\tseed\tnum_images
UADM(5)\tuadm\t\tddim\tddim5\tnone\t\t0\t16
UADM(5)-G\tuadm\tce\tddim\tddim5\tconstant\t4\t0\t8
CADM(5)-G+EDS+ECT\tcadm\tect\tddpm\t5\tentropy\t2\t0\t8
"""


class Workspace:
    """A folder with a tiny config, and snakemake to run in it: that of `programs`, such as the `forks` of tests."""

    def __init__(self, folder: Path, runs: str = RUNS, programs: Path | None = None, repo: Path = REPO, **changes):
        self.folder, self.repo = folder, repo
        folder.mkdir(parents=True, exist_ok=True)
        self.write_runs(runs)
        self.values = {**tiny_values(), "runs": "runs.tsv", **changes}
        self.values["sweep"] = {**self.values["sweep"], "scales": [1, 4]}
        self.write_config()
        path = [*([programs] if programs else []), Path(sys.executable).parent, os.environ["PATH"]]
        self.environment = os.environ | {"PATH": ":".join(map(str, path))}

    def write_config(self, **changes) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.values | changes))

    def write_runs(self, runs: str) -> None:
        (self.folder / "runs.tsv").write_text(runs)

    def command(self, *arguments: str) -> list[str]:
        snakefile = str(self.repo / "workflow/Snakefile")
        return ["snakemake", "--snakefile", snakefile, "--configfile", "config.yaml", "--cores", "2", *arguments]

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def eddpm(self, *arguments: str) -> str:
        """What a verb prints of this project."""
        command = [sys.executable, "-m", "eddpm", *arguments, "--config", "config.yaml"]
        environment = self.environment | {"PYTHONPATH": str(self.repo)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, set[str]]:
        """The outputs that a dry run would make, by rule."""
        printed = self.snakemake("--dry-run", *arguments).stdout
        jobs: dict[str, set[str]] = {}
        rule = None
        for line in printed.splitlines():
            if line.startswith(("rule ", "localrule ")):
                rule = line.split()[1].rstrip(":")
            elif line.startswith("    output: ") and rule:
                jobs.setdefault(rule, set()).update(line.removeprefix("    output: ").split(", "))
        return jobs

    def metrics(self, run: str) -> dict:
        return json.loads((self.folder / f"results/digits/runs/{run}/metrics.json").read_text())
