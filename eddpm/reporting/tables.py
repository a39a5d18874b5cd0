"""Tables of runs: one row per run, measured or missing, every metric headed with the space it was measured in.

The cells of a table are text, with metrics by name ("pixels/fid") as columns. Each format gives them their titles.
"""

import html
import math
import re
import statistics
from collections.abc import Sequence

import pandas as pd

from eddpm.config.metrics import METRICS
from eddpm.errors import ArtifactError

NONE, MISSING = "—", "missing"  # cells without a number
WIDTH = 120  # of a markdown table, in characters
_OF_RUNS = ("run", "method", "scale", "seed", "num_images", "training_seeds")  # the columns that are no metrics
# Columns on request, and their titles.
COSTS = {
    "cost/denoiser": "denoiser evaluations",
    "cost/classifier_forward": "classifier evaluations (forward)",
    "cost/classifier_backward": "(backward)",
    "cost/seconds": "seconds per image",
}
_LATEX = str.maketrans(
    {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "—": "---"}
    | {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "§": r"$^{\S}$", "¶": r"$^{\P}$"}
)
_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
# An underscore within a word, or after it, begins nothing.
_MARKS = re.compile(r"[\\`*|<\[$~]|^[#>]|(?<![^\W_])_|&(?=#?\w+;)")
_PAGE = """\
<!DOCTYPE html>
<meta charset="utf-8">
<style>
body {{ font: 14px sans-serif; margin: 1em }}
table {{ border-collapse: collapse }}
th {{ text-align: left; border-bottom: 1px solid; {pointer} }}
th, td {{ padding: 0.3em 0.7em }}
td {{ white-space: nowrap }}
tbody tr:nth-child(odd) {{ background: #f3f3f3 }}
</style>
{table}
{below}
"""
# A click on a heading sorts the rows by its column, a second one the other way round; cells without a number are last.
_SORTING = """\
<script>
for (const heading of document.querySelectorAll("th")) heading.onclick = () => {
  const sign = heading.dataset.sign = -(heading.dataset.sign || -1);
  const text = row => row.cells[heading.cellIndex].textContent;
  const number = row => { const value = parseFloat(text(row)); return isNaN(value) ? sign * Infinity : value; };
  const body = document.querySelector("tbody");
  body.append(...[...body.rows].sort((a, b) => sign * (number(a) - number(b) || text(a).localeCompare(text(b)))));
};
</script>
"""


def mean_row(runs: Sequence[dict]) -> dict:
    """The contents of a row's metrics.json from those of its runs, which differ in the training seed alone.

    Metrics are means, and standard errors cover images and trainings. The images of the runs share their noise, so the
    mean need not have less of its error than one run: the mean square of the runs' errors stays. The variance between
    the runs is that of trainings, divided by their number. Where runs have no errors, that is all.
    """
    if len(runs) == 1:
        return runs[0]
    metrics, errors = {}, {}
    for name in runs[0]["metrics"]:
        values = [run["metrics"].get(name, math.nan) for run in runs]
        of_images = statistics.fmean(run["standard_errors"].get(name, 0.0) ** 2 for run in runs)
        metrics[name] = statistics.fmean(values)
        errors[name] = math.sqrt(of_images + statistics.variance(values) / len(runs))
    numbers = {"metrics": metrics, "standard_errors": errors, "cost": _mean_cost(runs)}
    return {**runs[0], **numbers, "training_seeds": len(runs)}


def _mean_cost(runs: Sequence[dict]) -> dict[str, float]:
    """The cost of an image, nan where a run, measured before there were costs, does not say."""
    names = [name.removeprefix("cost/") for name in COSTS]
    return {name: statistics.fmean(run.get("cost", {}).get(name, math.nan) for run in runs) for name in names}


def metrics_frame(
    runs: list[str], measured: dict[str, dict], methods: Sequence[str] = (), costs: bool = False
) -> pd.DataFrame:
    """A row for each of `runs`, from the contents of metrics.json files by run: columns run, method, scale, seed,
    num_images, training_seeds where a row is the mean over several (`mean_row`), then the metrics by name. A run that
    is not among `measured` has empty numbers.

    The standard error of `metric`, where it is known, is the column `metric_se`.
    `methods` are the names of the rows beside their scales: "UADM(25)-G at 4" is UADM(25)-G there. With `costs`, those
    of an image come last.
    """
    if not runs:
        raise ArtifactError("table: no runs given; name at least one")
    names = zip(runs, methods or runs, strict=True)
    rows = [{"run": run, "method": method, **_numbers(measured.get(run))} for run, method in names]
    frame = pd.DataFrame(rows)
    of_cost = [column for column in COSTS if column in frame]
    kept = frame.columns.drop(of_cost)
    frame = frame[[*kept, *of_cost] if costs else kept]
    numbers = dict.fromkeys(frame.columns.drop(["run", "method"]), "float")
    frame = frame.astype(numbers | dict.fromkeys(["seed", "num_images", "training_seeds"], "Int64"))
    return frame if (frame["training_seeds"] > 1).any() else frame.drop(columns="training_seeds")


