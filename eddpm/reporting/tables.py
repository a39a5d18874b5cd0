"""Tables of runs: one row per run, measured or missing, every metric headed with the space it was measured in."""

import math
import re

import pandas as pd

from eddpm.config.metrics import METRICS
from eddpm.errors import ArtifactError

NONE, MISSING = "—", "missing"  # cells without a number
_OF_RUNS = ("run", "method", "scale", "seed", "num_images")  # the columns that are no metrics
_LATEX = str.maketrans(
    {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "—": "---"}
    | {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "§": r"$^{\S}$", "¶": r"$^{\P}$"}
)
_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def metrics_frame(runs: list[str], measured: dict[str, dict]) -> pd.DataFrame:
    """A row for each of `runs`, from the contents of metrics.json files by run: columns run, method, scale, seed,
    num_images, then the metrics by name. A run that is not among `measured` has empty numbers.

    The standard error of `metric`, where it is known, is the column `metric_se`.
    `method` is the name of the runs table which a generated run varies: "UADM(25)-G at 4" is one of UADM(25)-G.
    """
    if not runs:
        raise ArtifactError("table: no runs given; name at least one")
    rows = [{"run": run, "method": run.partition(" at ")[0], **_numbers(measured.get(run))} for run in runs]
    frame = pd.DataFrame(rows)
    numbers = dict.fromkeys(frame.columns.drop(["run", "method"]), "float")
    return frame.astype(numbers | {"seed": "Int64", "num_images": "Int64"})


def _numbers(contents: dict | None) -> dict[str, float]:
    """The columns of a run; without contents, those that every run has, empty."""
    if contents is None:
        return {"scale": math.nan, "seed": pd.NA, "num_images": pd.NA}
    return {
        "scale": contents["run"]["scale"],
        "seed": contents["run"]["seed"],
        "num_images": contents["num_images"],
        **contents["metrics"],
        **{f"{name}_se": error for name, error in contents["standard_errors"].items()},
    }


def title(metric: str) -> str:
    """The heading of a metric: "pixels/fid" is "FID ↓ (pixels)"; one of another version keeps its own name."""
    space, _, name = metric.rpartition("/")
    heading = METRICS[name].heading if name in METRICS else name
    return f"{heading} ({space})" if space else heading


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """All that was measured, but for the standard errors."""
    errors = {f"{column}_se" for column in frame.columns}
    return [column for column in frame.columns if column not in _OF_RUNS and column not in errors]


def to_markdown(frame: pd.DataFrame, caption: str) -> str:
    """A pipe table of runs and metrics with the caption below."""
    return f"{pipe_table(_printed(frame))}\n\n{caption}\n"


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; needs \\usepackage{booktabs}."""
    return booktabs_table(_printed(frame), caption)


def pipe_table(cells: pd.DataFrame) -> str:
    """Text cells as markdown."""
    return cells.to_markdown(index=False, disable_numparse=True)


def booktabs_table(cells: pd.DataFrame, caption: str) -> str:
    """Text cells as LaTeX, with true minus signs."""
    text = cells.to_latex(index=False, escape=True, caption=latex_text(caption)).translate(_LATEX)
    return re.sub(r"(?<=& )-(?=\d)", "$-$", text)


def latex_text(text: str) -> str:
    """Text as LaTeX reads it."""
    return text.translate(_ESCAPED).translate(_LATEX)


def _printed(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells as text. A missing run says so in the first metric's; its scale is the one that its name tells."""
    scales = [
        run.partition(" at ")[2] or NONE if math.isnan(scale) else f"{scale:g}"
        for run, scale in zip(frame["run"], frame["scale"], strict=True)
    ]
    printed = pd.DataFrame({"run": frame["method"], "scale": scales})
    for column in metric_columns(frame):
        errors = frame.get(f"{column}_se", default=[math.nan] * len(frame))
        printed[title(column)] = [number(value, error) for value, error in zip(frame[column], errors, strict=True)]
    if len(printed.columns) == 2:  # nothing is measured yet
        printed["metrics"] = NONE
    printed.loc[frame["num_images"].isna(), printed.columns[2]] = MISSING
    return printed


def scores(metrics: dict[str, float], standard_errors: dict[str, float]) -> str:
    """A pipe table with a row for each metric."""
    rows = [(title(name), number(value, standard_errors.get(name, math.nan))) for name, value in metrics.items()]
    return pipe_table(pd.DataFrame(rows, columns=["metric", "value"]))


def number(value: float, error: float) -> str:
    """A value and its standard error, to the error's second digit; a value alone to three decimals, or two digits.

    A dash for nan.
    """
    if math.isnan(value):
        return NONE
    if not error > 1e-9 * abs(value):  # none, or round-off
        return f"{value:.3f}" if not 0 < abs(value) < 0.1 else f"{value:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
