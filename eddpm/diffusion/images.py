"""Images as files hold them, and as networks see them."""

import numpy as np
import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 (N, H, W, C) in 0..255 -> float32 (N, C, H, W) in [-1, 1], on the device of the images."""
    return images.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def to_uint8(x: Tensor) -> np.ndarray:
    """float (N, C, H, W) -> uint8 (N, H, W, C) as ADM does: (x + 1) * 127.5, clamped, truncated."""
    return ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
