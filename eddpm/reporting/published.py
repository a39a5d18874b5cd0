"""Published numbers of runs: their table, and ours beside them."""

import csv
import math
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from eddpm.config.settings import Settings, parse_settings, read_table
from eddpm.errors import ConfigError
from eddpm.reporting.tables import MISSING, NONE, number

_NUMBERS = ["fid", "sfid", "inception_score", "precision", "recall"]
COMPARED = [f"inception/{name}" for name in _NUMBERS]
_MARKS = "*†‡§¶"

Text = Annotated[str, Field(min_length=1)]
Number = Decimal | None  # with the published digits


class Published(Settings):
    """The numbers of one run in one source; None was not published."""

    run: Text
    source: Text
    scale: Number
    fid: Number
    sfid: Number
    inception_score: Number
    precision: Number
    recall: Number
    note: str

    @property
    def numbers(self) -> dict[str, Number]:
        """The numbers by the names of our metrics."""
        return {metric: getattr(self, name) for metric, name in zip(COMPARED, _NUMBERS, strict=True)}


def read_published(path: Path) -> list[Published]:
    """Read a tab-separated table with the columns of Published.

    Raises ConfigError on a column that is unknown, missing or repeated, a cell that is no number, a row without run or
    source, and a second row of a run from one source.
    """
    header, lines = read_table(path, "give a table of published numbers", quoting=csv.QUOTE_NONE)
    have, want = Counter(header), Counter(list(Published.model_fields))
    for column in (have - want) + (want - have):
        raise ConfigError(
            f"{path} line 1: column {column!r} is unknown, missing or repeated; the columns are {', '.join(want)}"
        )
    rows: dict[tuple[str, str], Published] = {}
    for where, cells in lines:
        texts = {column: cells.pop(column).strip() for column in ("run", "source", "note")}
        row = parse_settings(Published, texts | {column: cell.strip() or None for column, cell in cells.items()}, where)
        if (row.run, row.source) in rows:
            raise ConfigError(f"{where}: a second row of {row.run} from {row.source}; keep one")
        rows[row.run, row.source] = row
    return list(rows.values())


def comparison_frame(runs: list[str], measured: dict[str, dict], published: list[Published]) -> pd.DataFrame:
    """A row for each run, source and metric; a run of which nothing was published has rows without a source.

    `measured` are the contents of metrics.json files by run; a run that is not among them has empty numbers of ours.
    """
    rows = []
    for run in runs:
        scale, values, errors = _ours(measured.get(run))
        ours = [(run, scale, metric, values[metric], errors[metric]) for metric in COMPARED]
        for row in [row for row in published if row.run == run]:
            rows += [(*cells, row.source, row.numbers[cells[2]], row.scale) for cells in ours]
        if run not in {row.run for row in published}:
            rows += [(*cells, "", None, None) for cells in ours]
    columns = ["run", "scale", "metric", "ours", "standard_error", "source", "published", "published_scale"]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["published", "published_scale"], "float"))
    return frame.assign(difference=frame["ours"] - frame["published"])


def _ours(contents: dict | None) -> tuple[float, dict[str, float], dict[str, float]]:
    """The scale of a run, its metrics and their standard errors; nan where there are none."""
    nothing = dict.fromkeys(COMPARED, math.nan)
    if contents is None:
        return math.nan, nothing, nothing
    return contents["run"]["scale"], contents["metrics"], nothing | contents["standard_errors"]


def comparison_cells(
    runs: list[str], measured: dict[str, dict], published: list[Published]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Cells as text: of each run ours, the numbers of each source, and our differences from them; and notes by mark."""
    notes = dict.fromkeys(row.note for run in runs for row in published if row.run == run and row.note)
    marks = {note: _MARKS[k % len(_MARKS)] * (k // len(_MARKS) + 1) for k, note in enumerate(notes)}
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
    cells = pd.DataFrame(rows, columns=["run", "numbers", "scale", *COMPARED])
    return cells, {mark: note for note, mark in marks.items()}


def _difference(ours: float, published: Decimal | None) -> str:
    if published is None:
        return NONE
    decimals = max(0, -published.as_tuple().exponent)
    return f"{round(ours - float(published), decimals) + 0.0:+.{decimals}f}"  # + 0.0: no minus before nothing
