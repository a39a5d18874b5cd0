"""Vision transformers as feature spaces, built by timm: DINOv2 (FD-DINOv2) and the images of CLIP (CMMD)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from eddpm.config.spaces import space_of
from eddpm.errors import ArtifactError, EddpmError, first_line
from eddpm.evaluation.weights import known_bytes, load_torchscript
from eddpm.io.files import load_checkpoint

# By space: the network and its input as timm knows them, its pixels on a side, and its outputs beyond the class token.
NETWORKS = {
    "dinov2": ("vit_large_patch14_dinov2.lvd142m", 224, 0),
    "dinov2-b": ("vit_base_patch14_dinov2.lvd142m", 224, 0),
    "clip": ("vit_large_patch14_clip_quickgelu_336.openai", 336, 768),
}


class VisionTransformer:
    """The network of a space: images uint8 (N, H, W, 3) of any size -> float32 (N, D).

    Images reach the network's size as Pillow's bicubic bytes, antialiased, as in dgm-eval. DINOv2 gives its class token
    after the last norm; CLIP its projected embedding, of length 1 as in CMMD.
    """

    def __init__(self, space: str, path: Path, digest: str, device: str | torch.device):
        """ArtifactError unless the file has this SHA-256 and holds the network; EddpmError without timm."""
        name, self.size, outputs = NETWORKS[space]
        try:
            from timm import create_model
            from timm.models.vision_transformer import checkpoint_filter_fn
        except ImportError as error:
            raise EddpmError(f"{space}: {error}; pip install 'eddpm[dinov2]'") from None
        data = known_bytes(path, space, digest)
        try:
            with torch.device("meta"):  # without memory, and without random weights
                network = create_model(name, img_size=self.size, num_classes=outputs)
            state = _clip_state(data) if space == "clip" else _dinov2_state(path, self.size // 14)
            network.load_state_dict(checkpoint_filter_fn(state, network), assign=True)
        except ArtifactError:
            raise
        except Exception as error:  # of nearly any kind where the file is of another network
            raise ArtifactError(
                f"{path}: not the network of {space} ({first_line(error)}); fetch {space_of(space).download.source}"
                f" into {path.parent}"
            ) from None
        self._network, self._device = network.eval().to(device), device
        mean, std = (torch.tensor(network.pretrained_cfg[key], device=device) for key in ("mean", "std"))
        self._mean, self._std = mean[:, None, None], std[:, None, None]
        self._last: Callable[[Tensor], Tensor] = normalize if outputs else torch.nn.Identity()

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        size, bicubic = (self.size, self.size), Image.Resampling.BICUBIC
        resized = np.stack([np.asarray(Image.fromarray(image).resize(size, bicubic)) for image in images])
        x = torch.from_numpy(resized).to(self._device).permute(0, 3, 1, 2) / 255
        return self._last(self._network((x - self._mean) / self._std)).float().cpu().numpy()


def _dinov2_state(path: Path, grid: int) -> dict[str, Tensor]:
    """The weights of DINOv2 for so many patches on a side."""
    state = load_checkpoint(path)
    return {**state, "pos_embed": _resampled(state["pos_embed"], grid)}


def _resampled(position: Tensor, grid: int) -> Tensor:
    """Position embeddings (1, 1 + old^2, D) -> (1, 1 + grid^2, D), as DINOv2's own code has them.

    Timm's are antialiased, and other numbers. DINOv2 gives the factor of 0.1 patches more than there are.
    """
    token, patches = position[:, :1], position[:, 1:]
    old = round(patches.shape[1] ** 0.5)
    patches = patches.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    patches = interpolate(patches, scale_factor=(grid + 0.1) / old, mode="bicubic")
    return torch.cat([token, patches.flatten(2).permute(0, 2, 1)], dim=1)


def _clip_state(data: bytes) -> dict[str, Tensor]:
    """The weights of CLIP's image tower, which its file holds in half precision."""
    state = load_torchscript(data).state_dict()
    return {key: value.float() for key, value in state.items() if key.startswith("visual.")}
