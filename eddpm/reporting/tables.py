"""Tables of measured runs: one row per run, every metric headed with the space it was measured in."""

import math

import pandas as pd

from eddpm.errors import ArtifactError

TITLES = {
    "accuracy": "accuracy ↑",
    "fid": "FID ↓",
    "sfid": "sFID ↓",
    "kid": "KID ↓",
    "inception_score": "IS ↑",
    "precision": "precision ↑",
    "recall": "recall ↑",
}
_LATEX = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"}


def metrics_frame(rows: list[dict]) -> pd.DataFrame:
    """Contents of metrics.json files -> columns run, method, scale, seed, num_images, then the metrics by name.

    The standard error of `metric`, where it is known, is the column `metric_se`.
    `method` is the name of the runs table which a generated run varies: "UADM(25)-G at 4" is one of UADM(25)-G.
    """
    if not rows:
        raise ArtifactError("table: no metrics given; name at least one metrics.json")
    return pd.DataFrame(
        {
            "run": row["run"]["name"],
            "method": row["run"]["name"].partition(" at ")[0],
            "scale": row["run"]["scale"],
            "seed": row["run"]["seed"],
            "num_images": row["num_images"],
            **row["metrics"],
            **{f"{name}_se": error for name, error in row["standard_errors"].items()},
        }
        for row in rows
    )


def title(metric: str) -> str:
    """The heading of a metric: "pixels/fid" is "FID ↓ (pixels)"."""
    space, _, name = metric.rpartition("/")
    return f"{TITLES[name]} ({space})" if space else TITLES[name]


def metric_columns(frame: pd.DataFrame) -> list[str]:
    return [column for column in frame.columns if column.rpartition("/")[2] in TITLES]


def to_markdown(frame: pd.DataFrame, caption: str) -> str:
    """A pipe table of runs and metrics with the caption below."""
    return f"{_printed(frame).to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n"


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; needs \\usepackage{booktabs}."""
    text = _printed(frame).to_latex(index=False, escape=True, caption=_escape(caption))
    for arrow, command in _LATEX.items():
        text = text.replace(arrow, command)
    return text


def _printed(frame: pd.DataFrame) -> pd.DataFrame:
    printed = pd.DataFrame({"run": frame["method"], "scale": frame["scale"].map("{:g}".format)})
    for column in metric_columns(frame):
        errors = frame.get(f"{column}_se", default=[math.nan] * len(frame))
        printed[title(column)] = [number(value, error) for value, error in zip(frame[column], errors, strict=True)]
    return printed


def scores(metrics: dict[str, float], standard_errors: dict[str, float]) -> str:
    """A pipe table with a row for each metric."""
    rows = [(title(name), number(value, standard_errors.get(name, math.nan))) for name, value in metrics.items()]
    return pd.DataFrame(rows, columns=["metric", "value"]).to_markdown(index=False, disable_numparse=True)


def number(value: float, error: float) -> str:
    """A value and its standard error, to the error's second digit; a value alone to three decimals, or two digits."""
    if not error > 1e-9 * abs(value):  # none, or round-off
        return f"{value:.3f}" if not 0 < abs(value) < 0.1 else f"{value:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _escape(text: str) -> str:
    return text.replace("_", r"\_").replace("%", r"\%").replace("&", r"\&").replace("#", r"\#")
