"""A small network with the modules, sizes and calls of the 2015 Inception TorchScript, whose weights are not at hand.

Strides and paddings are those of the original, so that 299x299 pixels give 17x17 at mixed_6 and 1x1 at pool2; the
channels are few, but for the 2048 features and 1008 classes. The weights are random, and the same whenever the seed is.
"""

import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, linear, softmax

from eddpm.config.spaces import INCEPTION


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Two branches of one size, the first called conv as in the original."""

    def __init__(self, channels: int, out: int, branch: int = 4):
        super().__init__()
        self.conv = Conv(channels, out - branch, 1)
        self.tower = Conv(channels, branch, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.tower(x)], 1)


class Reduction(nn.Module):
    """Two branches of half the size."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.conv = Conv(channels, out, 3, 2)
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.pool(x)], 1)


class InceptionStandIn(nn.Module):
    """Images (N, 3, H, W) in 0..255 -> probabilities (N, 1008), or the features (N, 2048)."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.centre = 128.0
        self.layers = nn.Sequential(
            OrderedDict(
                conv=Conv(3, 4, 3, 2),
                conv_1=Conv(4, 4, 3),
                conv_2=Conv(4, 4, 3, padding=1),
                pool0=nn.MaxPool2d(3, 2),
                conv_3=Conv(4, 6, 1),
                conv_4=Conv(6, 6, 3),
                pool1=nn.MaxPool2d(3, 2),
                mixed=Mixed(6, 8),
                mixed_1=Mixed(8, 8),
                mixed_2=Mixed(8, 8),
                mixed_3=Reduction(8, 4),
                mixed_4=Mixed(12, 12),
                mixed_5=Mixed(12, 12),
                mixed_6=Mixed(12, 13),
                mixed_7=Mixed(13, 12),
                mixed_8=Reduction(12, 4),
                mixed_9=Mixed(16, 16),
                mixed_10=Mixed(16, 2048),
                pool2=nn.AvgPool2d(8),
            )
        )
        self.output = nn.Linear(2048, 1008)
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.state_dict().items():
            if weight.dim() == 4:  # He's scale, so that the signal lasts through the layers
                weight.normal_(0, (2 / weight[0].numel()) ** 0.5, generator=generator)
            elif name.endswith(("mean", "bias")):
                weight.normal_(0, 0.3, generator=generator)
            elif name == "output.weight":
                weight.normal_(0, 0.03, generator=generator)

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        x = img.to(torch.float16 if use_fp16 else torch.float32)
        count, channels, height, width = x.shape
        # Output pixel i of 299 looks at i * width / 299, border pixels repeated: TF1's resizing as a shifted grid.
        theta = torch.eye(2, 3, dtype=x.dtype, device=x.device)
        theta[0, 2] += theta[0, 0] / width - theta[0, 0] / 299
        theta[1, 2] += theta[1, 1] / height - theta[1, 1] / 299
        grid = affine_grid(theta.unsqueeze(0).repeat([count, 1, 1]), [count, channels, 299, 299], align_corners=False)
        x = grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        features = self.layers((x - self.centre) / 128).reshape(-1, 2048).to(torch.float32)
        if return_features:
            return features
        logits = linear(features, self.output.weight) if no_output_bias else self.output(features)
        return softmax(logits, dim=1)


def write_inception(folder: Path, network: nn.Module | None = None) -> Path:
    """Write a stand-in, or another network, as the TorchScript file that clean-fid looks for in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    network = InceptionStandIn() if network is None else network
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch's, of its own format
        torch.jit.script(network.eval()).save(str(folder / INCEPTION.file))
    return folder / INCEPTION.file
