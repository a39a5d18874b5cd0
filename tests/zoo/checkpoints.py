"""Weights as people have them, loaded into a small classifier."""

import argparse
import contextlib
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from zoo.cases import House, refused, taken
from zoo.odd_images import GZIP, PAGE, POINTER, TAR, put
from zoo.weights import ENCODER, OTHER, RIGHT, optimiser, renamed

from eddpm.config.networks import UNetConfig
from eddpm.io.files import load_checkpoint
from eddpm.models.build import build_classifier, build_denoiser, load_weights

FIRST = next(iter(RIGHT))


def run(folder: Path) -> str:
    """Load the file of the folder, which has to give the right weights; what the log says."""
    network, said = build_classifier(ENCODER), io.StringIO()
    path = next(folder.iterdir(), folder / "model.pt")
    with contextlib.redirect_stderr(said):
        load_weights(network, load_checkpoint(path), str(path))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, RIGHT[key], rtol=1e-2, atol=0)
    return said.getvalue() or "nothing"


def saved(value: object, name: str = "model.pt", **options) -> Callable[[Path], None]:
    return lambda folder: torch.save(value, folder / name, **options)


def safetensors(name: str, weights: dict[str, torch.Tensor] = RIGHT, **options) -> Callable[[Path], None]:
    return lambda folder: save_file(weights, folder / name, **options)


def file(content: bytes) -> Callable[[Path], None]:
    return put("model.pt", content)


