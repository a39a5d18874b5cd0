"""Reading a project: its YAML file and its table of runs, with every name in them checked before anything runs."""

import csv
from pathlib import Path
from typing import Any

from eddpm.diffusion.respacing import kept_timesteps
from eddpm.errors import ConfigError
from eddpm.project import TEMPERED, Project, Run
from eddpm.settings import parse_settings


def load_project(values: dict[str, Any], place: str) -> Project:
    """Check the contents of a project file and of the runs table that it names.

    Raises ConfigError on the first unknown key, impossible value, duplicate run, or name that is defined nowhere.
    """
    values = dict(values)
    table = values.get("runs")
    if isinstance(table, str):
        values["runs"] = [row.model_dump() for row in _read_runs(Path(table))]
    elif "runs" in values:
        raise ConfigError(f"{place}: runs: value {table!r}: give the path of the runs table")
    project = parse_settings(Project, values, place)
    _check_names(project, place, str(table))
    try:
        for name in project.denoisers:
            project.train_denoiser(name)
        for name in project.classifiers:
            project.train_classifier(name)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    return project


def _read_runs(path: Path) -> list[Run]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # sig: as spreadsheets save it
            reader = csv.DictReader(file, delimiter="\t")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give the path of the runs table as `runs`") from None
    runs = []
    for line, row in rows:
        cells = {column: cell for column, cell in row.items() if cell != ""}
        if "method" in row:
            raise ConfigError(f"{path}: column 'method' is of generated rows; remove it")
        if None in cells or None in cells.values():
            raise ConfigError(f"{path} line {line}: has more or fewer cells than the header; separate them by tabs")
        if cells.get("guidance") == "none":
            cells.setdefault("scale", "0")
        runs.append(parse_settings(Run, {"classifier": None, **cells}, f"{path} line {line}"))
    if not runs:
        raise ConfigError(f"{path}: has no rows; add one line per run")
    return runs


def _check_names(project: Project, place: str, table: str) -> None:
    def known(kind: str, name: str, names: dict, where: str) -> None:
        if name not in names:
            raise ConfigError(f"{where}: {kind} '{name}' is not in {place}; known: {', '.join(names)}")

    seen: dict[str, str] = {}
    for row in project.runs:
        where = f"{table} row '{row.run}'"
        if not row.slug or " at " in row.run:
            raise ConfigError(f"{where}: a name needs a letter or digit, and no ' at ' (of generated rows); rename it")
        if row.slug in seen:
            raise ConfigError(f"{where}: would share its folder with '{seen[row.slug]}'; rename one")
        seen[row.slug] = row.run
        known("denoiser", row.denoiser, project.denoisers, where)
        if row.classifier:
            known("classifier", row.classifier.removesuffix(TEMPERED), project.classifiers, where)
        elif row.guidance != "none":
            raise ConfigError(f"{where}: guidance '{row.guidance}' needs a classifier; name one or write none")
        if row.guidance != "none" and row.seed == project.sweep.seed:
            raise ConfigError(f"{where}: seed {row.seed} is the sweep's; scales are chosen on other images, change one")
        if row.num_images <= project.evaluation.nearest_neighbours:
            raise ConfigError(f"{where}: {row.num_images} images are too few for nearest_neighbours; ask for more")
        if row.scale == "best":
            raise ConfigError(f"{where}: scale 'best' is for generated rows; give a number")
        try:
            kept_timesteps(project.diffusion.diffusion_steps, row.steps)
        except ValueError as error:
            raise ConfigError(f"{where}: steps '{row.steps}': {error}; take other steps") from None
    for run in project.table_runs.keys() & (project.sweep_runs.keys() | project.best_runs.keys()):
        raise ConfigError(f"{table} row '{seen[run]}': would share its folder with a generated row; rename it")
    if len({f"{scale:g}" for scale in project.sweep.scales}) < len(project.sweep.scales):
        raise ConfigError(f"{place}: sweep.scales: two of {project.sweep.scales} share a name; drop one")
    if len(set(project.evaluation.spaces)) < len(project.evaluation.spaces):
        raise ConfigError(f"{place}: evaluation.spaces: one of {project.evaluation.spaces} comes twice; drop it")
    for name in project.space_classifiers:
        known("classifier", name, project.classifiers, f"{place}: evaluation.spaces")
    if project.sweep.num_images <= project.evaluation.nearest_neighbours:
        raise ConfigError(f"{place}: sweep.num_images: too few for evaluation.nearest_neighbours; ask for more")
    for kind, entries in (("denoisers", project.denoisers), ("classifiers", project.classifiers)):
        for name, entry in entries.items():
            if entry.training.random_crop and not project.dataset.uncropped:
                raise ConfigError(
                    f"{place}: {kind}.{name}.training.random_crop: needs more than the centre of an image;"
                    " set dataset.uncropped: true"
                )
    reference = project.evaluation.reference
    if reference and not Path(reference).is_file():
        raise ConfigError(
            f"{place}: evaluation.reference: '{reference}' does not exist; give a reference batch, or null"
        )
    weights = project.evaluation.inception.source
    if "inception" in project.evaluation.spaces and "://" not in weights and not Path(weights).is_file():
        raise ConfigError(f"{place}: evaluation.inception.source: '{weights}' does not exist; give its path, or a URL")
    measured = dict.fromkeys(project.metric_names)
    for name in (project.sweep.best.minimise, *project.sweep.best.at_least):
        if name not in measured:
            raise ConfigError(f"{place}: sweep.best: metric '{name}' is not measured; known: {', '.join(measured)}")


def missing_files(project: Project) -> list[str]:
    """What the project needs from outside and is not there: a line each, with the key that names it."""
    dataset = project.dataset
    sources = {"dataset.source": dataset.source, "dataset.validation_source": dataset.validation_source}
    return [
        f"{key}: '{source}' does not exist; put your images there, or name another folder, zip or npz"
        for key, source in sources.items()
        if source not in (None, "digits") and not Path(source).exists()
    ]
