"""How fast the metrics are beside clean-fid's and torch-fidelity's, on one thread: a table for docs/evaluation.md.

python benchmarks/metrics.py [--images 10000] [--dimensions 2048]
"""

import argparse
import json
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch


def features(images: int, dimensions: int, seed: int, spread: float) -> torch.Tensor:
    """Correlated features, float32: most of their variance lies in 64 directions, as with a network's."""
    source = torch.Generator().manual_seed(seed)
    mixing = torch.randn(64, dimensions, generator=torch.Generator().manual_seed(0))
    found = torch.randn(images, dimensions, generator=source).mul_(0.3)
    return found.addmm_(torch.randn(images, 64, generator=source), mixing, alpha=spread)


def fid_ours(stats):
    from eddpm.evaluation.frechet import frechet_distance

    return frechet_distance(*stats)


def fid_clean(stats):
    from cleanfid.fid import frechet_distance

    return frechet_distance(*stats)


def prc_ours(sets):
    from eddpm.evaluation.manifold import precision_recall

    return precision_recall(*sets)


def prc_fidelity(sets):
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    return calculate_precision_recall_full(sets[1], sets[0])


def standard_errors(sets):
    from eddpm.evaluation.bootstrap import REPLICATES, half_samples, standard_error
    from eddpm.evaluation.features import FeatureSet
    from eddpm.evaluation.frechet import GaussianStats
    from eddpm.evaluation.metrics import Pair, measure_halves

    reference, samples = (FeatureSet(each.numpy(), GaussianStats.of(each.numpy()), None, None) for each in sets)
    count = len(samples.pooled)
    on_halves = measure_halves(Pair(samples, reference, 3), half_samples(count, REPLICATES))
    return [standard_error(values, count) for values in on_halves.values()]


def run(name: str, images: int, dimensions: int) -> None:
    """Time one function, and the memory of its process: in a process of its own, so that peaks are its own."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    sets = [features(images, dimensions, seed, spread) for seed, spread in ((1, 1.0), (2, 0.9))]
    if name.startswith("fid"):
        stats = [part for each in sets for part in (each.double().mean(0).numpy(), np.cov(each.numpy(), rowvar=False))]
    start = time.perf_counter()
    value = globals()[name](stats if name.startswith("fid") else sets)
    seconds = time.perf_counter() - start
    print(json.dumps({"value": value, "seconds": seconds, "peak": peak()}))


def peak() -> float:
    """Most memory that this process has held so far, in MB (Linux; getrusage would count the parent's before exec)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(name: str, arguments: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--run", name]
    command += ["--images", str(arguments.images), "--dimensions", str(arguments.dimensions)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run, arguments.images, arguments.dimensions)
        return
    print("| what | ours | other | ratio | our peak memory | other's peak memory | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for what, ours, other in (
        ("FID from statistics, clean-fid", "fid_ours", "fid_clean"),
        ("precision and recall, torch-fidelity", "prc_ours", "prc_fidelity"),
    ):
        a, b = measured(ours, arguments), measured(other, arguments)
        difference = np.abs(np.array(a["value"]) - np.array(b["value"])).max()
        print(
            f"| {what} | {a['seconds']:.1f} s | {b['seconds']:.1f} s | {b['seconds'] / a['seconds']:.1f} |"
            f" {a['peak']:.0f} MB | {b['peak']:.0f} MB | {difference:.1g} |"
        )
    what, errors = "standard errors of FID, KID, precision, recall", measured("standard_errors", arguments)
    print(f"| {what} | {errors['seconds']:.1f} s | | | {errors['peak']:.0f} MB | | |")
    print(f"\n{arguments.images} samples and references, {arguments.dimensions} dimensions, one thread, {machine()}.")


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, torch {torch.__version__}, numpy {np.__version__}"


if __name__ == "__main__":
    main()
