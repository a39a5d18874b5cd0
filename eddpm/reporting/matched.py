"""The table of methods at matched strength (evaluation/matched.py), as text."""

import pandas as pd

from eddpm.reporting.tables import NONE, number

_MARK = "*"
_NOTE = (
    "The sweeps of some halves of the images do not pass through the level, and count as at the end of the grid: these"
    " errors are too small. The csv has the number, halves_beyond."
)


def matched_cells(frame: pd.DataFrame, metrics: list[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Cells of a frame of matched methods: a row for each method at each level, and one below it for its differences;
    and notes by mark. A metric that alone is matched has no column: its numbers are the levels."""
    shown = [metric for metric in metrics if set(frame["metric"]) != {metric}]
    rows, notes, before = [], {}, None
    for _, row in frame.iterrows():
        scale = row["fault"] or number(row["scale"], row["scale_se"])
        if row["halves_beyond"]:
            scale, notes = f"{scale} {_MARK}", {_MARK: _NOTE}
        values = {metric: number(row[metric], row[f"{metric}_se"]) for metric in shown}
        cells = {"run": row["run"], "at": f"{row['metric']} = {row['level']:g}", "scale": scale, **values}
        if cells != before:  # not again for each of several differences
            rows.append(cells)
        before = cells
        if row["difference_to"]:
            errors = {metric: row[f"{metric}_difference_se"] for metric in shown}
            differences = {metric: number(row[f"{metric}_difference"], errors[metric]) for metric in shown}
            rows.append({"run": "", "at": f"minus {row['difference_to']}", "scale": NONE, **differences})
    return pd.DataFrame(rows), notes
