"""A project: every run (rows of the table, of the scale sweep, at the best scale, of ablations) and every network, and
the slice of settings for each stage. projectfile.py reads it from one YAML file and one table of runs."""

import itertools
from collections.abc import Iterable, Mapping
from functools import cached_property

from pydantic import Field

from eddpm.config.methods import Method, rules_of
from eddpm.config.metrics import METRICS, base_name, of_judge, of_space
from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.resources import image_seconds, shard_size
from eddpm.config.runs import Ablation, Run, Sweep
from eddpm.config.samples import ChoiceConfig, RunColumns, SampleConfig
from eddpm.config.schema import (
    DatasetConfig,
    DiffusionConfig,
    EvaluationConfig,
    MeasureClassifierConfig,
    MeasureConfig,
    SpaceConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
)
from eddpm.config.sections import Classifier, Denoiser, Sampling
from eddpm.config.seeds import TEMPERATURE_SCALED, TrainingSeeds, at_seed, entry_of, members_of, trained
from eddpm.config.settings import Name, Settings, parse_settings
from eddpm.config.spaces import classifier_of, space_of
from eddpm.config.userpaths import UserPath
from eddpm.guidance.rule import Pair, Rule, kind_of, neutral_scale

TEMPERATURES = 10  # noise levels that have one each


