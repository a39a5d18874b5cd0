"""Reading a project: its YAML file and its table of runs, with every name in them checked before anything runs."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eddpm.config.assets import Asset, asset_file, assets
from eddpm.config.project import TEMPERATURE_SCALED, Project
from eddpm.config.runs import Run, slug
from eddpm.config.settings import parse_settings, read_text, refuse_page
from eddpm.config.userpaths import expand, why_absent
from eddpm.diffusion.respacing import kept_timesteps
from eddpm.errors import ConfigError

DEFAULT = "config/digits/config.yaml"  # the project that snakemake runs where none is named
RESERVED = ("main", "published", "best_scale", "sweep", "scale")  # names of tables and of targets


def find(file: str) -> Path:
    """A file of a configuration: from the folder where one works or, where none is there, from the checkout's root."""
    here = Path(expand(file))
    shipped = Path(__file__).parents[2] / here
    return shipped if os.path.exists(shipped) and not os.path.exists(here) else here


def load_project(values: dict[str, Any], place: str) -> Project:
    """Check the contents of a project file and of the runs table that it names.

    Raises ConfigError on the first unknown key, impossible value, duplicate run, or name that is defined nowhere.
    """
    values = dict(values)
    table = values.get("runs")
    if isinstance(table, str):
        table = str(find(table))
        values["runs"] = [row.model_dump() for row in _read_runs(Path(table))]
    elif "runs" in values:
        raise ConfigError(f"{place}: runs: value {table!r}: give the path of the runs table")
    if isinstance(values.get("published"), str):
        values["published"] = str(find(values["published"]))
    project = parse_settings(Project, values, place)
    try:
        for name in project.denoisers:
            project.unet(name)
        for name in project.classifiers:
            project.encoder(name)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    _check_table(project, place, str(table))
    _check_measuring(project, place)
    _check_sweep(project, place, str(table))
    _check_ablations(project, place)
    _check_weights(project, place)
    _check_paths(project, place)
    return project


def _read_runs(path: Path) -> list[Run]:
    refuse_page(path)
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter="\t")
        rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}{why_absent(str(path))}); `runs` is a path from the folder where one"
            " works, the root of the checkout"
        ) from None
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); cells are separated by tabs") from None
    for column, count in Counter(reader.fieldnames or []).items():
        if count > 1:
            raise ConfigError(f"{path} line 1: column '{column}' is there {count} times; drop all but one")
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


def _check_known(kind: str, name: str, names: Iterable[str], place: str, where: str) -> None:
    if name not in names:
        raise ConfigError(f"{where}: {kind} '{name}' is not in {place}; known: {', '.join(names)}")


def _check_row(project: Project, row: Run, place: str, where: str) -> None:
    """A row of the table, or of an ablation."""
    _check_known("denoiser", row.denoiser, project.denoisers, place, where)
    if row.classifier:
        _check_known("classifier", row.classifier.removesuffix(TEMPERATURE_SCALED), project.classifiers, place, where)
    elif row.guidance != "none":
        raise ConfigError(f"{where}: guidance '{row.guidance}' needs a classifier; name one or write none")
    if row.num_images <= project.evaluation.nearest_neighbours:
        raise ConfigError(f"{where}: {row.num_images} images are too few for nearest_neighbours; ask for more")
    if row.scale == "best":
        raise ConfigError(f"{where}: scale 'best' is for generated rows; give a number")
    try:
        kept_timesteps(project.diffusion.diffusion_steps, row.steps)
    except ValueError as error:
        raise ConfigError(f"{where}: steps '{row.steps}': {error}; take other steps") from None
    project.sample_row(row, where)


def _check_table(project: Project, place: str, table: str) -> None:
    seen: dict[str, str] = {}
    for row in project.runs:
        where = f"{table} row '{row.run}'"
        if not row.slug or " at " in row.run or " with " in row.run:
            raise ConfigError(
                f"{where}: a name needs a letter or digit, and no ' at ' or ' with ' (of generated rows); rename it"
            )
        if row.slug in seen:
            raise ConfigError(f"{where}: would share its folder with '{seen[row.slug]}'; rename one")
        seen[row.slug] = row.run
        if row.guidance != "none" and row.seed == project.sweep.seed:
            raise ConfigError(f"{where}: seed {row.seed} is the sweep's; scales are chosen on other images, change one")
        _check_row(project, row, place, where)


