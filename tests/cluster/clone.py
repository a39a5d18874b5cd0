"""A checkout with a tiny experiment, in which `snakemake --profile slurm all` runs as in a fresh clone."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from cluster.slurm import Slurm
from tiny import REPO, tiny_values

# Two shards without guidance, one with it, and one at its best scale; each of 16 images, sampled one by one.
RUNS = """\
run\tdenoiser\tclassifier\tsampler\tsteps\tguidance\tscale\tseed\tnum_images
UADM(50)\tuadm\t\tddim\tddim50\tnone\t\t0\t32
UADM(25)-G\tuadm\tce\tddim\tddim25\tconstant\t4\t0\t16
"""
SHARD_SIZE = 16
SHARDS = ("uadm50/0000", "uadm50/0001", "uadm25-g/0000", "uadm25-g-at-best/0000")
NETWORKS = ("denoisers/uadm", "classifiers/ce")
COMMAND = ("snakemake", "--profile", "slurm")


def wait_until(happened: Callable[[], bool], pause: float = 0.5) -> None:
    deadline = time.monotonic() + 400  # a busy machine takes its time
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(pause)  # in seconds


class Clone:
    """The folder, and snakemake in it, whose jobs are started by `stand_in`. A shard is named `run/number`."""

    def __init__(self, folder: Path, slurm: Slurm, stand_in: Path | None = None):
        self.folder, self.slurm = folder, slurm
        # A job has 4 threads, for which the machine need not have cores: those that wait must not spin.
        self._environment = slurm.environment | {"OMP_WAIT_POLICY": "passive"}
        self._environment["PYTHONPATH"] = str(Path(__file__).parent / "polling")  # its sitecustomize.py
        if stand_in:
            self._environment["STAND_IN"] = str(stand_in)
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"

    def check_out(self) -> None:
        for part in ("eddpm", "workflow", "profiles"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPO / part, self.folder / part, ignore=ignored, symlinks=True)
        (self.folder / "slurm").symlink_to("profiles/slurm")
        values = tiny_values() | {"runs": "config/digits/runs.tsv", "evaluation": {"spaces": ["pixels"]}}
        for kind, name in (("denoisers", "uadm"), ("classifiers", "ce")):
            values[kind] = {name: values[kind][name]}
        values["sampling"].update(shard_size=SHARD_SIZE, batch_size=1)
        values["sweep"].update(scales=[4], num_images=4, best={"minimise": "pixels/fid"}, matched=None)
        config = self.folder / "config/digits"
        config.mkdir(parents=True)
        (config / "config.yaml").write_text(yaml.safe_dump(values))
        (config / "runs.tsv").write_text(RUNS)

    def name_partitions(self) -> None:
        """Edit two lines of the profile, as it asks for: the names that wait there are those of the Slurm of tests."""
        profile = self.folder / "profiles/slurm/config.yaml"
        profile.write_text(profile.read_text().replace("# slurm_partition: ", "slurm_partition: "))

    def copy_networks(self, other: "Clone") -> None:
        """Take over what the other trains, as soon as that has ended, with its data set."""

        def trained() -> bool:
            assert other.driver.poll() is None, other.said[-5000:]
            states = [job["JobState"] for job in other.jobs() if job["rule"].startswith("train_")]
            return states == ["COMPLETED"] * len(NETWORKS)

        wait_until(trained)
        for part in ("resources", "results/digits/dataset", *(f"results/digits/{name}" for name in NETWORKS)):
            shutil.copytree(other.folder / part, self.folder / part)

    def start(self, *targets: str | Path) -> None:
        """The command of the README as `driver`; what it says is in `said`."""
        with open(self.folder / "driver.log", "ab") as log:
            self.driver = subprocess.Popen(
                [*COMMAND, *targets], cwd=self.folder, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def finish(self) -> None:
        try:
            assert self.driver.wait(600) == 0, self.said[-5000:]
        finally:
            self.driver.kill()

    @property
    def said(self) -> str:
        return (self.folder / "driver.log").read_text()

    def planned(self, *targets: str | Path) -> str:
        """What a dry run of the same command says."""
        command = [*COMMAND, "--dry-run", *targets]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    def jobs(self) -> list[dict[str, str]]:
        """Slurm's records of what was submitted here, oldest first, with each job's `rule` and `wildcards`."""
        named = re.compile(r"rule_(?P<rule>.+?)_wildcards_(?P<wildcards>.+)")
        here = [job for job in self.slurm.jobs() if job["WorkDir"] == str(self.folder)]
        return [job | named.fullmatch(job["Comment"]).groupdict() for job in here]

    def shard_jobs(self, shard: str) -> list[dict[str, str]]:
        wildcards = f"digits_{shard.replace('/', '_')}"
        return [job for job in self.jobs() if job["rule"] == "sample_shard" and job["wildcards"] == wildcards]

    def samples(self, shard: str) -> Path:
        run, number = shard.split("/")
        return self.folder / "results/digits/runs" / run / "samples" / f"{number}.npz"

    def batches(self, shard: str) -> int:
        """How many batches of an unfinished shard lie on disk."""
        return len(list(self.samples(shard).with_suffix(".unfinished").glob("*.npz")))

    def sampler(self, shard: str) -> int:
        """The process that samples the shard."""
        found = self.slurm.processes("sample-shard", str(self.samples(shard).relative_to(self.folder)))
        (pid,) = (pid for pid in found if Path(f"/proc/{pid}/cwd").resolve() == self.folder)
        return pid