class Project(Settings):
    """A checked project file with its table of runs."""

    experiment: Name
    dataset: DatasetConfig
    diffusion: DiffusionConfig
    denoisers: dict[Name, Denoiser]
    classifiers: dict[Name, Classifier]
    training_seeds: TrainingSeeds = ()  # each network is trained from each of them; none: from its own seed alone
    sampling: Sampling
    evaluation: EvaluationConfig
    runs: tuple[Run, ...]
    sweep: Sweep
    guidance: dict[Name, Method] = Field(default_factory=dict)  # methods that runs name
    ablations: dict[Name, Ablation] = Field(default_factory=dict)
    published: UserPath | None = None  # a table of published numbers, to set the runs' beside
    study: UserPath | None = None  # experiments that change this one (study.py)

    @cached_property
    def networks(self) -> dict[str, Denoiser | Classifier]:
        """Every network by its place in the project file: denoisers.NAME, classifiers.NAME."""
        kinds = {"denoisers": self.denoisers, "classifiers": self.classifiers}
        return {f"{kind}.{name}": entry for kind, entries in kinds.items() for name, entry in entries.items()}

    @cached_property
    def trained(self) -> dict[str, Mapping[str, Denoiser | Classifier]]:
        """The networks that are trained here, by kind and name: those of the file, and at other seeds those of runs."""
        runs = self.all_runs.values()
        return {
            "denoisers": trained(
                self.denoisers, [name for row in runs for name in (row.denoiser, self.other_denoiser(row)) if name]
            ),
            "classifiers": trained(self.classifiers, [row.classifier for row in runs if row.classifier]),
        }

    # The runs -----------------------------------------------------------------------------------------------------

    @cached_property
    def table_runs(self) -> dict[str, Run]:
        """The rows of the runs table, by slug."""
        return _by_slug(self.runs)

    @cached_property
    def sweep_runs(self) -> dict[str, Run]:
        """Each row that is swept, at each scale of its grid."""
        return _by_slug(self.sweep.rows(self.swept_rows))

    @cached_property
    def best_runs(self) -> dict[str, Run]:
        """Each of those rows at the scale that its sweep finds best, where the sweep is to choose one."""
        return _by_slug(
            row.model_copy(update={"run": f"{row.run} at best", "method": row.run, "scale": "best"})
            for row in (self.swept_rows if self.sweep.best else ())
        )

    @cached_property
    def ablation_runs(self) -> dict[str, dict[str, Run]]:
        """The rows of each ablation, those of the table among them."""
        rows = {row.run: row for row in self.runs}
        return {
            name: _by_slug(variant for row in ablation.rows for variant in ablation.variants(rows[row]))
            for name, ablation in self.ablations.items()
        }

    @cached_property
    def rows(self) -> dict[str, Run]:
        """The rows of all tables, by slug."""
        ablated = {run: row for rows in self.ablation_runs.values() for run, row in rows.items()}
        return self.table_runs | self.sweep_runs | self.best_runs | ablated

    @cached_property
    def all_runs(self) -> dict[str, Run]:
        """Every run that can be sampled, by slug: the rows, and their other members."""
        return self.rows | _by_slug(member for members in self.runs_of_rows.values() for member in members.values())

    def members(self, row: str) -> dict[int, str]:
        """The runs whose mean a row is, by slug: one for each training seed, in the order of training_seeds.

        A run differs from its row in its networks alone, and is the row itself where those have that seed. So is the
        one run of a row of checkpoints alone (its seed is 0), or of a project without training_seeds.
        """
        return {seed: member.slug for seed, member in self.runs_of_rows[row].items()}

    @cached_property
    def runs_of_rows(self) -> dict[str, dict[int, Run]]:
        """The members of each row by training seed."""
        networks = {"denoiser": self.denoisers, "classifier": self.classifiers}
        return {
            slug: members_of(row, self.training_seeds, networks, self.other_denoiser(row))
            for slug, row in self.rows.items()
        }

    @property
    def swept_rows(self) -> list[Run]:
        """The rows of the table that have a grid of scales."""
        return [row for row in self.runs if row.guidance != "none" and self.sweep.grid(row.run)]

    @cached_property
    def shared_sweeps(self) -> dict[tuple[float, ...], list[str]]:
        """The swept rows whose scales share a job, with one shard for each, by grid: those of a small enough sweep."""
        most = self.sampling.target_minutes_per_shard
        found: dict[tuple[float, ...], list[str]] = {}
        for row in self.swept_rows:
            grid = self.sweep.grid(row.run)
            first = next(self.sweep.rows([row]))
            together = self.image_seconds(row) * self.sweep.num_images * len(grid)
            if self.shard_size(first) == first.num_images and not (most and together > 60 * most):
                found.setdefault(grid, []).append(row.run)
        return found

    @cached_property
    def shared_runs(self) -> set[str]:
        """The runs of these sweeps, by slug."""
        methods = set(itertools.chain(*self.shared_sweeps.values()))
        return {run for run, row in self.sweep_runs.items() if row.method in methods}

    def sweep_of(self, method: str) -> list[str]:
        """The slugs of one method's sweep, by rising scale."""
        rows = [row for row in self.sweep_runs.values() if row.method == method]
        return [row.slug for row in sorted(rows, key=lambda row: row.scale)]

    def guidance_of(self, row: Run) -> tuple[Rule, ...]:
        """The rules of a run's method. Raises ConfigError where there is none of that name."""
        return rules_of(row.guidance, self.guidance)

    def other_denoiser(self, row: Run) -> str | None:
        """The second denoiser of a pair, if it is not the run's own."""
        name = next((rule.other for rule in self.guidance_of(row) if isinstance(rule, Pair)), None)
        if name is None or row.training_seed is None:
            return name
        return at_seed(self.denoisers, name, row.training_seed)

    def measured_sweep(self, method: str) -> list[str]:
        """The runs that the best scale of a method is chosen from: the members of its sweep, by rising scale."""
        return [member for row in self.sweep_of(method) for member in self.members(row).values()]

    def image_seconds(self, row: Run) -> float:
        """Seconds of a job for one image of a run."""
        guided = row.classifier is not None or kind_of(self.guidance_of(row)) == "pair"
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
        entry = entry_of(self.denoisers, denoiser)
        num_classes = self.dataset.num_classes + bool(entry.label_dropout) if entry.class_cond else None
        values = {**entry.network.model_dump(), **self._images, "num_classes": num_classes}
        return parse_settings(UNetConfig, values, f"denoiser '{denoiser}'")

    def encoder(self, classifier: str) -> EncoderConfig:
        network = entry_of(self.classifiers, classifier).network
        values = {**network.model_dump(), **self._images, "num_classes": self.dataset.num_classes}
        values["temperatures"] = TEMPERATURES if classifier.endswith(TEMPERATURE_SCALED) else None
        return parse_settings(EncoderConfig, values, f"classifier '{classifier}'")

    def train_denoiser(self, name: str) -> TrainDenoiserConfig:
        entry = entry_of(self.denoisers, name)
        parts = {"network": self.unet(name), "diffusion": self.diffusion}
        parts |= {"training": entry.training, "label_dropout": entry.label_dropout}
        return parse_settings(TrainDenoiserConfig, parts, f"denoiser '{name}'")

    def train_classifier(self, name: str) -> TrainClassifierConfig:
        entry = entry_of(self.classifiers, name)
        return TrainClassifierConfig(
            network=self.encoder(name),
            diffusion=self.diffusion,
            noised=entry.noised,
            loss=entry.loss,
            training=entry.training,
        )

    @cached_property
    def guiding_classifiers(self) -> list[str]:
        """The noise-aware classifiers, then the others that runs name, those with fitted temperatures among them."""
        noised = [name for name, entry in self.classifiers.items() if entry.noised]
        named = [row.classifier for row in self.all_runs.values() if row.classifier]
        return list(dict.fromkeys(noised + named))

    @property
    def table_guiding_classifiers(self) -> list[str]:
        """The classifiers that guide the rows of the runs table."""
        return list(dict.fromkeys(row.classifier for row in self.runs if row.classifier))

    def measure_classifier(self, name: str) -> MeasureClassifierConfig:
        return MeasureClassifierConfig(network=self.encoder(name), diffusion=self.diffusion)

    def sample(self, run: str) -> SampleConfig:
        """The settings of a run; at the best scale, which is not known yet, with scale 0."""
        return self.sample_row(row := self.all_runs[run], f"run '{row.run}'")

    def sample_row(self, row: Run, place: str) -> SampleConfig:
        """`sample` of any row. Raises ConfigError, naming `place`, where its columns do not go together."""
        parts = {
            **row.model_dump(include=set(RunColumns.model_fields)),
            "name": row.run,
            "guidance": self.guidance_of(row),
            "other_denoiser": self.unet(other) if (other := self.other_denoiser(row)) else None,
            "denoiser": self.unet(row.denoiser),
            "classifier": self.encoder(row.classifier) if row.classifier else None,
            "num_classes": self.dataset.num_classes,
            "diffusion": self.diffusion,
            **self.sampling.model_dump(include={"precision", "compile"}),
        }
        if row.scale == "best":
            parts["scale"] = neutral_scale(parts["guidance"])
        return parse_settings(SampleConfig, parts, place)

    def choice(self, run: str) -> ChoiceConfig:
        return ChoiceConfig(criterion=self.sweep.best, run=self.sample(run))

    @property
    def metric_names(self) -> list[str]:
        """The metrics of every run, as in the tables."""
        names = of_judge() if self.space_classifiers else []
        names += [f"{space}/{name}" for space in self.evaluation.spaces for name in of_space(space)]
        return [name for name in names if base_name(name) in self.evaluation.metrics]

    @property
    def space_classifiers(self) -> list[str]:
        """The classifiers whose features measure samples, in the order of the spaces."""
        return list(filter(None, map(classifier_of, self.evaluation.spaces)))

    def measure(self) -> MeasureConfig:
        evaluation = self.evaluation
        has_density = {"density", "coverage"} & set(evaluation.metrics)
        return MeasureConfig(
            spaces=[self._space(name) for name in evaluation.spaces],
            nearest_neighbours=evaluation.nearest_neighbours,
            replicates=evaluation.replicates,
            metrics=[name for name in METRICS if name in evaluation.metrics],
            **({"density_neighbours": evaluation.density_neighbours} if has_density else {}),
        )

    def _space(self, name: str) -> SpaceConfig:
        classifier = classifier_of(name)
        network = self.evaluation.inception if name == "inception" else None
        published, origin = space_of(name).download, self.evaluation.origin(name)
        sha256 = origin.sha256 if origin and origin.sha256 != published.sha256 else None
        return SpaceConfig(
            name=name,
            classifier=self.encoder(classifier) if classifier else None,
            inception_resize=network.resize if network else None,
            inception_sha256=sha256 if network else None,
            weights_sha256=None if network else sha256,
        )


def _by_slug(rows: Iterable[Run]) -> dict[str, Run]:
    return {row.slug: row for row in rows}
