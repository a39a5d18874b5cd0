"""Reading a project: its YAML file and its table of runs, with every name in them checked before anything runs."""

import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eddpm.config import paths
from eddpm.config.assets import Asset, asset_file, assets
from eddpm.config.methods import RULES
from eddpm.config.metrics import DEFAULT_METRICS, METRICS, base_name
from eddpm.config.project import Project
from eddpm.config.runs import MOST_ROWS, Run
from eddpm.config.seeds import TEMPERATURE_SCALED
from eddpm.config.settings import COMMAND, FILE_NAME, SHORT, parse_settings, read_table
from eddpm.config.userpaths import expand, why_absent
from eddpm.errors import ConfigError
from eddpm.io.filekinds import unreadable
from eddpm.io.names import listed

# Names of tables and of targets.
RESERVED = ("main", "published", "memorisation", "best_scale", "matched", "sweep", "scale")
PUBLISHED_METRICS = {"fid", "sfid", "inception_score", "precision", "recall"}
DEFAULT = "config/digits/config.yaml"  # the project that snakemake runs where none is named


def find(file: str) -> Path:
    """A file of a configuration: below the working directory or, where none is there, in the checkout."""
    here = Path(expand(file))
    shipped = Path(__file__).parents[2] / here
    return shipped if os.path.exists(shipped) and not os.path.exists(here) else here


def load_project(values: dict[str, Any], place: str) -> Project:
    """Check the contents of a project file and of the runs table that it names.

    Raises ConfigError on the first unknown key, impossible value, duplicate run, or name that is defined nowhere.
    """
    values, table = dict(values), values.get("runs")
    if isinstance(table, str):
        table = find(table)
        values["runs"] = _read_runs(table)
    elif "runs" in values:
        raise ConfigError(f"{place}: runs: value {SHORT.repr(table)}: give the path of the runs table")
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
    mistakes = (
        _in_counts(project, place),
        _in_methods(project, place),
        _in_table(project, place, str(table)),
        _in_evaluation(project, place),
        _in_sweep(project, place),
        _in_ablations(project, place),
        _in_weights(project, place),
        _in_seeds(project, place),
    )
    if first := next(itertools.chain(*mistakes), None):
        raise ConfigError(first)
    return project


