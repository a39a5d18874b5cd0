"""How fast the metrics are beside those of other packages, on one thread: a table for docs/evaluation.md.

python benchmarks/metrics.py [--images 10000] [--dimensions 2048]
"""

import argparse
import contextlib
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


def all_of_balls(sets):
    """Precision, recall, density and coverage, of one pass."""
    from eddpm.evaluation.manifold import manifold_metrics

    found = manifold_metrics(*sets, ("precision", "recall", "density", "coverage"))
    return [found["density"], found["coverage"]]


def prdc(sets):
    from prdc import compute_prdc

    with contextlib.redirect_stdout(None):
        found = compute_prdc(*(each.numpy() for each in sets), nearest_k=5)
    return [found["density"], found["coverage"]]


def memorisation(sets):
    from eddpm.evaluation.manifold import manifold_metrics

    return list(manifold_metrics(*sets, ("authpct", "nearer")).values())


def vendi_ours(sets):
    from eddpm.evaluation.vendi import vendi

    return vendi(sets[1])


def vendi_authors(sets):
    from vendi_score.vendi import score_dual

    return float(score_dual(sets[1].double().numpy()))


def mmd_ours(sets):
    from eddpm.evaluation.kid import mmd

    return mmd(*sets)


def mmd_fidelity(sets):
    from torch_fidelity.metric_kid import kernel_rbf, mmd2

    x, y = (torch.nn.functional.normalize(each.double()).numpy() for each in sets)
    kernels = [kernel_rbf(a, b, kid_kernel_rbf_sigma=10.0) for a, b in ((x, x), (x, y), (y, y))]
    return 1000 * mmd2(*kernels, mmd_est="biased")


def infinity(sets):
    from eddpm.evaluation.frechet import GaussianStats, fid_infinity

    stats = GaussianStats.of(sets[0].numpy())
    return fid_infinity(sets[1], stats.mean, stats.covariance)


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
    return _of_status("VmHWM")


def held() -> float:
    """Memory that this process holds now, in MB."""
    return _of_status("VmRSS")


def _of_status(entry: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{entry}:")[2].split()[0]) / 1024


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
        ("these two with density and coverage, prdc", "all_of_balls", "prdc"),
        ("Vendi score, its authors' code", "vendi_ours", "vendi_authors"),
        ("RBF-MMD, torch-fidelity's kernels", "mmd_ours", "mmd_fidelity"),
        ("AuthPct and nearer", "memorisation", None),
        ("FID-infinity", "infinity", None),
        ("standard errors of FID, KID, precision, recall", "standard_errors", None),
    ):
        a = measured(ours, arguments)
        if other is None:
            print(f"| {what} | {a['seconds']:.1f} s | | | {a['peak']:.0f} MB | | |", flush=True)
            continue
        b = measured(other, arguments)
        difference = np.abs(np.array(a["value"]) - np.array(b["value"])).max()
        print(
            f"| {what} | {a['seconds']:.1f} s | {b['seconds']:.1f} s | {b['seconds'] / a['seconds']:.1f} |"
            f" {a['peak']:.0f} MB | {b['peak']:.0f} MB | {difference:.1g} |",
            flush=True,
        )
    print(f"\n{arguments.images} samples and references, {arguments.dimensions} dimensions, one thread, {machine()}.")


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, torch {torch.__version__}, numpy {np.__version__}"


if __name__ == "__main__":
    main()
