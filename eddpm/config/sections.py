"""Sections of a project file: its networks with the origin of their weights, and how a run is shared out to jobs."""

from pydantic import model_validator

from eddpm.config.networks import EncoderArchitecture, UNetArchitecture
from eddpm.config.resources import Speed
from eddpm.config.schema import ClassifierLossConfig, Precision, TrainingConfig
from eddpm.config.settings import Fraction, Positive, PositiveFloat, Settings, Sha256
from eddpm.config.userpaths import UserPath


class Checkpoint(Settings):
    """Weights that are there already: a published .pt file, or a .safetensors file."""

    source: UserPath  # a URL, or the path of the file
    sha256: Sha256 | None = None  # null: recorded when the file is fetched, and asked of it from then on


class _Network(Settings):
    training: TrainingConfig | None = None
    checkpoint: Checkpoint | None = None
    microbatch: Positive | None = None  # images that a process computes at once; null: all of its share

    @model_validator(mode="after")
    def _weights_have_one_origin(self):
        if (self.training is None) == (self.checkpoint is None):
            raise ValueError("training or checkpoint says where the weights come from; give one of the two")
        return self


class Denoiser(_Network):
    class_cond: bool
    label_dropout: Fraction = 0.0  # share of the training images without a label; above 0, the network answers without
    network: UNetArchitecture

    @model_validator(mode="after")
    def _labels_can_be_dropped(self):
        if self.label_dropout and not self.class_cond:
            raise ValueError(f"label_dropout {self.label_dropout:g} needs labels; set class_cond: true, or drop it")
        return self


class Classifier(_Network):
    network: EncoderArchitecture
    noised: bool = True
    loss: ClassifierLossConfig = ClassifierLossConfig()


class Sampling(Settings):
    # Of a job: its images, or its minutes, which give their number by the speed. No part of an image's identity.
    shard_size: Positive | None = None
    target_minutes_per_shard: PositiveFloat | None = None
    speed: Speed | None = None
    batch_size: Positive
    precision: Precision = "float32"
    compile: bool = False

    @model_validator(mode="after")
    def _shards_have_a_size(self):
        if (self.shard_size is None) == (self.target_minutes_per_shard is None):
            raise ValueError("shard_size or target_minutes_per_shard says how large a job is; set one of the two")
        if self.target_minutes_per_shard and not self.speed:
            raise ValueError(
                "target_minutes_per_shard needs a speed; run `eddpm measure-speed --config ... --run ...`,"
                " and add its line"
            )
        return self