def _numbers(contents: dict | None) -> dict[str, float]:
    """The columns of a run; without contents, those that every run has, empty."""
    if contents is None:
        return {"scale": math.nan, "seed": pd.NA, "num_images": pd.NA, "training_seeds": pd.NA}
    return {
        "scale": contents["run"]["scale"],
        "seed": contents["run"]["seed"],
        "num_images": contents["num_images"],
        "training_seeds": contents.get("training_seeds", 1),
        **contents["metrics"],
        **{f"{name}_se": error for name, error in contents["standard_errors"].items()},
        **{f"cost/{name}": value for name, value in _mean_cost([contents]).items()},
    }


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of metrics, without their standard errors."""
    errors = {f"{column}_se" for column in frame.columns}
    return [column for column in frame.columns if column not in {*_OF_RUNS, *COSTS, *errors}]


def metrics_cells(frame: pd.DataFrame, scales: Sequence[str] = ()) -> pd.DataFrame:
    """Cells of a metrics frame. A missing run says so in the first metric's; its scale is that of `scales`."""
    planned = zip(scales or [NONE] * len(frame), frame["scale"], strict=True)
    scales = [text if math.isnan(scale) else f"{scale:g}" for text, scale in planned]
    cells = pd.DataFrame({"run": frame["method"], "scale": scales})
    for column in metric_columns(frame):
        errors = frame.get(f"{column}_se", default=[math.nan] * len(frame))
        cells[column] = [number(value, error) for value, error in zip(frame[column], errors, strict=True)]
    if len(cells.columns) == 2:  # nothing is measured yet
        cells["metrics"] = NONE
    cells.loc[frame["num_images"].isna(), cells.columns[2]] = MISSING
    for column in filter(frame.columns.__contains__, COSTS):
        cells[column] = [NONE if math.isnan(value) else f"{value:.4g}" for value in frame[column]]
    return cells


def title(metric: str) -> str:
    """The heading of a metric: "pixels/fid" is "FID ↓ (pixels)"; one of another version keeps its own name."""
    if metric in COSTS:
        return COSTS[metric]
    space, _, name = metric.rpartition("/")
    heading = METRICS[name].heading if name in METRICS else name
    return f"{heading} ({space})" if space else heading


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


def to_markdown(cells: pd.DataFrame, caption: str, notes: dict[str, str]) -> str:
    """A pipe table, with its notes by mark and its caption below; one per feature space where it is too wide."""
    table = pipe_table(cells)
    if len(table.partition("\n")[0]) > WIDTH:
        table = _tables_by_space(cells)
    below = "".join(f"{_markdown(mark)} {_markdown(note)}\n\n" for mark, note in notes.items())
    return f"{table}\n\n{below}{_markdown(caption)}\n"


def pipe_table(cells: pd.DataFrame) -> str:
    """Cells as one markdown table."""
    escaped = cells.rename(columns=lambda name: _markdown(title(name))).map(_markdown)
    return escaped.to_markdown(index=False, disable_numparse=True)


def _markdown(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", text)


def _tables_by_space(cells: pd.DataFrame) -> str:
    """Narrow tables, the smallest first. That one has the metrics of no space, such as the accuracy, too."""
    of_runs = list(cells)[: list(cells).index("scale") + 1]
    metrics = cells.drop(columns=of_runs).map(lambda cell: cell.replace(" ± ", "±"))
    groups: dict[str, list[str]] = {}
    for name in metrics:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    rest = groups.pop("", [])
    parts = []
    for space, names in sorted(groups.items(), key=lambda group: (group[0] == "cost", len(group[1]))):
        short = metrics[rest + names].rename(columns=lambda name: name if name in COSTS else name.rpartition("/")[2])
        heading = "Cost of an image" if space == "cost" else f"Feature space {space}"
        parts.append(f"{heading}:\n\n{pipe_table(cells[of_runs].join(short))}")
        rest = []
    return "\n\n".join(parts) or pipe_table(cells)


def to_latex(cells: pd.DataFrame, caption: str, notes: dict[str, str]) -> str:
    """A booktabs table with true minus signs, and its notes below; needs \\usepackage{booktabs}."""
    text = cells.rename(columns=title).to_latex(index=False, escape=True, caption=_latex(caption)).translate(_LATEX)
    text = re.sub(r"(?<=& )-(?=\d)", "$-$", text)
    text = re.sub(r"^(?=[*\[])", "{}", text, flags=re.MULTILINE)  # else a part of the \\ before them
    if _grouped(cells):
        text = re.sub(r"(\\\\\n)(?=[^ \\])", r"\1\\midrule" + "\n", text)
    below = "".join(f"\\par\\footnotesize {_latex(mark)} {_latex(note)}\n" for mark, note in notes.items())
    return text.replace(r"\end{table}", below + r"\end{table}")


def _latex(text: str) -> str:
    return text.translate(_ESCAPED).translate(_LATEX)


def to_html(cells: pd.DataFrame, caption: str, notes: dict[str, str]) -> str:
    """A page with the table, which sorts by a click on a heading, unless its rows belong together."""
    table = cells.rename(columns=title).to_html(index=False, border=0)
    lines = [f"{mark} {note}" for mark, note in notes.items()]
    below = "\n".join(f"<p>{html.escape(line)}</p>" for line in [*lines, caption])
    if _grouped(cells):
        return _PAGE.format(table=table, below=below, pointer="")
    return _PAGE.format(table=table, below=below, pointer="cursor: pointer") + _SORTING


def _grouped(cells: pd.DataFrame) -> bool:
    """Some rows belong to the one above, and name no run."""
    return (cells["run"] == "").any()


def scores(metrics: dict[str, float], standard_errors: dict[str, float]) -> str:
    """A pipe table with a row for each metric."""
    rows = [(title(name), number(value, standard_errors.get(name, math.nan))) for name, value in metrics.items()]
    return pipe_table(pd.DataFrame(rows, columns=["metric", "value"]))
