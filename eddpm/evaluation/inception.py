"""The Inception network of FID: its layers, its features, and TensorFlow 1's resizing that feeds it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from eddpm.config.spaces import INCEPTION
from eddpm.errors import ArtifactError
from eddpm.evaluation.weights import known_bytes, load_torchscript

SPATIAL_CHANNELS = 7  # of 17x17 pixels: about as many numbers as the pooled features (Nash et al., 2021)
POOLED = 2048  # features of an image
SPATIAL = SPATIAL_CHANNELS * 17 * 17


def load_inception(path: Path, digest: str) -> torch.nn.Module:
    """The TorchScript whose file has this SHA-256, on the CPU.

    ArtifactError unless a pass through its layers gives its own features. A file of another SHA-256 is never loaded.
    """
    data = known_bytes(path, "inception", digest)
    try:
        network = load_torchscript(data).eval()
        reason = "" if _works_in_pieces(network) else "its layers do not give what they should"
    except Exception as error:  # of nearly any kind where bytes are damaged, or the network is another
        # TorchScript puts its own traceback first, and advice behind the first sentence.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].split(". ")[0]
    if reason:
        raise ArtifactError(
            f"{path}: not the 2015 FID Inception network ({reason}); fetch {INCEPTION.source} into {path.parent}"
        )
    return network


@torch.no_grad()
def _works_in_pieces(network: torch.nn.Module) -> bool:
    # A small image is smooth when enlarged, so that the round-off of the network's own resizing does not count.
    image = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 24)).astype(np.float32))
    pooled, spatial, logits = inception_features(network, resize_tf1(image, 299))
    own_pooled, own_probabilities = network(image, return_features=True), network(image, no_output_bias=True)
    return (
        spatial.shape == (1, SPATIAL_CHANNELS, 17, 17)
        and _alike(pooled, own_pooled)
        and _alike(logits.softmax(dim=1), own_probabilities)
    )


def _alike(found: Tensor, expected: Tensor) -> bool:
    # Written so that NaN fails too.
    return found.shape == expected.shape and bool((found - expected).abs().max() <= 1e-4 * expected.abs().max())


def inception_features(network: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x float32 (B, 3, 299, 299) in 0..255 -> pooled (B, 2048), spatial (B, 7, 17, 17), logits (B, 1008)."""
    x = (x - 128) / 128
    for name, layer in network.layers.named_children():
        if name == "mixed_6":
            spatial = layer.conv(x)[:, :SPATIAL_CHANNELS]  # after its ReLU: mixed_6/conv:0 of the evaluator's graph
        x = layer(x)
    pooled = x.flatten(1)
    # Without bias, as the inception score is computed.
    return pooled, spatial, linear(pooled, network.output.weight)


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
    """For each of `new` pixels: the two of `old` it lies between, and its share of the way to the second."""
    # By numpy, whose float32 division is the same on every device.
    source = np.arange(new, dtype=np.float32) * (np.float32(old) / np.float32(new))
    lower = source.astype(np.int64)
    values = (lower, np.minimum(lower + 1, old - 1), source - lower.astype(np.float32))
    return tuple(torch.from_numpy(array).to(device) for array in values)