def _read_runs(path: Path) -> list[Run]:
    header, lines = read_table(path, "cells are separated by tabs")
    rows = list(itertools.islice(lines, MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        raise ConfigError(f"{path}: has more than {MOST_ROWS:,} rows; give fewer")
    for column, count in Counter(header).items():
        if count > 1:
            raise ConfigError(f"{path} line 1: column {column!r} is there {count} times; drop all but one")
    for column in ("method", "training_seed"):
        if column in header:
            raise ConfigError(f"{path}: column '{column}' is of generated rows; remove it")
    if first := next(_parameters(header, f"{path}: column"), None):
        raise ConfigError(first)
    runs = [_run(row, where) for where, row in rows]
    if not runs:
        raise ConfigError(f"{path}: has no rows; add one line per run")
    return runs


def _run(row: dict[str, str], where: str) -> Run:
    cells = {column: cell for column, cell in row.items() if cell != ""}
    if cells.get("guidance") == "none":
        cells.setdefault("scale", "0")
    return parse_settings(Run, {"classifier": None, **cells}, where)


# Values that do not go together: a message about each --------------------------------------------------------------


def _in_counts(project: Project, place: str) -> Iterator[str]:
    """Before any row is generated: there may be more than the memory holds."""
    counts = {"runs": len(project.runs)}
    counts["sweep.scales"] = sum(len(project.sweep.grid(row.run)) for row in project.swept_rows)
    for name, ablation in project.ablations.items():
        counts[f"ablations.{name}"] = len(ablation.rows) * math.prod(map(len, ablation.vary.values()))
    seeds = len(project.training_seeds)
    for key, rows in counts.items():
        count, kind = (rows * seeds, "rows times training seeds") if seeds else (rows, "rows")
        if count > MOST_ROWS:
            yield f"{place}: {key}: {count:,} {kind}, of which a table has {MOST_ROWS:,} at most; give fewer"


def _in_files(project: Project, row: Run, where: str) -> Iterator[str]:
    """Names of a run's files that are too long, or too many for a command."""
    name = f"{project.experiment}_{row.slug}_0000"  # as Slurm calls the logs of its jobs
    if len(name) > FILE_NAME:
        yield f"{where}: files would have names of {len(name)} bytes, where {FILE_NAME} are possible; shorten its name"
    names = {"experiment": project.experiment, "run": row.slug, "shard": "0000"}
    most = COMMAND // len(paths.SAMPLES.format(**names) + paths.FEATURES.format(**names))
    size = project.shard_size(row)
    if row.num_images > most * size:
        is_sized = project.sampling.shard_size is not None
        key = f"shard_size to {-(-row.num_images // most):,}" if is_sized else "target_minutes_per_shard"
        yield (
            f"{where}: {row.num_images:,} images are too many for shards of {size:,}, which {most:,} at most can be;"
            f" raise sampling.{key}, or ask for fewer images"
        )


def _unknown(names: Iterable[str], known: Iterable[str], before: str, fault: str) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{before} {name!r} {fault}; known: {listed(known, most=30)}"


def _parameters(columns: Iterable[str], before: str) -> Iterator[str]:
    """Columns that are none, but parameters of rules."""
    for column in columns:
        rules = [name for name, rule in RULES.items() if column in rule.model_fields]
        if rules and column not in Run.model_fields:
            yield (
                f"{before} {column!r} is a parameter of a rule; write NAME: {{rule: {rules[0]}, {column}: ...}} in"
                " `guidance` of the project file, and NAME as a row's guidance"
            )


def _in_row(project: Project, row: Run, place: str, where: str) -> Iterator[str]:
    """Of a row of the table, or of an ablation."""
    classifiers = [row.classifier.removesuffix(TEMPERATURE_SCALED)] if row.classifier else []
    yield from _unknown([row.denoiser], project.denoisers, f"{where}: denoiser", f"is not in {place}")
    yield from _unknown(classifiers, project.classifiers, f"{where}: classifier", f"is not in {place}")
    try:
        others = [name for name in (project.other_denoiser(row),) if name]
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    yield from _unknown(
        others, project.denoisers, f"{where}: guidance '{row.guidance}': denoiser", f"is not in {place}"
    )
    if row.num_images <= project.evaluation.nearest_neighbours:
        yield f"{where}: {row.num_images} images are too few for nearest_neighbours; ask for more"
    yield from _in_files(project, row, where)
    project.sample_row(row, where)


def _in_methods(project: Project, place: str) -> Iterator[str]:
    for name, rules in project.guidance.items():
        if name in RULES and name not in [rule.rule() for rule in rules]:
            yield f"{place}: guidance.{name}: is the name of a rule that it has not; rename it"


def _in_table(project: Project, place: str, table: str) -> Iterator[str]:
    generated = project.sweep_runs.keys() | project.best_runs.keys()
    others: dict[str, str] = {}
    for row in project.runs:
        where = f"{table} row '{row.run}'"
        if row.slug in others:
            yield f"{where}: would share its folder with '{others[row.slug]}'; rename one"
        if row.slug in generated:
            yield f"{where}: would share its folder with a generated row; rename it"
        others[row.slug] = row.run
        if row.guidance != "none" and row.seed == project.sweep.seed:
            yield f"{where}: seed {row.seed} is the sweep's; scales are chosen on other images, change one"
        yield from _in_row(project, row, place, where)


def _in_evaluation(project: Project, place: str) -> Iterator[str]:
    spaces, chosen = project.evaluation.spaces, project.evaluation.metrics
    for key, names in (("spaces", spaces), ("metrics", chosen)):
        if len(set(names)) < len(names):
            yield f"{place}: evaluation.{key}: one of {names} comes twice; drop it"
    measured = {base_name(name) for name in project.metric_names}
    for name in chosen if chosen != DEFAULT_METRICS else ():
        if name not in measured:
            yield f"{place}: evaluation.metrics: '{name}' is of other spaces than {listed(spaces)}; add one, or drop it"
    before, fault = f"{place}: evaluation.spaces: classifier", f"is not in {place}"
    yield from _unknown(project.space_classifiers, project.classifiers, before, fault)
    if project.published and not Path(project.published).is_file():
        reason = unreadable(Path(project.published)) or f"does not exist{why_absent(project.published)}"
        yield f"{place}: published: '{project.published}' {reason}; give its path, or null"
    if project.published and "inception" not in spaces:
        yield f"{place}: published: these numbers are of the space inception; add it to evaluation.spaces"
    if project.published and (lacking := PUBLISHED_METRICS - set(chosen)):
        yield f"{place}: published: these numbers need {listed(sorted(lacking))}; add them to evaluation.metrics"


def _in_sweep(project: Project, place: str) -> Iterator[str]:
    sweep = project.sweep
    if isinstance(sweep.scales, dict):
        guided = [row.run for row in project.runs if row.guidance != "none"]
        yield from _unknown(sweep.scales, guided, f"{place}: sweep.scales:", "is no guided row")
    if sweep.num_images <= project.evaluation.nearest_neighbours:
        yield f"{place}: sweep.num_images: too few for evaluation.nearest_neighbours; ask for more"
    for row in project.swept_rows:  # of scale 0 in the table, perhaps, where guidance is checked less
        first = next(project.sweep.rows([row]))
        project.sample_row(first, f"{place}: sweep: row '{first.run}'")
    yield from _in_comparisons(project, place)
    for row in (*project.sweep_runs.values(), *project.best_runs.values()):
        yield from _in_files(project, row, f"{place}: sweep: row '{row.run}'")


def _in_comparisons(project: Project, place: str) -> Iterator[str]:
    """Of the metrics by which swept methods are compared."""
    sweep = project.sweep
    bounded = (sweep.best.minimise, *sweep.best.at_least) if sweep.best else ()
    for key, names in (("best", bounded), ("matched", sweep.matched or ())):
        known = dict.fromkeys(project.metric_names)
        yield from _unknown(names, known, f"{place}: sweep.{key}: metric", "is not measured")
    swept = [row.run for row in project.swept_rows]
    for names in (sweep.baselines, *sweep.baselines.values()):
        yield from _unknown(names, swept, f"{place}: sweep.baselines:", "is no swept row")
    for name, levels in (sweep.matched or {}).items():
        if METRICS[base_name(name)].fitted:
            yield f"{place}: sweep.matched.{name}: has no values on halves of the images; match another metric"
        low, high = METRICS[base_name(name)].bounds
        for level in levels:
            if not low < level < high:
                bounds = f"between {low:g} and {high:g}" if math.isfinite(high) else f"above {low:g}"
                yield f"{place}: sweep.matched.{name}: level {level:g} is never reached; give one {bounds}"


def _in_ablations(project: Project, place: str) -> Iterator[str]:
    rows = {row.run: row for row in project.runs}
    folders = project.table_runs | project.sweep_runs | project.best_runs
    for name, ablation in project.ablations.items():
        where = f"{place}: ablations.{name}"
        if name in RESERVED:
            yield f"{where}: is the name of another table; rename it"
        yield from _parameters(ablation.vary, f"{where}.vary: column")
        yield from _unknown(ablation.vary, project.runs[0].columns, f"{where}.vary: column", "is unknown")
        yield from _unknown(ablation.rows, rows, f"{where}.rows:", "is no row of the table")
        for base in ablation.rows:
            try:
                variants = list(ablation.variants(rows[base]))
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
            for variant in variants:
                yield from _in_row(project, variant, place, f"{where}: row '{variant.run}'")
                if folders.setdefault(variant.slug, variant) != variant:
                    yield f"{where}: row '{variant.run}': would share its folder with another; drop one"


def _in_seeds(project: Project, place: str) -> Iterator[str]:
    for row, runs in project.runs_of_rows.items():
        for run in runs.values():
            where = f"{place}: training_seeds: run '{run.run}'"
            if run.slug != row and run.slug in project.rows:
                yield f"{where} would share its folder with row '{project.rows[run.slug].run}'; rename that row"
            yield from _in_files(project, run, where)


def _in_weights(project: Project, place: str) -> Iterator[str]:
    kept = assets(project)
    given = {"published": project.published} | {asset.key: asset.name for asset in kept}  # of inputs and outputs
    for key, entry in project.networks.items():
        training, start = entry.training, entry.training and entry.training.init_from
        if training and training.random_crop and not project.dataset.uncropped:
            reason = "needs more than the centre of an image; set dataset.uncropped: true"
            yield f"{place}: {key}.training.random_crop: {reason}"
        files = sorted({asset.file for asset in kept if asset_file(asset.source) == start})
        if files and start not in files:
            reason = f"'{start}' is what several sources would be called; name one of {', '.join(files)}"
            yield f"{place}: {key}.training.init_from: {reason}"
        given[f"{key}.training.init_from"] = start
    named: dict[str, Asset] = {}
    for asset in kept:
        if len(os.fsencode(f"{asset.name}.sha256")) > FILE_NAME:
            yield f"{place}: {asset.key}: '{asset.name}' and .sha256 are too long for the name of a file; rename it"
        other = named.setdefault(asset.source, asset)
        if other.sha256 != asset.sha256:
            yield f"{place}: {asset.key}: has another sha256 than {other.key}, of one file; give both the same"
    for key, path in given.items():
        if path and set(path) & set("{}"):
            yield f"{place}: {key}: '{path}' has braces, which Snakemake takes for wildcards; rename it"
