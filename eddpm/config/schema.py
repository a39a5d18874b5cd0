"""Everything a user can set: strict, frozen, checked before any work. Imports no torch (the Snakefile reads this).

Each stage has one class here: the slice of the project (project.py) that decides its output, no more. The workflow
writes it as settings.yaml beside that output, and the stage reads it back with `load_settings` (settings.py).
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from eddpm.config.metrics import DEFAULT_METRICS, METRICS
from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.settings import (
    Fraction,
    NonNegative,
    Positive,
    PositiveFloat,
    Seed,
    Settings,
    Sha256,
    TwoOrMore,
)
from eddpm.config.spaces import INCEPTION, PATTERN, TRANSFORMERS, Download, space_of
from eddpm.config.userpaths import UserPath


def _check_respacing(steps: str) -> str:
    if not re.fullmatch(r"ddim[1-9]\d{0,7}|[1-9]\d{0,7}(,[1-9]\d{0,7})*", steps, re.ASCII):
        raise ValueError("write ADM's respacing: '250', 'ddim25' or '10,5,5'")
    return steps


Respacing = Annotated[str, AfterValidator(_check_respacing)]


class DatasetConfig(Settings):
    source: UserPath  # a name of bundled.py; a folder or a zip with one folder of images per class; an npz
    validation_source: UserPath | None = None  # the same kinds; null: a share of the source
    classes: Literal["folders", "prefixes"] = "folders"  # prefixes: an image's name up to the first "_" is its class
    image_size: Positive
    image_channels: Literal[1, 3]
    num_classes: TwoOrMore
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    uncropped: bool = False  # training images are kept whole, too, for random crops
    max_corrupt: Fraction = 0.0  # share of the images that may be unreadable
    # A page about the images, named while they are missing; decides nothing.
    homepage: str | None = Field(default=None, exclude=True)


class DiffusionConfig(Settings):
    noise_schedule: Literal["linear", "cosine"]
    diffusion_steps: Annotated[int, Field(gt=0, le=2**24)] = 1000  # networks see timesteps as float32
    sigma_small: bool = False  # fixed variance: the posterior's in place of beta; no effect where it is learned

    @model_validator(mode="after")
    def _betas_stay_below_one(self):
        if self.noise_schedule == "linear" and self.diffusion_steps <= 20:
            raise ValueError(f"a linear schedule of {self.diffusion_steps} steps has a beta of 1; take more than 20")
        return self


Precision = Literal["float32", "float16", "bfloat16"]


class TrainingConfig(Settings):
    iterations: Positive
    batch_size: Positive  # images per step, over all processes and microbatches
    lr: PositiveFloat
    weight_decay: NonNegative = 0.0
    ema_rate: Fraction = 0.0  # 0: no moving average
    precision: Precision = "float32"
    random_crop: bool = False  # as ADM: the short side 1 to 1.25 times the crop
    random_flip: bool = False
    init_from: UserPath | None = None  # a checkpoint to start from
    save_interval: Positive = 500
    seed: Seed = 0


class ClassifierLossConfig(Settings):
    """Cross-entropy with the paper's entropy constraint, or a rival of that."""

    ect_weight: NonNegative = 0.0
    ect_weighting: Literal["constant", "snr"] = "constant"  # snr: times alpha_bar, which is SNR / (1 + SNR)
    label_smoothing: Fraction = 0.0
    focal_gamma: NonNegative = 0.0

    @model_validator(mode="after")
    def _one_target(self):
        if self.label_smoothing and self.focal_gamma:
            raise ValueError("label_smoothing and focal_gamma together have no definition; set one of them to 0")
        return self


