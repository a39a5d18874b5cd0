"""A project: one YAML file, one table of runs, and what follows from them.

`load_project` checks both, and the names between them, before anything runs. A `Project` then knows every run (typed
rows, the rows of the scale sweep, the rows at the best scale) and gives each stage its slice of settings.
"""

import csv
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from eddpm.config import (
    ChoiceConfig,
    Criterion,
    DatasetConfig,
    DiffusionConfig,
    EncoderArchitecture,
    EncoderConfig,
    EvaluationConfig,
    MeasureConfig,
    Name,
    NonNegative,
    Positive,
    PositiveFloat,
    Respacing,
    SampleConfig,
    Seed,
    Settings,
    SpaceConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
    TrainingConfig,
    UNetArchitecture,
    UNetConfig,
    parse_settings,
)
from eddpm.diffusion.respacing import kept_timesteps
from eddpm.errors import ConfigError


class Denoiser(Settings):
    class_cond: bool
    network: UNetArchitecture
    training: TrainingConfig


class Classifier(Settings):
    network: EncoderArchitecture
    training: TrainingConfig
    noised: bool = True
    ect_weight: NonNegative = 0.0


class Sampling(Settings):
    shard_size: Positive  # images per job; no part of an image's identity
    batch_size: Positive
    precision: Literal["float32", "float16", "bfloat16"] = "float32"


class Sweep(Settings):
    """Every guided row of the runs table over one grid of scales, on images of another seed."""

    scales: tuple[PositiveFloat, ...] = Field(min_length=1)
    num_images: Positive
    seed: Seed
    best: Criterion


class Run(Settings):
    """One row of the runs table, or one generated from it."""

    run: Annotated[str, Field(min_length=1)]  # the paper's name
    denoiser: str
    classifier: str | None
    sampler: Literal["ddpm", "ddim"]
    steps: Respacing
    guidance: Literal["none", "constant", "entropy"]
    scale: NonNegative | Literal["best"]
    seed: Seed
    num_images: Positive
    method: str = ""  # of a generated row: the row of the table it varies

    @property
    def slug(self) -> str:
        return slug(self.run)


def slug(name: str) -> str:
    """The path-safe form of a run's name: UADM(25)-G+EDS+ECT is uadm25-g-eds-ect."""
    return re.sub(r"[^a-z0-9.]+", "-", re.sub(r"[()]", "", name.lower())).strip("-.")


