"""A study: several experiments, the parts, each of which is a project file with some changes."""

import os
import re
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import Field

from eddpm.config import paths
from eddpm.config.project import Project
from eddpm.config.projectfile import find, load_project
from eddpm.config.runs import Run
from eddpm.config.settings import Name, Settings, merged, parse_settings, read_yaml
from eddpm.config.userpaths import UserPath
from eddpm.errors import ConfigError

# In results/EXPERIMENT/study/.
FILES = ("differences.csv", "differences.md", "gains.csv", "fronts.png", "intervals.png", "gains.png", "trace.png")
INTERVAL = re.compile(r"(.*) t (\d+)-(\d+)")  # rows of the mechanism that guide at timesteps from .. to


class Study(Settings):
    """Changes to a project file: those that all parts have, and those of each part."""

    like: UserPath | None = None  # another study, which this one changes
    common: dict[str, Any] = Field(default_factory=dict)
    parts: dict[Name, dict[str, Any] | None]  # null takes away a part of the other study


def parts_of(values: dict[str, Any], file: str) -> dict[str, tuple[dict[str, Any], Project]]:
    """The contents of each part's project file, by name: those of `values` as the study `file` changes them; and its
    project.

    The experiment of PART is EXPERIMENT-PART. Its table of runs, unless it names one, is PART.tsv in the folder that is
    named after the file. Changes apply one after another: those of the study that this one is like, to all parts, then
    this one's, and in the same order those of the part. Raises ConfigError on a mistake in the study file, in a part,
    or in its table of runs.
    """
    path = find(file)
    if not path.suffix:
        raise ConfigError(
            f"{path}: has no suffix, and tables of runs lie in a folder of that name; name it {path}.yaml"
        )
    studies = _studies(path)
    found = {}
    for part, own in _own_changes(studies, path).items():
        place = f"{path}: part '{part}'"
        changes = [*(study.common for study in studies), *own]
        if taken := {"experiment", "study"} & set().union(*changes):
            raise ConfigError(f"{place}: {min(taken)}: is not for a part to change; drop it")
        runs = {"runs": str(Path(file).with_suffix("") / f"{part}.tsv")}
        try:
            whole = reduce(merged, changes, values | runs)
        except RecursionError:
            raise ConfigError(f"{place}: a value holds itself by an alias; write it out") from None
        whole |= {"experiment": f"{values['experiment']}-{part}", "study": None}
        table = whole.get("runs")
        if isinstance(table, str) and not os.path.exists(find(table)):
            raise ConfigError(f"{place}: runs: '{table}' does not exist; write this table, or name another")
        found[part] = (whole, project := load_project(whole, place))
        if not project.sweep.matched:
            raise ConfigError(f"{place}: sweep.matched: missing, and the study is made of this table; give levels")
        if not project.sweep_runs:
            raise ConfigError(f"{place}: runs: no row has guidance, and the study is made of their sweep; add one")
    return found


def files_of(file: str, parts: Iterable[dict[str, Any]]) -> list[str]:
    """The paths of a study, of the one that it is like, and of the tables that its parts name, of these contents."""
    *_, study = _studies(find(file))
    tables = [values.get(key) for values in parts for key in ("runs", "published")]
    return [path for path in (file, study.like, *tables) if path]


def _studies(path: Path) -> list[Study]:
    """A study, behind the one that it is like."""
    study = parse_settings(Study, read_yaml(path), str(path))
    if study.like is None:
        return [study]
    other = find(study.like)
    whole = parse_settings(Study, read_yaml(other), str(other))
    if whole.like is not None:
        raise ConfigError(f"{path}: like: '{study.like}' is like another study itself; name a whole one")
    return [whole, study]


