"""A finished experiment's rows sampled in half precision, beside those in float32: the differences of their metrics.

python benchmarks/precision.py [--config config/digits/config.yaml] [--precision bfloat16]

Takes the networks, references and samples of results/<experiment>. Both precisions start from the same noise, and the
error of a difference is that of paired halves of the images. On a CPU without instructions for the precision, products
are computed in float32, of operands that are rounded to it, and their results are rounded to it, as such instructions
do; the products within attention alone keep float32 between the two of them.
"""

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from metrics import machine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from eddpm.config import paths
from eddpm.config.assets import space_files, weights_file
from eddpm.config.frozen import frozen_text
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.evaluation.bootstrap import standard_error
from eddpm.io.batches import ImageFile
from eddpm.io.files import write_text
from eddpm.models.device import device_name, in_hardware, pick_device
from eddpm.stages.measure import measure_samples
from eddpm.stages.sample import sample_shard

PRODUCTS = {
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.mm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
}


class Rounded(TorchDispatchMode):
    """Computes products of half-precision tensors in float32, and rounds what they give."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        halves = [x.dtype for x in args if isinstance(x, torch.Tensor) and x.dtype in (torch.bfloat16, torch.float16)]
        if function not in PRODUCTS or not halves:
            return function(*args, **kwargs)
        exact = tree_map(lambda x: x.float() if isinstance(x, torch.Tensor) and x.dtype == halves[0] else x, args)
        found = function(*exact, **kwargs)
        if function is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default:
            return found[0].to(halves[0]), *found[1:]  # the sums of exponentials are float32 in any case
        return tree_map(lambda x: x.to(halves[0]) if isinstance(x, torch.Tensor) else x, found)


def sampled_anew(project: Project, run: str, precision: str, folder: Path) -> tuple[dict, pd.DataFrame]:
    """The metrics of a run in this precision, and their values on halves of its images."""
    e, row = project.experiment, project.table_runs[run]
    settings = project.sample(run).model_copy(update={"precision": precision})
    frozen, samples = folder / f"{run}.yaml", folder / f"{run}.npz"
    write_text(frozen, frozen_text(settings))
    denoiser = Path(weights_file(project, "denoisers", row.denoiser))
    classifier = Path(weights_file(project, "classifiers", row.classifier)) if row.classifier else None
    sample_shard([frozen], denoiser, classifier, 0, row.num_images, project.sampling.batch_size, [samples])
    spaces = [space.replace(":", "-") for space in project.evaluation.spaces]
    references = [paths.REFERENCE.format(experiment=e, space=space) for space in spaces]
    outputs = [[folder / f"{run}.{kind}"] for kind in ("json", "csv", "trace", "png")]
    measure_samples(
        Path(paths.SETTINGS.format(experiment=e, part="evaluation")),
        [frozen],
        [samples],
        [],
        [Path(file) for file in space_files(project)],
        [Path(reference) for reference in references],
        *outputs,
    )
    return json.loads(outputs[0][0].read_text(encoding="utf-8"))["metrics"], pd.read_csv(outputs[1][0])


def differences(
    project: Project, run: str, precision: str, folder: Path, mode
) -> list[tuple[str, float, float, float]]:
    """Of each metric its float32 value, the difference in half precision, and the difference's error."""
    exact, exact_halves = sampled_anew(project, run, "float32", folder / "float32")
    with mode():
        half, halves = sampled_anew(project, run, precision, folder / precision)
    pictures = [
        np.concatenate(list(ImageFile(folder / name / f"{run}.npz").batches())) for name in ("float32", precision)
    ]
    grey = np.abs(pictures[0].astype(int) - pictures[1]).mean()
    errors = standard_error((halves - exact_halves).to_numpy(), project.table_runs[run].num_images)
    return [("grey levels", 0.0, grey, float("nan"))] + [
        (name, exact[name], half[name] - exact[name], error) for name, error in zip(halves, errors, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config", type=Path, default=Path("config/digits/config.yaml"), help="of a finished experiment"
    )
    parser.add_argument("--precision", choices=["bfloat16", "float16"], default="bfloat16")
    arguments = parser.parse_args()
    project = load_project(read_yaml(arguments.config), str(arguments.config))
    native = in_hardware(pick_device(), getattr(torch, arguments.precision))
    columns: dict[str, dict[str, str]] = {}
    beyond = of = 0
    with tempfile.TemporaryDirectory() as name:
        for part in ("float32", arguments.precision):
            Path(name, part).mkdir()
        for run, row in project.table_runs.items():
            cells = columns[row.run] = {}
            for metric, exact, difference, error in differences(
                project, run, arguments.precision, Path(name), nullcontext if native else Rounded
            ):
                if np.isnan(error):
                    cells[metric] = f"{difference:.2f}"
                    continue
                cells[metric] = f"{exact:.4g} {difference:+.2g} ± {error:.1g}"
                beyond, of = beyond + (abs(difference) > 2 * error), of + 1
    print(pd.DataFrame(columns).T.to_markdown(disable_numparse=True))
    print(
        f"\nMetrics in float32, and what {arguments.precision} adds, with its standard error; mean difference of pixels"
        f" in grey levels. {beyond} of {of} differences are beyond two errors."
        f" {'Native' if native else 'Emulated'} {arguments.precision}; {device_name(pick_device())}, {machine()}."
    )


if __name__ == "__main__":
    main()