class TrainDenoiserConfig(Settings):
    network: UNetConfig  # with label dropout, its last class means "no class"
    diffusion: DiffusionConfig
    training: TrainingConfig
    label_dropout: Fraction = 0.0

    @model_validator(mode="after")
    def _labels_can_be_dropped(self):
        if self.label_dropout and (self.network.num_classes or 0) < 2:
            raise ValueError("label_dropout needs a class of network.num_classes for no label; set that, or drop it")
        return self

    @model_serializer(mode="wrap")
    def _dropping_where_some(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the 0, as settings were frozen before there was the key: trained networks stay."""
        return {key: value for key, value in serialize(self).items() if key != "label_dropout" or value}


class TrainClassifierConfig(Settings):
    network: EncoderConfig
    diffusion: DiffusionConfig
    noised: bool = True  # false: sees clean images only, as the feature space that measures samples does
    loss: ClassifierLossConfig = ClassifierLossConfig()
    training: TrainingConfig


class MeasureClassifierConfig(Settings):
    """A classifier that is measured, or calibrated, by noise level."""

    network: EncoderConfig
    diffusion: DiffusionConfig
    seed: Seed = 0


def _check_known(sha256: Any) -> Any:
    if sha256 is None:
        raise ValueError(
            "a TorchScript can run code when it is loaded, so its SHA-256 is known before; drop this key for the"
            " published file or, if you trust the maker of another, give what `sha256sum FILE` prints"
        )
    return sha256


class InceptionConfig(Settings):
    """The network behind the space "inception"."""

    source: UserPath = INCEPTION.source  # a URL, or the path of the file
    sha256: Annotated[Sha256, BeforeValidator(_check_known)] = INCEPTION.sha256
    # How images come to 299 pixels: as in ADM's evaluator, or antialiased (Parmar et al., 2022). FIDs of both differ.
    resize: Literal["legacy_tensorflow", "clean"] = "legacy_tensorflow"


class WeightsFile(Settings):
    """The file of weights behind another space, where it is not fetched from its publisher."""

    source: UserPath  # a URL, or the path of the file
    sha256: Sha256 | None = None  # null: the published file's


Replicates = TwoOrMore | Literal[0]
Metrics = Annotated[tuple[Literal[*METRICS], ...], Field(min_length=1)]


class EvaluationConfig(Settings):
    """Feature spaces that samples are measured in; accuracy is judged by the first classifier among them."""

    spaces: tuple[Annotated[str, Field(pattern=PATTERN)], ...] = Field(min_length=1)
    metrics: Metrics = DEFAULT_METRICS
    nearest_neighbours: Positive = 3
    density_neighbours: Positive = 5  # for density and coverage
    replicates: Replicates | None = None  # of standard errors; null: by num_images
    reference: UserPath | None = None  # a reference batch as ADM publishes them; null: the training images
    reference_sha256: Sha256 | None = None  # null: recorded when the file comes, and asked of it from then on
    inception: InceptionConfig = InceptionConfig()
    weights: dict[Literal[TRANSFORMERS], WeightsFile] = Field(default_factory=dict)
    costs: bool = False  # columns in tables, no part of what is measured

    def origin(self, space: str) -> Download | None:
        """The file of weights that a space takes from outside: the published one, or that which the project names."""
        published = space_of(space).download
        named = self.inception if space == "inception" else self.weights.get(space)
        if not named:
            return published
        return published._replace(source=named.source, sha256=named.sha256 or published.sha256)


class SpaceConfig(Settings):
    """One feature space, with the network behind it: a classifier of ours, or how Inception is fed."""

    name: str
    classifier: EncoderConfig | None = None
    inception_resize: Literal["legacy_tensorflow", "clean"] | None = None
    inception_sha256: Sha256 | None = None  # of its file, the only one that is loaded; null: the published one's
    weights_sha256: Sha256 | None = None  # the same of the file behind another space

    @model_serializer(mode="wrap")
    def _named_where_another(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without such nulls, as settings were frozen before there were the keys: measured runs stay."""
        return {key: value for key, value in serialize(self).items() if not key.endswith("_sha256") or value}

    @property
    def has_weights(self) -> bool:
        """A file of weights belongs to it."""
        return space_of(self.name).weights


class MeasureConfig(Settings):
    """The feature spaces that samples are measured in, and how."""

    spaces: tuple[SpaceConfig, ...] = Field(min_length=1)
    nearest_neighbours: Positive = 3
    replicates: Replicates | None = None
    metrics: Metrics = DEFAULT_METRICS
    density_neighbours: Positive = 5

    @model_serializer(mode="wrap")
    def _named_where_others(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the defaults, as settings were frozen before there were these keys: measured runs stay."""
        plain = {"metrics": self.metrics == DEFAULT_METRICS, "density_neighbours": self.density_neighbours == 5}
        return {key: value for key, value in serialize(self).items() if not plain.get(key)}