def _check_sweep(project: Project, place: str, table: str) -> None:
    sweep = project.sweep
    if isinstance(sweep.scales, dict):
        guided = [row.run for row in project.runs if row.guidance != "none"]
        for run in sweep.scales:
            if run not in guided:
                raise ConfigError(f"{place}: sweep.scales: '{run}' is no guided row; known: {', '.join(guided)}")
    for grid in sweep.grids:
        if len({slug(f"{scale:g}") for scale in grid}) < len(grid):
            raise ConfigError(f"{place}: sweep.scales: two of {grid} share a name; drop one")
    for run in project.table_runs.keys() & (project.sweep_runs.keys() | project.best_runs.keys()):
        name = project.table_runs[run].run
        raise ConfigError(f"{table} row '{name}': would share its folder with a generated row; rename it")
    if sweep.num_images <= project.evaluation.nearest_neighbours:
        raise ConfigError(f"{place}: sweep.num_images: too few for evaluation.nearest_neighbours; ask for more")
    measured = dict.fromkeys(project.metric_names)
    for name in (sweep.best.minimise, *sweep.best.at_least):
        if name not in measured:
            raise ConfigError(f"{place}: sweep.best: metric '{name}' is not measured; known: {', '.join(measured)}")


def _check_ablations(project: Project, place: str) -> None:
    rows = {row.run: row for row in project.runs}
    folders = project.table_runs | project.sweep_runs | project.best_runs
    for name, ablation in project.ablations.items():
        where = f"{place}: ablations.{name}"
        if name in RESERVED:
            raise ConfigError(f"{where}: is the name of another table; rename it")
        for base in ablation.rows:
            if base not in rows:
                raise ConfigError(f"{where}.rows: '{base}' is no row of the table; known: {', '.join(rows)}")
            for column in ablation.vary:
                if column not in (columns := rows[base].columns):
                    raise ConfigError(f"{where}.vary: unknown column '{column}'; known: {', '.join(columns)}")
            try:
                variants = list(ablation.variants(rows[base]))
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
            for variant in variants:
                _check_row(project, variant, place, f"{where}: row '{variant.run}'")
                if folders.setdefault(variant.slug, variant) != variant:
                    raise ConfigError(f"{where}: row '{variant.run}': would share its folder with another; drop one")


def _check_measuring(project: Project, place: str) -> None:
    spaces = project.evaluation.spaces
    if len(set(spaces)) < len(spaces):
        raise ConfigError(f"{place}: evaluation.spaces: one of {spaces} comes twice; drop it")
    for name in project.space_classifiers:
        _check_known("classifier", name, project.classifiers, place, f"{place}: evaluation.spaces")
    if project.published and not Path(project.published).is_file():
        reason = f"does not exist{why_absent(project.published)}"
        raise ConfigError(f"{place}: published: '{project.published}' {reason}; give its path, or null")
    if project.published and "inception" not in spaces:
        raise ConfigError(f"{place}: published: these numbers are of the space inception; add it to evaluation.spaces")


def _check_weights(project: Project, place: str) -> None:
    kept = assets(project)
    for kind, entries in (("denoisers", project.denoisers), ("classifiers", project.classifiers)):
        for name, entry in entries.items():
            if entry.training and entry.training.random_crop and not project.dataset.uncropped:
                raise ConfigError(
                    f"{place}: {kind}.{name}.training.random_crop: needs more than the centre of an image;"
                    " set dataset.uncropped: true"
                )
            start = entry.training and entry.training.init_from
            files = {asset.file for asset in kept if asset_file(asset.source) == start}
            if files and start not in files:
                raise ConfigError(
                    f"{place}: {kind}.{name}.training.init_from: '{start}' is what several sources would be called;"
                    f" name one of {', '.join(sorted(files))}"
                )
    named: dict[str, Asset] = {}
    for asset in kept:
        other = named.setdefault(asset.source, asset)
        if other.sha256 != asset.sha256:
            raise ConfigError(
                f"{place}: {asset.key}: has another sha256 than {other.key}, of one file; give both the same"
            )


def _check_paths(project: Project, place: str) -> None:
    """Those that become inputs and outputs of rules."""
    paths = [("published", project.published or ""), *((asset.key, asset.name) for asset in assets(project))]
    for kind, entries in (("denoisers", project.denoisers), ("classifiers", project.classifiers)):
        for name, entry in entries.items():
            paths.append((f"{kind}.{name}.training.init_from", (entry.training and entry.training.init_from) or ""))
    for key, path in paths:
        if set(path) & set("{}"):
            raise ConfigError(f"{place}: {key}: '{path}' has braces, which Snakemake takes for wildcards; rename it")
