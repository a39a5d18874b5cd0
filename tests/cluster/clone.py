"""A checkout with a tiny experiment, in which `snakemake --profile slurm all` runs as in a fresh clone."""

import re
import shutil
import subprocess
import sys
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
COMMAND = ("snakemake", "--profile", "slurm", "all")


class Clone:
    """The folder, and snakemake in it. A shard is named `run/number`."""

    def __init__(self, folder: Path, slurm: Slurm):
        self.folder, self.slurm = folder, slurm
        # A job has 4 threads, for which the machine need not have cores: those that wait must not spin.
        self._environment = slurm.environment | {"OMP_WAIT_POLICY": "passive"}
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"

    def check_out(self) -> None:
        for part in ("eddpm", "workflow", "profiles"):
            shutil.copytree(REPO / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "environment.yml", self.folder)
        (self.folder / "slurm").symlink_to("profiles/slurm")
        # The file that a site edits. Slurm is asked for news every few seconds, not every 40: jobs here take seconds.
        with open(self.folder / "profiles/slurm/config.yaml", "a") as profile:
            profile.write("slurm-init-seconds-before-status-checks: 5\n")
        values = tiny_values() | {"runs": "config/digits/runs.tsv", "evaluation": {"spaces": ["pixels"]}}
        for kind, name in (("denoisers", "uadm"), ("classifiers", "ce")):
            values[kind] = {name: values[kind][name]}
        values["sampling"].update(shard_size=SHARD_SIZE, batch_size=1)
        values["sweep"].update(scales=[4], num_images=4, best={"minimise": "pixels/fid"})
        config = self.folder / "config/digits"
        config.mkdir(parents=True)
        (config / "config.yaml").write_text(yaml.safe_dump(values))
        (config / "runs.tsv").write_text(RUNS)

    def copy_unsampled(self, folder: Path) -> "Clone":
        """The same folder with networks, sweep and references, but with no samples and no metrics of the runs."""
        subprocess.run(["cp", "-rp", self.folder, folder], check=True)
        copy = Clone(folder, self.slurm)
        for shard in SHARDS:
            copy.samples(shard).unlink()
            copy.metrics(shard).unlink(missing_ok=True)  # of two shards
        return copy

    def start(self) -> subprocess.Popen:
        """The command of the README; what it says is in `said`."""
        with open(self.folder / "driver.log", "ab") as log:
            return subprocess.Popen(
                COMMAND, cwd=self.folder, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def finish(self, driver: subprocess.Popen) -> None:
        try:
            assert driver.wait(300) == 0, self.said[-5000:]
        finally:
            driver.kill()

    @property
    def said(self) -> str:
        return (self.folder / "driver.log").read_text()

    def planned(self) -> str:
        """What a dry run of the same command says."""
        done = subprocess.run(
            [*COMMAND, "--dry-run"], cwd=self.folder, env=self._environment, capture_output=True, text=True, check=True
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

    def metrics(self, shard: str) -> Path:
        """The measurements of the shard's run."""
        return self.folder / "results/digits/runs" / shard.split("/")[0] / "metrics.json"

    def samples(self, shard: str) -> Path:
        return self.metrics(shard).parent / "samples" / f"{shard.split('/')[1]}.npz"

    def batches(self, shard: str) -> int:
        """How many batches of an unfinished shard lie on disk."""
        return len(list(self.samples(shard).with_suffix(".unfinished").glob("*.npz")))

    def sampler(self, shard: str) -> int:
        """The process that samples the shard."""
        (pid,) = self.slurm.processes("sample-shard", str(self.samples(shard).relative_to(self.folder)))
        return pid
