"""How long Snakemake takes to plan a large experiment, and how much memory: before the first job and after the last.

python benchmarks/dag.py [--methods 12] [--scales 10] [--shards 50]

Plans methods x scales x shards sampling jobs of the sweep, those of the table and of the best scales, and all that
measures them, with the digits' networks, of which none needs to exist. Prints a row of a table.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from metrics import machine

from eddpm.config.settings import read_yaml

REPO = Path(__file__).parents[1]
SHARD_SIZE = 1000


def write_project(folder: Path, methods: int, scales: int, shards: int) -> Path:
    """The digits with so many guided rows, scales and shards; the path of its config."""
    config, table = read_yaml(REPO / "config/digits/config.yaml"), folder / "runs.tsv"
    images = shards * SHARD_SIZE
    header = "run\tdenoiser\tclassifier\tsampler\tsteps\tguidance\tscale\tseed\tnum_images\n"
    rows = [f"UADM-{k}\tuadm\tce\tddim\tddim25\tentropy\t4\t0\t{images}\n" for k in range(methods)]
    table.write_text(header + "".join(rows), encoding="utf-8")
    config["sweep"] |= {
        "best": {"minimise": "pixels/fid"},
        "scales": [1 + k for k in range(scales)],
        "num_images": images,
    }
    config["sampling"] |= {"shard_size": SHARD_SIZE}
    config["runs"], config["ablations"] = str(table), {}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def plan(config: Path) -> tuple[int, float, float]:
    """Jobs, seconds and peak memory in GB of a dry run."""
    snakefile = REPO / "workflow/Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--configfile", config]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--cores", "1", "--dry-run", "--quiet", "rules", "--", "all"],
        cwd=config.parent,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.MULTILINE)[1]), seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", type=int, default=12)
    parser.add_argument("--scales", type=int, default=10)
    parser.add_argument("--shards", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = arguments.methods, arguments.scales, arguments.shards
        jobs, seconds, memory = plan(write_project(Path(folder), *size))
    print("| methods | scales | shards | all jobs | seconds | peak memory |")
    print("|---|---|---|---|---|---|")
    print(f"| {' | '.join(map(str, size))} | {jobs} | {seconds:.0f} | {memory:.2f} GB |")
    print(f"\n{machine()}.")


if __name__ == "__main__":
    main()