class Project(Settings):
    """A checked project file with its table of runs."""

    experiment: Name
    dataset: DatasetConfig
    diffusion: DiffusionConfig
    denoisers: dict[Name, Denoiser]
    classifiers: dict[Name, Classifier]
    sampling: Sampling
    evaluation: EvaluationConfig
    runs: tuple[Run, ...]
    sweep: Sweep

    # The runs -----------------------------------------------------------------------------------------------------

    @cached_property
    def sweep_runs(self) -> dict[str, Run]:
        """Each guided row at each scale of the grid, by slug."""
        changes = {"seed": self.sweep.seed, "num_images": self.sweep.num_images}
        rows = [
            row.model_copy(update={"run": f"{row.run} at {scale:g}", "method": row.run, "scale": scale, **changes})
            for row in self._guided
            for scale in self.sweep.scales
        ]
        return {row.slug: row for row in rows}

    @cached_property
    def best_runs(self) -> dict[str, Run]:
        """Each guided row at the scale that its sweep finds best, by slug."""
        rows = [
            row.model_copy(update={"run": f"{row.run} at best", "method": row.run, "scale": "best"})
            for row in self._guided
        ]
        return {row.slug: row for row in rows}

    @cached_property
    def table_runs(self) -> dict[str, Run]:
        """The rows of the runs table, by slug."""
        return {row.slug: row for row in self.runs}

    @cached_property
    def all_runs(self) -> dict[str, Run]:
        return self.table_runs | self.sweep_runs | self.best_runs

    @property
    def _guided(self) -> list[Run]:
        return [row for row in self.runs if row.guidance != "none"]

    @property
    def sweep_shares_jobs(self) -> bool:
        """Whether a sweep is small enough for all scales of a method to share a job: one shard for each scale."""
        return self.sweep.num_images <= self.sampling.shard_size

    def sweep_of(self, method: str) -> list[str]:
        """The slugs of one method's sweep, by rising scale."""
        rows = [row for row in self.sweep_runs.values() if row.method == method]
        return [row.slug for row in sorted(rows, key=lambda row: row.scale)]

    def shards(self, run: str) -> dict[str, tuple[int, int]]:
        """The shards of a run: name -> first image, last image + 1."""
        total, size = self.all_runs[run].num_images, self.sampling.shard_size
        starts = range(0, total, size)
        return {f"{k:04d}": (start, min(start + size, total)) for k, start in enumerate(starts)}

    # The slices, one per stage ------------------------------------------------------------------------------------

    @property
    def _images(self) -> dict[str, int]:
        return {"image_size": self.dataset.image_size, "image_channels": self.dataset.image_channels}

    def unet(self, denoiser: str) -> UNetConfig:
        entry = self.denoisers[denoiser]
        num_classes = self.dataset.num_classes if entry.class_cond else None
        values = {**entry.network.model_dump(), **self._images, "num_classes": num_classes}
        return parse_settings(UNetConfig, values, f"denoiser '{denoiser}'")

    def encoder(self, classifier: str) -> EncoderConfig:
        values = self.classifiers[classifier].network.model_dump() | self._images
        return parse_settings(
            EncoderConfig, {**values, "num_classes": self.dataset.num_classes}, f"classifier '{classifier}'"
        )

    def train_denoiser(self, name: str) -> TrainDenoiserConfig:
        parts = {"network": self.unet(name), "diffusion": self.diffusion, "training": self.denoisers[name].training}
        return parse_settings(TrainDenoiserConfig, parts, f"denoiser '{name}'")

    def train_classifier(self, name: str) -> TrainClassifierConfig:
        entry = self.classifiers[name]
        return TrainClassifierConfig(
            network=self.encoder(name),
            diffusion=self.diffusion,
            noised=entry.noised,
            ect_weight=entry.ect_weight,
            training=entry.training,
        )

    def sample(self, run: str) -> SampleConfig:
        """The settings of a run; at the best scale, which is not known yet, with scale 0."""
        row = self.all_runs[run]
        return SampleConfig(
            name=row.run,
            denoiser=self.unet(row.denoiser),
            classifier=self.encoder(row.classifier) if row.classifier else None,
            num_classes=self.dataset.num_classes,
            diffusion=self.diffusion,
            sampler=row.sampler,
            steps=row.steps,
            guidance=row.guidance,
            scale=0.0 if row.scale == "best" else row.scale,
            seed=row.seed,
            precision=self.sampling.precision,
        )

    def choice(self, run: str) -> ChoiceConfig:
        return ChoiceConfig(criterion=self.sweep.best, run=self.sample(run))

    @property
    def metric_names(self) -> list[str]:
        """What is measured of every run, as in the tables."""
        of_any, of_network = ["fid", "kid", "precision", "recall"], ["sfid", "inception_score"]
        names = ["accuracy"] if self.space_classifiers else []
        for space in self.evaluation.spaces:
            names += [f"{space}/{name}" for name in of_any + (of_network if space != "pixels" else [])]
        return names

    @property
    def space_classifiers(self) -> list[str]:
        """The classifiers whose features measure samples, in the order of the spaces."""
        spaces = self.evaluation.spaces
        return [space.removeprefix("classifier:") for space in spaces if space.startswith("classifier:")]

    def measure(self) -> MeasureConfig:
        evaluation = self.evaluation
        return MeasureConfig(
            spaces=[self._space(name) for name in evaluation.spaces],
            nearest_neighbours=evaluation.nearest_neighbours,
            replicates=evaluation.replicates,
        )

    def _space(self, name: str) -> SpaceConfig:
        classifier = name.removeprefix("classifier:")
        return SpaceConfig(
            name=name,
            classifier=None if classifier == name else self.encoder(classifier),
            inception_resize=self.evaluation.inception.resize if name == "inception" else None,
        )


# Reading ----------------------------------------------------------------------------------------------------------


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
            known("classifier", row.classifier, project.classifiers, where)
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
    source = project.dataset.source
    if source != "digits" and not Path(source).is_dir():
        raise ConfigError(f"{place}: dataset.source: '{source}' is no folder; write 'digits' or the path of a folder")
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
