"""Ours beside published numbers: reading what others published of a run, and setting our measurements beside it."""

import csv
import io
import math
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from eddpm.config.settings import read_text
from eddpm.errors import ConfigError
from eddpm.reporting.tables import MISSING, NONE, booktabs_table, latex_text, number, pipe_table, title

_NUMBERS = ["fid", "sfid", "inception_score", "precision", "recall"]
_COLUMNS = ["run", "source", "scale", *_NUMBERS, "note"]
COMPARED = [f"inception/{name}" for name in _NUMBERS]
_MARKS = "*†‡§¶"
_EXPLAINED = (
    "A difference is ours minus the published number, to the digits that were published; the published number has no"
    " standard error, so that of the difference is ours."
)


class Published(NamedTuple):
    """What one source says of one run. A Decimal keeps the digits that were published; None was not published."""

    run: str
    source: str
    scale: Decimal | None
    numbers: dict[str, Decimal | None]  # by the name of the metric
    note: str


def read_published(path: Path) -> list[Published]:
    """Read a tab-separated table with the columns run, source, scale, a column per metric, and note.

    Raises ConfigError on a column that is unknown, missing or repeated, a cell that is no number, a row without run or
    source, and a second row of a run from one source.
    """
    try:
        text = io.StringIO(read_text(path), newline="")
        reader = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        header, lines = reader.fieldnames or [], [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a table of published numbers") from None
    have, want = Counter(header), Counter(_COLUMNS)
    for column in (have - want) + (want - have):
        raise ConfigError(
            f"{path} line 1: column '{column}' is unknown, missing or repeated; the columns are {', '.join(_COLUMNS)}"
        )
    rows = {}
    for line, cells in lines:
        row = _published(cells, f"{path} line {line}")
        if (row.run, row.source) in rows:
            raise ConfigError(f"{path} line {line}: a second row of {row.run} from {row.source}; keep one")
        rows[row.run, row.source] = row
    return list(rows.values())


def _published(cells: dict[str, str], where: str) -> Published:
    if None in cells or None in cells.values():
        raise ConfigError(f"{where}: has more or fewer cells than the header; separate them by tabs")
    if not (cells["run"] and cells["source"]):
        raise ConfigError(f"{where}: a number has a run and a source; fill both cells")
    scale, *numbers = (_decimal(cells[column], f"{where}: {column}") for column in ("scale", *_NUMBERS))
    return Published(
        cells["run"], cells["source"], scale, dict(zip(COMPARED, numbers, strict=True)), cells["note"].strip()
    )


def _decimal(cell: str, where: str) -> Decimal | None:
    if not cell.strip():
        return None
    try:
        value = Decimal(cell if "_" not in cell else "nan")
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise ConfigError(f"{where} '{cell}' is not a number; write one, or leave the cell empty")
    return value


def comparison_frame(runs: list[str], measured: dict[str, dict], published: list[Published]) -> pd.DataFrame:
    """A row for each run, source and metric; a run of which nothing was published has rows without a source.

    `measured` are the contents of metrics.json files by run; a run that is not among them has empty numbers of ours.
    """
    rows = []
    for run in runs:
        scale, values, errors = _ours(measured.get(run))
        for row in [row for row in published if row.run == run] or [None]:
            for metric in COMPARED:
                theirs = _float(row.numbers[metric]) if row else math.nan
                rows.append(
                    {
                        "run": run,
                        "scale": scale,
                        "metric": metric,
                        "ours": values[metric],
                        "standard_error": errors[metric],
                        "source": row.source if row else "",
                        "published": theirs,
                        "published_scale": _float(row.scale) if row else math.nan,
                        "difference": values[metric] - theirs,
                    }
                )
    return pd.DataFrame(rows)


def _ours(contents: dict | None) -> tuple[float, dict[str, float], dict[str, float]]:
    """The scale of a run, its metrics and their standard errors; nan where there are none."""
    nothing = dict.fromkeys(COMPARED, math.nan)
    if contents is None:
        return math.nan, nothing, nothing
    return contents["run"]["scale"], contents["metrics"], nothing | contents["standard_errors"]


def _float(value: Decimal | None) -> float:
    return math.nan if value is None else float(value)


def comparison_markdown(runs: list[str], measured: dict[str, dict], published: list[Published], caption: str) -> str:
    """A pipe table, with the notes on published rows and the caption below."""
    marks = {note: mark.replace("*", r"\*") for note, mark in _marks(runs, published).items()}
    below = "".join(f"{mark} {note}\n\n" for note, mark in marks.items())
    return f"{pipe_table(_printed(runs, measured, published, marks))}\n\n{below}{_EXPLAINED} {caption}\n"


def comparison_latex(runs: list[str], measured: dict[str, dict], published: list[Published], caption: str) -> str:
    """A booktabs table with a rule between runs, and the notes on published rows below."""
    marks = _marks(runs, published)
    text = booktabs_table(_printed(runs, measured, published, marks), f"{_EXPLAINED} {caption}".strip())
    text = re.sub(r"(\\\\\n)(?=[^ \\])", r"\1\\midrule" + "\n", text)
    below = "".join(f"\\par\\footnotesize {latex_text(mark)} {latex_text(note)}\n" for note, mark in marks.items())
    return text.replace(r"\end{table}", below + r"\end{table}")


def _marks(runs: list[str], published: list[Published]) -> dict[str, str]:
    """The mark of each note, in the order of the table: *, then daggers, and doubled when they are used up."""
    notes = dict.fromkeys(row.note for run in runs for row in published if row.run == run and row.note)
    return {note: _MARKS[k % len(_MARKS)] * (k // len(_MARKS) + 1) for k, note in enumerate(notes)}


def _printed(
    runs: list[str], measured: dict[str, dict], published: list[Published], marks: dict[str, str]
) -> pd.DataFrame:
    """Cells as text: of each run ours, what each source published, and how far ours is from it."""
    rows = []
    for run in runs:
        scale, values, errors = _ours(measured.get(run))
        sources = [row for row in published if row.run == run]
        ours = [number(values[metric], errors[metric]) for metric in COMPARED]
        if run not in measured:
            ours[0] = MISSING
        rows.append([run, "ours", NONE if math.isnan(scale) else f"{scale:g}", *ours])
        for row in sources:
            numbers = [NONE if value is None else str(value) for value in (row.scale, *row.numbers.values())]
            rows.append(["", row.source + marks.get(row.note, ""), *numbers])
        for row in sources if run in measured else []:
            differences = [_difference(values[metric], row.numbers[metric]) for metric in COMPARED]
            rows.append(["", f"difference, {row.source}", "", *differences])
    return pd.DataFrame(rows, columns=["run", "numbers", "scale", *map(title, COMPARED)])


def _difference(ours: float, published: Decimal | None) -> str:
    if published is None:
        return NONE
    decimals = max(0, -published.as_tuple().exponent)
    return f"{round(ours - float(published), decimals) + 0.0:+.{decimals}f}"  # + 0.0: no minus before nothing
