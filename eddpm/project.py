"""A project, and what follows from it.

A `Project` (projectfile.py reads it from one YAML file and one table of runs) knows every run (typed rows, the rows of
the scale sweep, the rows at the best scale) and every classifier, and gives each stage its slice of settings.
"""

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eddpm.config import (
    ChoiceConfig,
    ClassifierLossConfig,
    Criterion,
    DatasetConfig,
    DiffusionConfig,
    EncoderArchitecture,
    EncoderConfig,
    EvaluationConfig,
    MeasureClassifierConfig,
    MeasureConfig,
    Name,
    NonNegative,
    Positive,
    PositiveFloat,
    Precision,
    Respacing,
    SampleConfig,
    Seed,
    SpaceConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
    TrainingConfig,
    UNetArchitecture,
    UNetConfig,
)
from eddpm.cost import Speed, image_seconds, shard_size
from eddpm.settings import Settings, parse_settings

TEMPERED = "+temperature"  # what the name of a classifier ends with, if its logits are divided by fitted temperatures
TEMPERATURES = 10  # noise levels that have one each


class Denoiser(Settings):
    class_cond: bool
    network: UNetArchitecture
    training: TrainingConfig
    microbatch: Positive | None = None  # images that a process computes at once; null: all of its share


class Classifier(Settings):
    network: EncoderArchitecture
    training: TrainingConfig
    microbatch: Positive | None = None
    noised: bool = True
    loss: ClassifierLossConfig = ClassifierLossConfig()


class Sampling(Settings):
    # Of a job: its images, or its minutes, which give their number by the speed. No part of an image's identity.
    shard_size: Positive | None = None
    target_minutes_per_shard: PositiveFloat | None = None
    speed: Speed | None = None
    batch_size: Positive
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _shards_have_a_size(self):
        if (self.shard_size is None) == (self.target_minutes_per_shard is None):
            raise ValueError("shard_size or target_minutes_per_shard says how large a job is; set one of the two")
        if self.target_minutes_per_shard and not self.speed:
            raise ValueError(
                "target_minutes_per_shard needs a speed; run `eddpm calibrate --config ... --run ...`, and add its line"
            )
        return self


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

    @cached_property
    def sweep_shares_jobs(self) -> bool:
        """Whether a sweep is small enough for all scales of a method to share a job, with one shard for each scale."""
        most = self.sampling.target_minutes_per_shard
        together = self.sweep.num_images * len(self.sweep.scales)
        return all(
            self.shard_size(row) == row.num_images and not (most and self.image_seconds(row) * together > 60 * most)
            for row in self.sweep_runs.values()
        )

    def sweep_of(self, method: str) -> list[str]:
        """The slugs of one method's sweep, by rising scale."""
        rows = [row for row in self.sweep_runs.values() if row.method == method]
        return [row.slug for row in sorted(rows, key=lambda row: row.scale)]

    def image_seconds(self, row: Run) -> float:
        """What one image of a run takes a job."""
        guided = row.classifier is not None
        return image_seconds(self.sampling.speed, self.diffusion.diffusion_steps, row.steps, guided)

    def shard_size(self, row: Run) -> int:
        """Images per job of a run."""
        if self.sampling.shard_size:
            return min(self.sampling.shard_size, row.num_images)
        return shard_size(self.sampling.target_minutes_per_shard, self.image_seconds(row), row.num_images)

    def shards(self, run: str) -> dict[str, tuple[int, int]]:
        """The shards of a run: name -> first image, last image + 1."""
        total, size = self.all_runs[run].num_images, self.shard_size(self.all_runs[run])
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
        values = self.classifiers[classifier.removesuffix(TEMPERED)].network.model_dump() | self._images
        values["temperatures"] = TEMPERATURES if classifier.endswith(TEMPERED) else None
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
            loss=entry.loss,
            training=entry.training,
        )

    @cached_property
    def guides(self) -> list[str]:
        """The noise-aware classifiers, then those of them with fitted temperatures that a run names."""
        trained = [name for name, entry in self.classifiers.items() if entry.noised]
        named = dict.fromkeys(row.classifier for row in self.runs if row.classifier)
        return trained + [name for name in named if name.endswith(TEMPERED)]

    def measure_classifier(self, name: str) -> MeasureClassifierConfig:
        return MeasureClassifierConfig(network=self.encoder(name), diffusion=self.diffusion)

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
