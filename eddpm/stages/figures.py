"""Figures of an experiment, from samples, traces, noise levels and tables that lie on disk."""

import json
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd

from eddpm.config.outputs import FIGURES
from eddpm.errors import ArtifactError
from eddpm.io.batches import ImageFile
from eddpm.io.filekinds import refuse_impostor
from eddpm.io.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_figure(
    figure: Annotated[str, {"choices": list(FIGURES)}],
    inputs: list[Path],
    labels: Annotated[list[str], {"nargs": "*", "default": []}],
    png: Path,
    pdf: Path,
    denoisers: Annotated[list[str], {"nargs": "*"}, "the denoiser of each trace, which have a row of panels each"] = (),
) -> None:
    """Draw a figure of FIGURES: from an npz of samples, a csv of a trace or a jsonl of noise levels per label, or from
    the csv of a sweep, which needs no labels.
    """
    plots = drawing("plots")
    draw, kind = getattr(plots, f"plot_{figure}"), FIGURES[figure].inputs
    if kind != "sweep" and len(labels) != len(inputs):
        raise ArtifactError(f"--labels: {len(labels)} for {len(inputs)} inputs; give one each, in the same order")
    contents = [_READERS[kind](path) for path in inputs]
    if denoisers and len(denoisers) != len(labels):
        raise ArtifactError(f"--denoisers: {len(denoisers)} for {len(labels)} labels; give one each, or none")
    panels = [dict(zip(labels, denoisers, strict=True))] if denoisers else []
    drawn = draw(pd.concat(contents) if kind == "sweep" else dict(zip(labels, contents, strict=True)), *panels)
    save(drawn, png, "png")
    save(drawn, pdf, "pdf")


def drawing(module: str) -> ModuleType:
    """A module of eddpm.reporting that draws."""
    # A notebook's backend goes on to what is started there, where matplotlib cannot even be imported with it.
    os.environ["MPLBACKEND"] = "Agg"
    return import_module(f"eddpm.reporting.{module}")


def save(figure: "Figure", path: Path, suffix: str, dpi: int = 150) -> None:
    """The figure as a file of that kind, with no date."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=dpi, metadata={"CreationDate": None} if suffix == "pdf" else {})


def _first_images(path: Path) -> np.ndarray:
    """More than a row shows: a shard of large pictures need not fit in memory."""
    return next(ImageFile(path).batches(20))


def read_csv(path: Path) -> pd.DataFrame:
    refuse_impostor(path, text=True)
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable csv ({error}); check the path, or make it again") from None


def read_levels(path: Path) -> pd.DataFrame:
    refuse_impostor(path, text=True)
    try:
        frame = pd.DataFrame(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable JSON lines ({error}); check the path, or make it again") from None
    if "t_from" not in frame:
        raise ArtifactError(f"{path}: holds no noise levels; name a noise_levels.jsonl of measure-classifier")
    return frame


_READERS = {"samples": _first_images, "traces": read_csv, "noise_levels": read_levels, "sweep": read_csv}
