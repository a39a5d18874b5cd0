"""The study of guidance rules: differences at matched strength, corrected for their number.

A frame of matched methods is that of evaluation/matched.py.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from eddpm.errors import ArtifactError
from eddpm.reporting.tables import number

FID = "pixels/fid"
SIGNIFICANT = 0.05
BEYOND = "beyond the grid"  # the column of `beyond`


def differences(matched: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """A row for each difference of a measure: run, level, difference_to, beyond, measure, difference, se, p and p_holm.

    beyond is the share of the halves of the images whose sweep does not pass through the level, the larger one of the
    two methods: they count as at the end of the grid, so se and p are too small.
    p is that of a normal distribution, two-sided. p_holm is corrected by Holm's method over all differences of the
    frame, or, where baselines differ within a denoiser, over those to its first, and over the others.
    """
    if missing := {f"{measure}_difference" for measure in measures} - set(matched):
        raise ArtifactError(f"matched: has no column {min(missing)}; measure it, or leave it out")
    compared = matched[matched["difference_to"].fillna("") != ""]
    shares = (matched["halves_beyond"] / matched["halves"]).fillna(0)
    beyond = dict(zip(zip(matched["run"], matched["level"], strict=True), shares, strict=True))
    pairs = zip(compared["run"], compared["difference_to"], compared["level"], strict=True)
    larger = [max(beyond[run, level], beyond[other, level]) for run, other, level in pairs]
    parts = [
        pd.DataFrame(
            {
                **compared[["run", "denoiser", "level", "difference_to"]],
                "beyond": larger,
                "measure": measure,
                "difference": compared[f"{measure}_difference"],
                "se": compared[f"{measure}_difference_se"],
            }
        )
        for measure in measures
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["p"] = [math.erfc(abs(z) / math.sqrt(2)) for z in frame["difference"] / frame["se"]]
    first = matched.groupby("denoiser", sort=False)["run"].first()
    frame["to_first"] = frame["difference_to"] == frame["denoiser"].map(first)
    frame["p_holm"] = frame.groupby("to_first")["p"].transform(holm)
    return frame.drop(columns="denoiser")


def at_lowest_level(matched: pd.DataFrame) -> pd.DataFrame:
    return matched[matched["level"] == matched["level"].min()]


def holm(p: pd.Series) -> pd.Series:
    """p-values that are corrected for their number by Holm's step-down method: the largest p_(k) (n - k) so far."""
    ordered = p.sort_values()
    steps = ordered * np.arange(len(ordered), 0, -1)
    return steps.cummax().clip(upper=1).reindex(p.index)


def difference_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells of differences, a row for each method and level, with a star where p_holm is below 0.05."""
    marks = np.where(frame["p_holm"] < SIGNIFICANT, "*", "")
    numbers = [number(*pair).replace(" ± ", "±") for pair in zip(frame["difference"], frame["se"], strict=True)]
    text = frame.assign(cell=[f"{cell}{suffix}" for cell, suffix in zip(numbers, marks, strict=True)])
    text["at"] = [f"accuracy = {level:g}" for level in text["level"]]
    text[BEYOND] = [f"{share:.0%}" if share else "" for share in text["beyond"]]
    index = ["run", "at", "difference_to", BEYOND]
    order = text[index].drop_duplicates()
    wide = text.pivot(index=index, columns="measure", values="cell")
    wide = wide[frame["measure"].drop_duplicates()].reindex(pd.MultiIndex.from_frame(order)).reset_index()
    return wide.rename(columns={"difference_to": "minus"}).rename_axis(columns=None)
