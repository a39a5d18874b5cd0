"""A study: several experiments, the parts, each of which is a project file with some changes."""

from pathlib import Path
from typing import Annotated, Any

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


class Study(Settings):
    """Changes to a project file: those that all parts have, and those of each part."""

    like: UserPath | None = None  # another study, which this one changes
    common: dict[str, Any] = Field(default_factory=dict)
    parts: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]


def parts_of(values: dict[str, Any], file: str) -> dict[str, tuple[dict[str, Any], Project]]:
    """The contents of each part's project file, by name: those of `values` as the study `file` changes them; and its
    project.

    The experiment of PART is EXPERIMENT-PART. Its table of runs, unless it names one, is PART.tsv in the folder that is
    named after the file. Raises ConfigError on a mistake in the study file, in a part, or in its table of runs.
    """
    path = find(file)
    contents = read_yaml(path)
    if isinstance(like := contents.get("like"), str):
        other = read_yaml(find(like))
        if "like" in other:
            raise ConfigError(f"{path}: like: '{like}' is like another study itself; name a whole one")
        contents = merged(other, contents)
    study = parse_settings(Study, contents, str(path))
    found = {}
    for part, changes in study.parts.items():
        place = f"{path}: part '{part}'"
        if taken := {"experiment", "study"} & (study.common | changes).keys():
            raise ConfigError(f"{place}: {min(taken)}: is not for a part to change; drop it")
        runs = {"runs": str(Path(file).with_suffix("") / f"{part}.tsv")}
        whole = merged(merged(values | runs, study.common), changes)
        whole |= {"experiment": f"{values['experiment']}-{part}", "study": None}
        table = whole.get("runs")
        if isinstance(table, str) and not find(table).exists():
            raise ConfigError(f"{place}: runs: '{table}' does not exist; write this table, or name another")
        found[part] = (whole, load_project(whole, place))
        if not found[part][1].sweep.matched:
            raise ConfigError(f"{place}: sweep.matched: missing, and the study is made of this table; give levels")
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
        if len(self.rules.evaluation.spaces) < 2:
            raise ConfigError(f"{place}: part 'rules': evaluation.spaces: has one alone; add an independent space")
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
