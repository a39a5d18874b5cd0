"""The metrics of samples. A new one is a row here and its function (evaluation/metrics.py)."""

import math
from typing import NamedTuple

from eddpm.config.spaces import space_of

LOWER, HIGHER = "↓", "↑"


class Metric(NamedTuple):
    """A metric: its title in tables, the arrow to better values, and what it needs.

    It needs features of the samples and their statistics of the reference ("pooled", "spatial"), "probabilities" or
    "labels" of the samples, "images" of the reference, or a classifier that is the "judge" of labels.
    """

    title: str
    better: str
    needs: frozenset[str]
    bounds: tuple[float, float] = (0, math.inf)  # no value lies outside
    falls: bool = True  # while the guidance grows from a low scale
    fitted: bool = False  # it has no values on halves of the samples

    @property
    def heading(self) -> str:
        return f"{self.title} {self.better}"


METRICS = {
    "accuracy": Metric("accuracy", HIGHER, frozenset({"probabilities", "judge"}), (0, 1), falls=False),
    "fid": Metric("FID", LOWER, frozenset({"pooled"})),
    "sfid": Metric("sFID", LOWER, frozenset({"spatial"})),
    "kid": Metric("KID", LOWER, frozenset({"pooled", "images"}), (-math.inf, math.inf)),
    "inception_score": Metric("IS", HIGHER, frozenset({"probabilities"}), (1, math.inf), falls=False),
    "precision": Metric("precision", HIGHER, frozenset({"pooled", "images"}), (0, 1), falls=False),
    "recall": Metric("recall", HIGHER, frozenset({"pooled", "images"}), (0, 1)),
    "density": Metric("density", HIGHER, frozenset({"pooled", "images"}), falls=False),
    "coverage": Metric("coverage", HIGHER, frozenset({"pooled", "images"}), (0, 1)),
    "authpct": Metric("AuthPct", HIGHER, frozenset({"pooled", "images"}), (0, 100)),
    "nearer": Metric("nearer", LOWER, frozenset({"pooled", "images"}), (0, 1), falls=False),
    "vendi": Metric("Vendi", HIGHER, frozenset({"pooled"}), (1, math.inf)),
    "vendi_per_class": Metric("Vendi per class", HIGHER, frozenset({"pooled", "labels"}), (1, math.inf)),
    "fid_infinity": Metric("FID∞", LOWER, frozenset({"pooled"}), (-math.inf, math.inf), fitted=True),
    "mmd": Metric("RBF-MMD", LOWER, frozenset({"pooled", "images"})),
}
DEFAULT_METRICS = ("accuracy", "fid", "sfid", "kid", "inception_score", "precision", "recall")


def of_judge() -> list[str]:
    """The metrics that a classifier judges by the labels: their names have no space."""
    return [name for name, metric in METRICS.items() if "judge" in metric.needs]


def of_space(space: str) -> list[str]:
    """The other metrics that a feature space has, where the reference has images and the samples have labels."""
    given = space_of(space).gives | {"images", "labels"}
    return [name for name, metric in METRICS.items() if metric.needs <= given]


def base_name(name: str) -> str:
    """The name of a metric without its space: that of "pixels/fid" is "fid"."""
    return name.rpartition("/")[2]


def full_name(space: str, metric: str) -> str:
    """The name of a metric in results: "pixels/fid", "accuracy"."""
    return metric if metric in of_judge() else f"{space}/{metric}"
