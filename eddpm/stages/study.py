"""The tables and figures of a study of guidance rules, from the tables of its parts."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from eddpm.errors import ArtifactError
from eddpm.io.files import write_text
from eddpm.reporting.study import FID, at_lowest_level, difference_cells, differences
from eddpm.reporting.tables import pipe_table
from eddpm.stages import check_count
from eddpm.stages.figures import drawing, read_csv, read_levels, save

_NOTE = (
    "Differences at equal accuracy, from the same noise, with one standard error over images and training seeds."
    " A star marks those of p below 0.05 after Holm's correction for all {count} differences of this table. Beyond the"
    " grid is the share of the halves of the images whose sweep does not pass through the level, the larger one of the"
    " two rules: these errors are too small."
)


def report_study(
    rules: Annotated[Path, "tables/matched.csv of every rule"],
    sweep: Annotated[Path, "tables/sweep.csv of the same"],
    measures: Annotated[list[str], "the metrics that are compared, pixels/fid the first"],
    mechanism: Annotated[Path, "tables/matched.csv of intervals, 'ROW t LOW-HIGH', and classifiers, 'ROW by NAME'"],
    noise_levels: Annotated[
        list[Path], "noise_levels.jsonl of these classifiers, in folders of their names; first ROW's"
    ],
    classes: Annotated[list[Path], "tables/matched.csv of each number of classes"],
    counts: Annotated[list[int], "these numbers"],
    traces: Annotated[list[Path], "trace.csv of each scale of the rules with a classifier, of one training"],
    methods: Annotated[list[str], "the rule of each trace"],
    at: Annotated[list[float], "its scale"],
    out: Annotated[Path, "a folder"],
) -> None:
    """Write differences.csv and .md, gains.csv, and the figures fronts, intervals, gains and trace of a study.

    The gain of EDS is its difference to a constant scale in pixel FID at the lowest level: a row with EDS minus the one
    without, by each classifier, and for each number of classes.
    """
    check_count("--counts", counts, len(classes), "tables of --classes")
    for option, given in (("--methods", methods), ("--at", at)):
        check_count(option, given, len(traces), "files of --traces")
    matched = read_csv(rules)
    frame = differences(matched, measures)
    write_text(out / "differences.csv", frame.to_csv(index=False))
    texts = []
    for _, part in frame.groupby("to_first", sort=False):
        texts.append(f"{pipe_table(difference_cells(part))}\n\n{_NOTE.format(count=len(part))}\n")
    write_text(out / "differences.md", "\n".join(texts))

    of_parts = read_csv(mechanism)
    confidences = dict(map(_confidence, noise_levels))
    by_confidence = _gains(of_parts, own=next(iter(confidences)))
    by_confidence["x"] = by_confidence["name"].map(confidences)
    for unknown in by_confidence["name"][by_confidence["x"].isna()]:
        raise ArtifactError(f"{mechanism}: --noise-levels has no classifier '{unknown}'; name rows 'ROW by CLASSIFIER'")
    of_classes = zip(classes, counts, strict=True)
    by_classes = pd.concat(_gains(read_csv(path), own="").assign(name=str(n), x=n) for path, n in of_classes)
    both = {"classifier": by_confidence, "number of classes": by_classes}
    gains = pd.concat(both, names=["by"]).droplevel(1).reset_index()[["by", "name", "x", "gain", "se"]]
    write_text(out / "gains.csv", gains.to_csv(index=False))

    denoisers = dict(zip(matched["run"], matched["denoiser"], strict=True))
    nearest = _nearest(matched, pd.DataFrame({"run": methods, "at": at, "path": traces}))
    if not nearest:
        raise ArtifactError(f"{rules}: no rule of --traces reaches the lowest level; give a lower one in sweep.matched")
    plots = drawing("study_plots")
    figures = {
        "fronts": plots.plot_bands(read_csv(sweep), measures[:3], denoisers),
        "intervals": plots.plot_intervals(of_parts),
        "gains": plots.plot_gains(by_confidence, by_classes),
        "trace": drawing("plots").plot_trace({run: read_csv(path) for run, path in nearest.items()}),
    }
    for name, figure in figures.items():
        save(figure, out / f"{name}.png", "png", dpi=110)


def _nearest(matched: pd.DataFrame, traces: pd.DataFrame) -> dict[str, Path]:
    """By rule, the trace of the scale that is nearest to where the rule reaches the lowest level."""
    rows = at_lowest_level(matched).drop_duplicates("run").dropna(subset=["scale"])
    both = traces.merge(rows[["run", "scale"]], on="run")
    both["distance"] = np.log(both["at"] / both["scale"]).abs()
    nearest = both.loc[both.groupby("run", sort=False)["distance"].idxmin()]
    return {f"{row.run} at {row.at:g}": row.path for row in nearest.itertuples()}


def _gains(matched: pd.DataFrame, own: str) -> pd.DataFrame:
    """The gain of EDS with the first denoiser at the lowest level, and its error, by the name of the classifier: that
    behind ' by ', or `own` where there is none."""
    rows = at_lowest_level(matched)
    eds = rows[rows["run"].str.replace("+EDS", "", regex=False) == rows["difference_to"]]
    eds = eds[~eds["run"].str.contains(" t ") & (eds["denoiser"] == rows["denoiser"].iloc[0])]
    name = eds["run"].str.extract(" by (.*)")[0].fillna(own)
    return pd.DataFrame({"name": name, "gain": eds[f"{FID}_difference"], "se": eds[f"{FID}_difference_se"]})


def _confidence(path: Path) -> tuple[str, float]:
    """The name of a classifier, and its mean confidence over the noise levels, of its noise_levels.jsonl."""
    return path.parent.name, float(read_levels(path)["confidence"].mean())
