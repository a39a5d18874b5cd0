"""A small experiment, complete in seconds: each kind of job but training with several seeds, and what it leaves."""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
from tiny import tiny_values
from workspace import Workspace

from eddpm.io.files import sha256

RUNS = """\
run\tdenoiser\tclassifier\tsampler\tsteps\tguidance\tscale\tseed\tnum_images
UADM(5)\tuadm\t\tddim\tddim5\tnone\t\t0\t16
UADM(5)-G+EDS\tuadm\tce\tddim\tddim5\tentropy\t4\t0\t8
"""
RESULTS = "results/digits"
TABLES = [f"{RESULTS}/tables/{name}.csv" for name in ("main", "best_scale")]
TARGETS = [*TABLES, f"{RESULTS}/figures/scales.png"]
ABLATION = f"{RESULTS}/tables/steps.csv"
_TIMED = {"events", "checksums.json"}


class Experiment(Workspace):
    """A folder in which the experiment runs, as forks of the process that `programs` stand for."""

    def __init__(self, folder: Path, programs: Path | None = None):
        self.programs = programs
        values = tiny_values()
        super().__init__(
            folder,
            RUNS,
            programs,
            denoisers={"uadm": values["denoisers"]["uadm"]},
            classifiers={"ce": values["classifiers"]["ce"]},
            evaluation={"spaces": ["pixels"]},
            sweep=values["sweep"] | {"best": {"minimise": "pixels/fid"}, "matched": None},
            ablations={"steps": {"rows": ["UADM(5)-G+EDS"], "vary": {"steps": ["ddim5", "ddim3"]}}},
        )

    def copy(self, folder: Path) -> "Experiment":
        """Another one, with all that this one has made."""
        shutil.copytree(self.folder, folder)
        return Experiment(folder, self.programs)

    def write(self) -> None:
        """Write what a user writes, once more."""
        self.write_config()
        self.write_runs(RUNS)

    def start(self, *targets: str) -> subprocess.Popen:
        """A driver in a group of processes of its own, whose output is at hand once it has ended."""
        return subprocess.Popen(
            self.command(*(targets or TARGETS)),
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *targets: str) -> str:
        """The error output of a run that must end well."""
        return self.snakemake(*(targets or TARGETS)).stderr

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each result, by its path.

        TensorBoard's events, the tables of checksums and the files beside shards hold times, and so do metrics, whose
        seconds are left out; logs and benchmarks, which do too, lie elsewhere. Files put aside are no results.
        """
        files = [path for name in ("resources", "results") for path in (self.folder / name).rglob("*")]
        kept = [path for path in files if path.is_file() and not (_TIMED & {path.name, path.parent.name})]
        kept = [path for path in kept if not {".changed", ".damaged", ".seconds"} & {*path.suffixes}]
        return {str(path.relative_to(self.folder)): _digest(path) for path in kept}


def _digest(path: Path) -> str:
    """The SHA-256 of a file; of metrics, without the seconds that they took."""
    if path.name != "metrics.json":
        return sha256(path)
    values = json.loads(path.read_text())
    assert values["cost"].pop("seconds") > 0
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def end(driver: subprocess.Popen, programs: Path, number: signal.Signals) -> None:
    """Send a signal, and wait until no process of the run is left."""
    server = psutil.Process(int((programs / "pid").read_text()))
    first, *others = sorted(server.children(), key=psutil.Process.create_time) or [psutil.Process(driver.pid)]
    if number == signal.SIGKILL:
        driver.kill()
        time.sleep(0.05)  # a fork may just be on its way
        while left := server.children(recursive=True):
            send(number, left)
            time.sleep(0.05)
    else:
        send(number, [first, *others] if number == signal.SIGINT else [first])  # a terminal reaches all of them
    driver.communicate(timeout=300)
    psutil.wait_procs(server.children(recursive=True), timeout=300)


def send(number: signal.Signals, processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
