"""Networks that the pipeline has trained, whole in one file: weights, with the settings in the file's metadata."""

from pathlib import Path

import torch
from torch import Tensor

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.schema import DiffusionConfig, MeasureClassifierConfig, TrainClassifierConfig, TrainDenoiserConfig
from eddpm.config.settings import Settings, parse_settings, read_yaml
from eddpm.errors import ArtifactError, first_line
from eddpm.io.files import load_checkpoint, read_metadata, save_model
from eddpm.models.build import build_classifier, build_denoiser, load_weights
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.unet import UNet

WEIGHTS = "model.safetensors"
_KEY = "eddpm"  # of the metadata


class _Settings(Settings):
    """The settings that the weights need. The keys of `network` tell a denoiser from a classifier."""

    network: UNetConfig | EncoderConfig
    diffusion: DiffusionConfig


def save_trained(
    path: Path,
    state_dict: dict[str, Tensor],
    config: TrainDenoiserConfig | TrainClassifierConfig | MeasureClassifierConfig,
) -> None:
    """Write weights as safetensors, with the settings that `load` needs."""
    save_model(path, state_dict, {_KEY: config.model_dump_json(include=set(_Settings.model_fields))})


def load(path: str | Path, device: str | torch.device = "cpu") -> UNet | EncoderClassifier:
    """A denoiser or classifier that the pipeline has trained, in eval mode, its parameters frozen.

    `path` is its folder, such as "results/digits/classifiers/ect", or the model.safetensors in it, which is enough by
    itself. `network.config` and `network.diffusion` hold the settings of the network and of the noise that it knows.
    Call a denoiser as network(x_t, t) or, where `config.num_classes` is a number, network(x_t, t, y); a classifier as
    network(x_t, t), for logits. Raises ArtifactError where the file is another, or damaged.
    """
    path = Path(path)
    path = path / WEIGHTS if path.is_dir() else path
    weights, settings = load_checkpoint(path), _settings_of(path)
    network: UNet | EncoderClassifier
    if isinstance(settings.network, UNetConfig):
        network = build_denoiser(settings.network, frozen=True)
    else:
        network = build_classifier(settings.network, frozen=True)
    load_weights(network, weights, str(path))
    network.diffusion = settings.diffusion
    return network.to(device)


def _settings_of(path: Path) -> _Settings:
    """The settings in the file or, of weights from before they were there, in settings.yaml beside it."""
    beside = path.with_name("settings.yaml")
    if found := read_metadata(path).get(_KEY):
        try:
            return _Settings.model_validate_json(found)
        except ValueError as error:
            raise ArtifactError(f"{path}: damaged settings ({first_line(error)}); fetch or train it again") from None
    if path.name == WEIGHTS and beside.exists():
        values = read_yaml(beside)
        return parse_settings(_Settings, {key: values.get(key) for key in _Settings.model_fields}, str(beside))
    raise ArtifactError(
        f"{path}: has no settings of a network, as the {WEIGHTS} that eddpm trains has them; name such a file, or build"
        " the network with eddpm.models.build and fill it with its load_weights"
    )
