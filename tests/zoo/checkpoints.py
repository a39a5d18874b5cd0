"""Weights loaded into a small classifier."""

import argparse
import contextlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from zoo.cases import House, refused, taken
from zoo.weights import (
    ENCODER,
    FIRST,
    OTHER,
    RIGHT,
    UNET,
    averaged,
    converted,
    file_of,
    optimiser,
    renamed,
    safetensors,
    saved,
    with_nan,
    write_folder,
    write_half,
    write_index,
    write_part,
    write_tar,
    write_torchscript,
    write_zip,
)

from eddpm.io.files import load_checkpoint
from eddpm.models.build import build_classifier, build_denoiser, load_weights


def run(folder: Path) -> str:
    """Load the file of the folder, which has to give the right weights; what the log says."""
    network, said = build_classifier(ENCODER), io.StringIO()
    path = next((path for path in folder.iterdir() if path.name != "inner"), folder / "model.pt")
    with contextlib.redirect_stderr(said):
        load_weights(network, load_checkpoint(path), str(path))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, RIGHT[key], rtol=1e-2, atol=0)
    return said.getvalue() or "nothing"


EMA_TOO = {"model": OTHER, "ema": RIGHT, "opt": optimiser(), "step": 100}
LIGHTNING = {"state_dict": renamed("model.") | {"loss.weight": torch.ones(3)}, "epoch": 3}

ROWS = (
    taken("a state dict of torch.save", saved(RIGHT), "nothing"),
    taken("one as torch saved before 1.6", saved(RIGHT, _use_new_zipfile_serialization=False), "nothing"),
    taken("an OrderedDict of parameters", saved(OrderedDict(RIGHT)), "nothing"),
    taken("a safetensors file", safetensors("a.safetensors"), "nothing"),
    taken("safetensors with metadata, named .pt", safetensors("model.pt", metadata={"format": "pt"}), "nothing"),
    taken("a .pt named .safetensors", saved(RIGHT, "a.safetensors"), "nothing"),
    *(
        taken(f"a state dict named {suffix}", saved(RIGHT, f"m{suffix}"), "nothing")
        for suffix in (".ckpt", ".bin", ".pth")
    ),
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
        "a checkpoint of Lightning", saved(LIGHTNING), "under 'state_dict.model'; leaves state_dict.loss.weight, epoch"
    ),
    taken(
        "weights and counters", saved(RIGHT | {"step": 7, "num_updates": torch.tensor(7)}), "leaves step, num_updates"
    ),
    *(
        taken(f"weights in {dtype}", saved(converted(getattr(torch, dtype))), f"has {dtype}, computes in float32")
        for dtype in ("float16", "bfloat16", "float64")
    ),
    refused(
        "whole numbers for weights (quantised)",
        saved(converted(torch.int8)),
        f"{FIRST} is int8, not plain floating-point numbers",
    ),
    refused("weights in float8", saved(converted(torch.float8_e4m3fn)), f"{FIRST} is float8_e4m3fn, not plain"),
    refused("sparse weights", saved(RIGHT | {FIRST: RIGHT[FIRST].to_sparse()}), f"{FIRST} is sparse_coo, not plain"),
    refused(
        "weights that are not finite",
        saved(with_nan()),
        f"{FIRST} has {RIGHT[FIRST][0].numel()} of",
        "take an earlier checkpoint",
    ),
    refused("weights too large for float32", saved(RIGHT | {FIRST: RIGHT[FIRST].double() * 1e300}), f"{FIRST} has"),
    refused(
        "two moving averages",
        saved({"ema_0.999": RIGHT, "ema_0.9999": OTHER}),
        "in several places, under 'ema_0.999', under 'ema_0.9999'",
    ),
    taken(
        "an unfinished training of ours",
        saved({"identity": {"settings": {"seed": 0}}, "trainer": {"network": OTHER, "average": averaged()}}),
        "takes the weights under 'trainer.average.module', a moving average, not those under 'trainer.network'",
    ),
    refused(
        "the state of an optimiser (`opt*.pt`)",
        saved(optimiser()),
        "is the state of an optimiser, not weights; choose the model*.pt or ema*.pt beside it",
    ),
    refused("the same, with a counter", saved({"optimizer": optimiser(), "step": 3}), "is the state of an optimiser"),
    refused(
        "a denoiser for a classifier", saved(build_denoiser(UNET).state_dict()), "these are the weights of a denoiser"
    ),
    refused(
        "one, wrapped",
        saved({"ema": build_denoiser(UNET).state_dict()}),
        "under 'ema': not the weights of this network",
        "these are the weights of a denoiser",
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
        saved({"model": RIGHT, "args": argparse.Namespace(lr=1e-3)}),
        "holds more than tensors, an object of argparse.Namespace; only if you trust its maker",
    ),
    refused(
        "numbers of NumPy beside the weights",
        saved({"model": RIGHT, "best": np.float64(0.5)}),
        "holds more than tensors, an object of numpy",
    ),
    refused("a whole network object", saved(nn.Linear(2, 2)), "an object of torch.nn.modules.linear.Linear"),
    refused("a tensor", saved(torch.ones(3)), "holds Tensor, not tensors by name"),
    refused(
        "a pickle",
        file_of(pickle.dumps({key: value.numpy() for key, value in RIGHT.items()}, 4)),
        "is a pickle that torch.save did not write",
    ),
    refused(
        "a TorchScript archive",
        write_torchscript,
        "is a TorchScript archive, a compiled network; save its tensors: python -c",
    ),
    refused("an ONNX file", file_of(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xff"), "is an ONNX file"),
    refused("a GGUF file", file_of(b"GGUF\x03\0\0\0\0\0\xff"), "is a GGUF file of quantised weights"),
    refused("an HDF5 file of Keras", file_of(b"\x89HDF\r\n\x1a\n\0\0"), "is an HDF5 file, not a checkpoint"),
    refused(
        "an npz",
        lambda folder: np.savez(folder / "model.npz", a=np.ones(2)),
        "is an npz of arrays (a.npy), not a checkpoint",
    ),
    refused("a zip of a checkpoint", write_zip, "is a zip archive of nets/ema_0.9999.pt; unpack it"),
    refused("a gzip of a checkpoint", file_of(b"\x1f\x8b\x08\0\0\0"), "is a gzip archive, not a checkpoint; unpack it"),
    refused("a tar of a checkpoint", write_tar, "is a tar archive, not a checkpoint; unpack it"),
    refused(
        "the index of a checkpoint in several files",
        write_index,
        "is the index of a checkpoint in 2 files (model-00001-of-00002.safetensors",
    ),
    refused("one of several files", write_part, "is one of 2 files of a checkpoint"),
    refused("a folder", write_folder, "is a folder; name a file in it: config.json, weights.safetensors"),
    refused("an empty file", file_of(b""), "is empty"),
    refused("a web page", file_of(b"<!DOCTYPE html><html><title>Sign in</title>"), "is a web page"),
    refused(
        "a Git LFS pointer",
        file_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"),
        "is a Git LFS pointer",
    ),
    refused("a server's answer", file_of(b"Entry not found"), "is text that begins 'Entry not found'"),
    refused("a download that broke off", write_half, "not a readable checkpoint"),
    refused("nothing", lambda folder: None, "does not exist"),
)

CHECKPOINTS = House("Weights", run, ROWS)
