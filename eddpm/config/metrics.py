"""The metrics of samples. A new one is a row here and its function (evaluation/metrics.py)."""

import math
from typing import NamedTuple

from eddpm.config.spaces import space_of

LOWER, HIGHER = "↓", "↑"


class Metric(NamedTuple):
    """A metric: its title in tables, the arrow to better values, and what it needs.

    It needs features of the samples and their statistics of the reference ("pooled", "spatial"), "probabilities" or
    "labels" of the samples, "images" of the reference.
    """

    title: str
    better: str
    needs: frozenset[str]
    bounds: tuple[float, float] = (0, math.inf)  # no value lies outside
    falls: bool = True  # while the guidance grows from a low scale

    @property
    def heading(self) -> str:
        return f"{self.title} {self.better}"


METRICS = {
    "accuracy": Metric("accuracy", HIGHER, frozenset({"probabilities", "labels"}), (0, 1), falls=False),
    "fid": Metric("FID", LOWER, frozenset({"pooled"})),
    "sfid": Metric("sFID", LOWER, frozenset({"spatial"})),
    "kid": Metric("KID", LOWER, frozenset({"pooled", "images"}), (-math.inf, math.inf)),
    "inception_score": Metric("IS", HIGHER, frozenset({"probabilities"}), (1, math.inf), falls=False),
    "precision": Metric("precision", HIGHER, frozenset({"pooled", "images"}), (0, 1), falls=False),
    "recall": Metric("recall", HIGHER, frozenset({"pooled", "images"}), (0, 1)),
}


def of_labels() -> list[str]:
    """The metrics that a classifier judges by the labels: their names have no space."""
    return [name for name, metric in METRICS.items() if "labels" in metric.needs]


def of_space(space: str) -> list[str]:
    """The other metrics that a feature space has, where the reference has images."""
    given = space_of(space).gives | {"images"}
    return [name for name, metric in METRICS.items() if metric.needs <= given]


def base_name(name: str) -> str:
    """The name of a metric without its space: that of "pixels/fid" is "fid"."""
    return name.rpartition("/")[2]


def full_name(space: str, metric: str) -> str:
    """The name of a metric in results: "pixels/fid", "accuracy"."""
    return metric if metric in of_labels() else f"{space}/{metric}"