def _own_changes(studies: list[Study], path: Path) -> dict[str, list[dict[str, Any]]]:
    """The changes of each part alone, by its name, in the order of the studies."""
    found: dict[str, list[dict[str, Any]]] = {}
    for study in studies:
        for part, changes in study.parts.items():
            if changes is not None:
                found.setdefault(part, []).append(changes)
            elif found.pop(part, None) is None:
                raise ConfigError(f"{path}: parts.{part}: is null, and no other study has it; drop it, or give changes")
    if not found:
        raise ConfigError(f"{path}: parts: has none; add one")
    return found


class Parts:
    """The parts of a study of guidance rules by name: choice, rules, mechanism, and one for each number of classes."""

    def __init__(self, projects: dict[str, Project], place: str):
        """Raises ConfigError, naming `place`, where the report lacks a part or a metric of the rules."""
        if lacking := {"rules", "mechanism"} - projects.keys():
            raise ConfigError(f"{place}: parts: has no '{min(lacking)}'; add it")
        self.rules, self.mechanism = projects["rules"], projects["mechanism"]
        self.classes = [part for name, part in projects.items() if name.startswith("classes-")] + [self.rules]
        self.all = list(projects.values())
        for part in (self.mechanism, *self.classes):
            if set(part.sweep.matched or {}) != {"accuracy"}:
                levels = f"{place}: {part.experiment}: sweep.matched"
                raise ConfigError(f"{levels}: the report compares at levels of accuracy; give these alone")
        if self.rules.evaluation.spaces[1:2] in ((), ("pixels",)):
            raise ConfigError(f"{place}: part 'rules': evaluation.spaces: the second is no independent space; add one")
        if not self._traced:
            raise ConfigError(f"{place}: part 'rules': runs: no row of the first denoiser has a classifier; add one")
        if not any(INTERVAL.fullmatch(row.run) and row.classifier for row in self.mechanism.runs):
            raise ConfigError(f"{place}: part 'mechanism': runs: no row is an interval, 'ROW t LOW-HIGH'; add one")
        if unmeasured := [name for name in self.params["measures"] if name not in self.rules.metric_names]:
            raise ConfigError(f"{place}: part 'rules': evaluation: '{unmeasured[0]}' is not measured; add it")

    @property
    def inputs(self) -> dict[str, Any]:
        """The files that the report is made from."""
        return {
            "rules": _table(self.rules, "matched"),
            "sweep": _table(self.rules, "sweep"),
            "mechanism": _table(self.mechanism, "matched"),
            "classes": [_table(part, "matched") for part in self.classes],
            "noise_levels": [
                paths.NOISE_LEVELS.format(experiment=self.mechanism.experiment, guide=name)
                for name in self.mechanism.table_guiding_classifiers
            ],
            "traces": [paths.TRACE.format(experiment=self.rules.experiment, run=run) for run, _ in self._traced],
        }

    @property
    def params(self) -> dict[str, list]:
        """The other options of the report, apart from files."""
        independent = self.rules.evaluation.spaces[1]
        of_space = [f"{independent}/{name}" for name in ("fid", "density", "coverage", "recall")]
        return {
            "measures": ["pixels/fid", *of_space, "pixels/recall", "pixels/authpct"],
            "counts": [part.dataset.num_classes for part in self.classes],
            "methods": [row.method for _, row in self._traced],
            "scales": [row.scale for _, row in self._traced],
        }

    @property
    def _traced(self) -> list[tuple[str, Run]]:
        """The swept runs of the first training with a classifier and the first denoiser, each with its row."""
        rows = self.rules.sweep_runs.items()
        first = self.rules.runs[0].denoiser
        kept = [(slug, row) for slug, row in rows if row.classifier and row.denoiser == first]
        return [(next(iter(self.rules.members(slug).values())), row) for slug, row in kept]

    @property
    def tables(self) -> list[str]:
        """The table of every part."""
        return [_table(part, "matched") for part in self.all]


def _table(part: Project, name: str) -> str:
    return f"{paths.TABLE.format(experiment=part.experiment, table=name)}.csv"
