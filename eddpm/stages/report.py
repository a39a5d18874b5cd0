"""Tables and figures of an experiment, from metrics, traces and samples that lie on disk."""

import json
from pathlib import Path

import pandas as pd

from eddpm.artifacts import atomic, read_json, read_samples, write_text
from eddpm.errors import ArtifactError
from eddpm.reporting.tables import metrics_frame, to_latex, to_markdown


def make_table(metrics: list[Path], caption: str, csv: Path, md: Path, tex: Path) -> None:
    """Write one table of runs, in the order given, in three formats; the csv has every digit and column."""
    rows = [read_json(path, "run", "num_images", "metrics", "standard_errors", "provenance") for path in metrics]
    frame = metrics_frame(rows)
    caption = f"{caption} {_origin(rows)}"
    write_text(csv, frame.to_csv(index=False))
    write_text(md, to_markdown(frame, caption))
    write_text(tex, to_latex(frame, caption))


def _origin(rows: list[dict]) -> str:
    """What made the rows of a table: images, commit, torch and device, each named once."""
    counts = " or ".join(f"{count:,}" for count in sorted({row["num_images"] for row in rows}))
    commit, torch, device = (
        ", ".join(dict.fromkeys(row["provenance"][key] for row in rows)) for key in ("commit", "torch", "device")
    )
    return f"{counts} images per row; commit {commit}; torch {torch}; measured on {device}."


def plot_figure(figure: str, inputs: list[Path], labels: list[str], png: Path, pdf: Path) -> None:
    """Draw one figure: "samples" (an npz per label), "trace" (a csv per label), "noise_levels" (a jsonl per label),
    "fronts" or "scales" (csv of a table).
    """
    from eddpm.reporting import plots

    if figure == "samples":
        drawn = plots.plot_samples({label: read_samples(path).images for label, path in _pair(labels, inputs)})
    elif figure == "trace":
        drawn = plots.plot_trace({label: _read_csv(path) for label, path in _pair(labels, inputs)})
    elif figure == "noise_levels":
        drawn = plots.plot_noise_levels({label: _read_levels(path) for label, path in _pair(labels, inputs)})
    else:
        draw = {"fronts": plots.plot_fronts, "scales": plots.plot_scales}[figure]
        drawn = draw(pd.concat([_read_csv(path) for path in inputs]))
    for path, kind in ((png, "png"), (pdf, "pdf")):
        with atomic(path) as temporary:
            drawn.savefig(temporary, format=kind, dpi=150, metadata={"CreationDate": None} if kind == "pdf" else {})


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable csv ({error}); check the path, or make it again") from None


def _read_levels(path: Path) -> pd.DataFrame:
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
