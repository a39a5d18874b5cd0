"""Tables and figures of an experiment, from metrics, traces and samples that lie on disk."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd

from eddpm.errors import ArtifactError
from eddpm.io.batches import ImageFile
from eddpm.io.filekinds import refuse_impostor
from eddpm.io.files import atomic, read_json, write_text
from eddpm.reporting.published import COMPARED, comparison_frame, comparison_latex, comparison_markdown, read_published
from eddpm.reporting.tables import metrics_frame, to_latex, to_markdown
from eddpm.stages import Caption, Measured

Names = Annotated[list[str], "the name of each row, in order"]
Figure = Literal["samples", "trace", "noise_levels", "fronts", "scales", "precision_recall"]
Labels = Annotated[list[str], {"nargs": "*", "default": []}]


def make_table(runs: Names, metrics: Measured, caption: Caption, csv: Path, md: Path, tex: Path) -> None:
    """Write one table of `runs` in three formats; the csv has every digit and column.

    `metrics` are the metrics.json of those that have been measured; the others are rows that say so.
    """
    measured = _measured(runs, metrics)
    frame = metrics_frame(runs, measured)
    caption = f"{caption} {_origin(runs, measured)}"
    write_text(csv, frame.to_csv(index=False))
    write_text(md, to_markdown(frame, caption))
    write_text(tex, to_latex(frame, caption))


def compare_published(
    runs: Names,
    metrics: Measured,
    published: Annotated[Path, "such as config/imagenet256/published.tsv"],
    caption: Caption,
    csv: Path,
    md: Path,
    tex: Path,
) -> None:
    """Write our numbers of `runs` beside those that others published, in three formats; the csv has a row per number.

    `metrics` are the metrics.json of the runs measured so far, `published` is a table as config/*/published.tsv.
    """
    measured = _measured(runs, metrics)
    for path, row in zip(metrics, measured.values(), strict=True):
        if not row["metrics"].keys() >= set(COMPARED):
            raise ArtifactError(f"{path}: has no metrics of the space inception; add it to evaluation.spaces")
    sources = read_published(published)
    caption = f"{caption} {_origin(runs, measured)}"
    write_text(csv, comparison_frame(runs, measured, sources).to_csv(index=False))
    write_text(md, comparison_markdown(runs, measured, sources, caption))
    write_text(tex, comparison_latex(runs, measured, sources, caption))


def _measured(runs: list[str], metrics: list[Path]) -> dict[str, dict]:
    """The contents of metrics.json files by the name of their run."""
    measured = {}
    for path in metrics:
        row = read_json(path, "run", "num_images", "metrics", "standard_errors", "provenance")
        name = row["run"]["name"]
        if name not in runs or name in measured:
            fault = "given twice" if name in measured else "not among --runs"
            raise ArtifactError(f"{path}: run '{name}' is {fault}; give one file for each run of the table at most")
        measured[name] = row
    return measured


def _origin(runs: list[str], measured: dict[str, dict]) -> str:
    """What made the rows of a table: images, commit, torch and device, each named once; and how many are missing."""
    absent = len(set(runs) - measured.keys())
    missing = f"Missing: {absent} of {len(runs)} runs." if absent else ""
    if not measured:
        return missing
    rows = measured.values()
    counts = " or ".join(f"{count:,}" for count in sorted({row["num_images"] for row in rows}))
    commit, torch, device = (
        ", ".join(dict.fromkeys(row["provenance"][key] for row in rows)) for key in ("commit", "torch", "device")
    )
    return f"{counts} images per row; commit {commit}; torch {torch}; measured on {device}. {missing}".rstrip()


def plot_figure(figure: Figure, inputs: list[Path], labels: Labels, png: Path, pdf: Path) -> None:
    """Draw one figure: "samples" (an npz per label), "trace" (a csv per label), "noise_levels" (a jsonl per label),
    "fronts", "scales" or "precision_recall" (csv of a table).
    """
    # A notebook's backend goes on to what is started there, where matplotlib cannot even be imported with it.
    os.environ["MPLBACKEND"] = "Agg"
    from eddpm.reporting import plots

    if figure == "samples":
        drawn = plots.plot_samples({label: _first_images(path) for label, path in _pair(labels, inputs)})
    elif figure == "trace":
        drawn = plots.plot_trace({label: _read_csv(path) for label, path in _pair(labels, inputs)})
    elif figure == "noise_levels":
        drawn = plots.plot_noise_levels({label: _read_levels(path) for label, path in _pair(labels, inputs)})
    else:
        draw = {
            "fronts": plots.plot_fronts,
            "scales": plots.plot_scales,
            "precision_recall": plots.plot_precision_recall,
        }[figure]
        drawn = draw(pd.concat([_read_csv(path) for path in inputs]))
    for path, kind in ((png, "png"), (pdf, "pdf")):
        with atomic(path) as temporary:
            drawn.savefig(temporary, format=kind, dpi=150, metadata={"CreationDate": None} if kind == "pdf" else {})


def _first_images(path: Path) -> np.ndarray:
    """More than a row shows: a shard of large pictures need not fit in memory."""
    return next(ImageFile(path).batches(20))


def _read_csv(path: Path) -> pd.DataFrame:
    refuse_impostor(path, text=True)
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable csv ({error}); check the path, or make it again") from None


def _read_levels(path: Path) -> pd.DataFrame:
    refuse_impostor(path, text=True)
    try:
        frame = pd.DataFrame(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable JSON lines ({error}); check the path, or make it again") from None
    if "t_from" not in frame:
        raise ArtifactError(f"{path}: holds no noise levels; name a noise_levels.jsonl of measure-classifier")
    return frame


def _pair(labels: list[str], inputs: list[Path]) -> zip:
    if len(labels) != len(inputs):
        raise ArtifactError(f"--labels: {len(labels)} for {len(inputs)} inputs; give one each, in the same order")
    return zip(labels, inputs, strict=True)
