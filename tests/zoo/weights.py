"""Weights as people have them, of a small classifier and of others."""

import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.models.build import build_classifier

SMALL = {"image_size": 8, "image_channels": 1, "channel_mult": (1,)}
ENCODER = EncoderConfig(**SMALL, classifier_width=32, num_head_channels=32, num_classes=2)
UNET = UNetConfig(**SMALL, num_channels=32, num_res_blocks=1)


def random_weights(seed: int) -> dict[str, torch.Tensor]:
    """Weights of the small classifier, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: value.shape for key, value in build_classifier(ENCODER).state_dict().items()}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


RIGHT, OTHER = random_weights(0), random_weights(1)
FIRST = next(iter(RIGHT))


def saved(value: object, name: str = "model.pt", **options) -> Callable[[Path], None]:
    return lambda folder: torch.save(value, folder / name, **options)


def file_of(content: bytes, name: str = "model.pt") -> Callable[[Path], int]:
    return lambda folder: (folder / name).write_bytes(content)


def safetensors(name: str, **options) -> Callable[[Path], None]:
    return lambda folder: save_file(RIGHT, folder / name, **options)


def renamed(before: str = "", weights: dict[str, torch.Tensor] = RIGHT) -> dict[str, torch.Tensor]:
    return {f"{before}{key}": value for key, value in weights.items()}


def converted(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {key: value.to(dtype) for key, value in RIGHT.items()}


def optimiser() -> dict:
    """The state of an optimiser after a step."""
    network = nn.Linear(2, 2)
    adam = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    adam.step()
    return adam.state_dict()


def averaged() -> dict:
    """The state of torch's own moving average."""
    network = build_classifier(ENCODER)
    network.load_state_dict(RIGHT)
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


def write_torchscript(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its future
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(folder / "model.pt"))


def write_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        archive.writestr("nets/ema_0.9999.pt", b"weights")


def write_half(folder: Path) -> None:
    torch.save(RIGHT, folder / "inner")
    (folder / "model.pt").write_bytes((folder / "inner").read_bytes()[:5000])


def write_tar(folder: Path) -> None:
    (folder / "inner").write_bytes(b"weights")
    with tarfile.open(folder / "model.pt", "w") as archive:
        archive.add(folder / "inner", "ema.pt")


def write_index(folder: Path) -> None:
    parts = {key: f"model-0000{1 + k % 2}-of-00002.safetensors" for k, key in enumerate(RIGHT)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}, indent=2))


def write_part(folder: Path) -> None:
    save_file({FIRST: RIGHT[FIRST]}, folder / "model-00001-of-00002.safetensors")


def write_folder(folder: Path) -> None:
    (folder / "model.pt").mkdir()
    for name in ("config.json", "weights.safetensors", ".hidden"):
        (folder / "model.pt" / name).touch()


def with_nan() -> dict[str, torch.Tensor]:
    broken = RIGHT[FIRST].clone()
    broken[0] = torch.nan
    return RIGHT | {FIRST: broken}