def with_first(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """The weights, the first of them changed."""
    return saved(RIGHT | {FIRST: change(RIGHT[FIRST].clone())})


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


def half() -> bytes:
    """Of a checkpoint."""
    torch.save(RIGHT, data := io.BytesIO())
    return data.getvalue()[:5000]


def write_folder(folder: Path) -> None:
    for name in ("config.json", "weights.safetensors", ".hidden"):
        put(f"model.pt/{name}")(folder)


PARTS = {key: f"model-0000{1 + k % 2}-of-00002.safetensors" for k, key in enumerate(RIGHT)}
INDEX = json.dumps({"metadata": {}, "weight_map": PARTS}, indent=2).encode()
EMA_TOO = {"model": OTHER, "ema": RIGHT, "opt": optimiser(), "step": 100}
LIGHTNING = {"state_dict": renamed("model.") | {"loss.weight": torch.ones(3)}, "epoch": 3}
DENOISER = build_denoiser(
    UNetConfig(image_size=8, image_channels=1, channel_mult=(1,), num_channels=32, num_res_blocks=1)
).state_dict()
NAMESPACE = argparse.Namespace(lr=1e-3)

ROWS = (
    taken("a state dict of torch.save", saved(RIGHT), "nothing"),
    taken("one as torch saved before 1.6", saved(RIGHT, _use_new_zipfile_serialization=False), "nothing"),
    taken("a safetensors file", safetensors("a.safetensors"), "nothing"),
    taken("safetensors with metadata, named .pt", safetensors("model.pt", metadata={"format": "pt"}), "nothing"),
    taken("a .pt named .safetensors", saved(RIGHT, "a.safetensors"), "nothing"),
    taken("a state dict named .ckpt", saved(RIGHT, "m.ckpt"), "nothing"),
    taken("keys that begin with `module.`", saved(renamed("module.")), "takes the weights under 'module'"),
    taken("keys that begin with `_orig_mod.`", saved(renamed("_orig_mod.")), "under '_orig_mod'"),
    taken("keys of a network within another", saved(renamed("module.model.")), "under 'module.model'"),
    taken("torch's AveragedModel, with its counter", saved(averaged()), "under 'module'; leaves n_averaged"),
    *(
        taken(f"weights under `{name}`", saved({name: RIGHT}), f"takes the weights under '{name}'")
        for name in ("model", "state_dict", "ema", "model_ema", "model_state_dict", "net", "params")
    ),
    taken(
        "weights and their moving average",
        saved(EMA_TOO),
        "takes the weights under 'ema', a moving average, not those under 'model'; leaves opt, step",
    ),
    taken(
        "weights at the top and their moving average under `ema_model.`",
        saved(OTHER | renamed("ema_model.")),
        "takes the weights under 'ema_model', a moving average, not those at the top",
    ),
    taken(
        "an unfinished training of ours",
        saved({"identity": {"settings": {"seed": 0}}, "trainer": {"network": OTHER, "average": averaged()}}),
        "takes the weights under 'trainer.average.module', a moving average, not those under 'trainer.network'",
    ),
    refused(
        "two moving averages",
        saved({"ema_0.999": RIGHT, "ema_0.9999": OTHER}),
        "in several places, under 'ema_0.999', under 'ema_0.9999'",
    ),
    taken(
        "a checkpoint of Lightning", saved(LIGHTNING), "under 'state_dict.model'; leaves state_dict.loss.weight, epoch"
    ),
    *(
        taken(
            f"weights in {dtype}",
            saved({key: value.to(getattr(torch, dtype)) for key, value in RIGHT.items()}),
            f"has {dtype}, computes in float32",
        )
        for dtype in ("float16", "bfloat16", "float64")
    ),
    refused(
        "whole numbers for weights (quantised)",
        with_first(lambda first: first.to(torch.int8)),
        f"{FIRST} is int8, not plain floating-point numbers",
    ),
    refused("weights in float8", with_first(lambda first: first.to(torch.float8_e4m3fn)), f"{FIRST} is float8_e4m3fn"),
    refused(
        "weights without data (torch's device `meta`)",
        with_first(lambda first: first.to("meta")),
        f"{FIRST} is without data",
    ),
    refused("sparse weights", with_first(torch.Tensor.to_sparse), f"{FIRST} is sparse_coo, not plain"),
    refused(
        "weights that are not finite",
        with_first(lambda first: first.index_fill(0, torch.tensor(0), torch.nan)),
        f"{FIRST} has {RIGHT[FIRST][0].numel()} of",
        "take an earlier checkpoint",
    ),
    refused("weights too large for float32", with_first(lambda first: first.double() * 1e300), f"{FIRST} has"),
    refused(
        "the state of an optimiser (`opt*.pt`)",
        saved(optimiser()),
        "is the state of an optimiser, not weights; choose the model*.pt or ema*.pt beside it",
    ),
    refused(
        "a denoiser for a classifier",
        saved({"ema": DENOISER}),
        "these are the weights of a denoiser",
        "under 'ema': not the weights of this network",
    ),
    refused(
        "a ResNet",
        saved({"model": {"conv1.weight": torch.ones(2), "layer1.0.conv1.weight": torch.ones(2)}}),
        "these are the weights of a ResNet",
    ),
    refused(
        "a network of diffusers",
        saved({"conv_in.weight": torch.ones(2), "down_blocks.0.resnets.0.conv1.weight": torch.ones(2)}),
        "a network of the library diffusers",
    ),
    refused(
        "arguments beside the weights",
        saved({"model": RIGHT, "args": NAMESPACE}),
        "holds more than tensors, an object of argparse.Namespace; only if you trust its maker",
    ),
    refused("a whole network object", saved(nn.Linear(2, 2)), "an object of torch.nn.modules.linear.Linear"),
    refused("a tensor", saved(torch.ones(3)), "holds Tensor, not tensors by name"),
    refused("a pickle", file(pickle.dumps({"a": np.ones(2)}, 4)), "is a pickle that torch.save did not write"),
    refused(
        "a TorchScript archive",
        write_torchscript,
        "is a TorchScript archive, a compiled network; only if you trust its maker, since this runs code of the file,",
        "save its tensors: python -c",
    ),
    refused("an ONNX file", file(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xff"), "is an ONNX file"),
    refused("a GGUF file", file(b"GGUF\x03\0\0\0\0\0\xff"), "is a GGUF file of quantised weights"),
    refused("an HDF5 file of Keras", file(b"\x89HDF\r\n\x1a\n\0\0"), "is an HDF5 file, not a checkpoint"),
    refused(
        "an npz",
        lambda folder: np.savez(folder / "model.npz", a=np.ones(2)),
        "is an npz of arrays (a.npy), not a checkpoint",
    ),
    refused("a zip of a checkpoint", write_zip, "is a zip archive of nets/ema_0.9999.pt; unpack it"),
    refused("a gzip of a checkpoint", file(GZIP), "is a gzip archive, not a checkpoint; unpack it"),
    refused("a tar of a checkpoint", file(TAR), "is a tar archive, not a checkpoint; unpack it"),
    refused(
        "the index of a checkpoint in several files",
        put("model.safetensors.index.json", INDEX),
        "is the index of a checkpoint in 2 files (model-00001-of-00002.safetensors",
    ),
    refused(
        "one of several files",
        safetensors("model-00001-of-00002.safetensors", {FIRST: RIGHT[FIRST]}),
        "is one of 2 files of a checkpoint",
    ),
    refused("a folder", write_folder, "is a folder; name a file in it: config.json, weights.safetensors"),
    refused("an empty file", file(b""), "is empty"),
    refused("a web page", file(PAGE), "is a web page"),
    refused("a Git LFS pointer", file(POINTER), "is a Git LFS pointer"),
    refused("a server's answer", file(b"Entry not found"), "is text that begins 'Entry not found'"),
    refused("a download that broke off", file(half()), "not a readable checkpoint"),
    refused("nothing", lambda folder: None, "does not exist"),
)

CHECKPOINTS = House("Weights", run, ROWS)
