"""The readers of files from outside, and for each of them small files that it reads."""

import contextlib
import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from pictures import pack, random_picture, save
from PIL import Image
from safetensors.torch import save as to_safetensors
from tiny import REPO, tiny_project, tiny_values
from zoo.weights import ENCODER, RIGHT

import eddpm
from eddpm.config.frozen import frozen_text
from eddpm.config.projectfile import load_project
from eddpm.config.schema import TrainClassifierConfig
from eddpm.config.settings import load_settings, read_yaml
from eddpm.data.imagesets import open_images
from eddpm.data.sources import Unreadable, open_source
from eddpm.data.store import Store
from eddpm.evaluation.features import Extractor, Features
from eddpm.evaluation.inception import load_inception
from eddpm.io.arrays import image_numbers, map_array, read_npz
from eddpm.io.files import read_json
from eddpm.models.build import build_classifier, load_weights_file
from eddpm.models.trained import save_trained
from eddpm.reporting.published import read_published
from eddpm.stages.features import read_features
from eddpm.stages.references import ReferenceFile

SPACE = Extractor(
    "tiny", {"of": "tests"}, lambda images: Features(images.reshape(len(images), -1)[:, :3] / np.float32(1))
)
IMAGES = random_picture(8, 24).reshape(8, 8, 3, 3)


def read_images(path: Path) -> None:
    images = open_images(path)
    assert sum(map(len, images.batches(3))) == len(images)
    assert images.labels is None or len(images.labels) == len(images)


def read_source(path: Path) -> None:
    source = open_source(str(path), 2)
    for entry in source.entries:
        with contextlib.suppress(Unreadable):
            source.read(entry, 3)


def read_picture(path: Path) -> None:
    """The file as an image in a folder."""
    folder = path.parent / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path.replace(folder / path.name)
    read_images(folder)


def read_store(path: Path) -> None:
    store = Store(path, "train")
    assert store.read(np.arange(len(store))).shape == (len(store), *store.shape)


def read_weights(path: Path) -> None:
    load_weights_file(build_classifier(ENCODER), path)


def read_table(path: Path) -> None:
    load_project(tiny_values() | {"runs": str(path)}, "project")


def read_torchscript(path: Path) -> None:
    load_inception(path, hashlib.sha256(path.read_bytes()).hexdigest())


# Small valid files ------------------------------------------------------------------------------------------------


def npz(save_as: Callable = np.savez, **arrays: np.ndarray) -> bytes:
    data = io.BytesIO()
    save_as(data, **arrays)
    return data.getvalue()


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def pt(value: object, **options) -> bytes:
    data = io.BytesIO()
    torch.save(value, data, **options)
    return data.getvalue()


def image(kind: str, mode: str = "RGB", **options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(random_picture(16, 16)).convert(mode).save(data, kind, **options)
    return data.getvalue()


def zipped(folder: Path) -> bytes:
    for name in ("cats/a.png", "cats/b.gif", "dogs/c.bmp", "dogs/d.png"):
        save(folder / "images" / name, random_picture(8, 8))
    (folder / "images/dogs/d.png").rename(folder / "images/dogs/no suffix")
    return pack(folder / "images", folder / "images.zip").read_bytes()


def trained(folder: Path) -> bytes:
    config = tiny_project().train_classifier("ce")
    save_trained(folder / "model.safetensors", build_classifier(config.network).state_dict(), config)
    return (folder / "model.safetensors").read_bytes()


def torchscript() -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), data)
    return data.getvalue()


RUNS = str(REPO / "config/digits/runs.tsv")
REFERENCE = {
    "arr_0": IMAGES,
    "features": np.ones((8, 3), np.float32),
    "mu": np.zeros(3),
    "sigma": np.eye(3),
    "extractor": np.array(json.dumps(SPACE.identity)),
}
FEATURES = {"extractors": np.array(json.dumps({"tiny": SPACE.identity})), "tiny/pooled": np.ones((8, 3), np.float32)}
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (16, 16))]}

# reader -> the file's name, what reads it, and the files that are changed
READERS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], list[bytes]]]] = {
    "npz of images": (
        "a.npz",
        read_images,
        lambda _: [npz(arr_0=IMAGES, arr_1=np.arange(8)), npz(x=random_picture(8, 72, 1).reshape(8, 8, 9))],
    ),
    "npz": ("a.npz", read_npz, lambda _: [npz(np.savez_compressed, index=np.arange(4), identity=np.array("word"))]),
    "numbers": ("a.npz", image_numbers, lambda _: [npz(index=np.arange(4), identity=np.array("word"))]),
    "npy of images": ("a.npy", read_images, lambda _: [npy(IMAGES)]),
    "mapped npy": ("a.npy", lambda path: map_array(path, "remedy"), lambda _: [npy(IMAGES)]),
    "statistics": ("a.npz", lambda path: ReferenceFile(path).in_space(SPACE), lambda _: [npz(**REFERENCE)]),
    "features": ("a.npz", lambda path: read_features([path], [SPACE], 8, True), lambda _: [npz(**FEATURES)]),
    "data set as npz": ("a.npz", read_source, lambda _: [npz(arr_0=IMAGES, arr_1=np.arange(8) % 2)]),
    "data set as zip": ("a.zip", read_source, lambda folder: [zipped(folder)]),
    "samples as zip": ("a.zip", read_images, lambda folder: [zipped(folder)]),
    **{
        f"image as {kind}": (f"a.{kind.lower()}", read_picture, lambda _, made=made: made)
        for kind, made in {
            "PNG": [image("PNG"), image("PNG", "P"), image("PNG", **FRAMES)],
            "JPEG": [image("JPEG"), image("MPO", **FRAMES)],
            "TIFF": [image("TIFF", compression=how) for how in (None, "tiff_lzw", "jpeg", "tiff_deflate")],
            "GIF": [image("GIF", **FRAMES)],
            "BMP": [image("BMP")],
            "WEBP": [image("WEBP"), image("WEBP", lossless=True)],
            "PPM": [image("PPM"), b"P3 2 1 255 1 2 3 4 5 6\n"],
            "PCX": [image("PCX")],
            "SGI": [image("SGI")],
            "TGA": [image("TGA"), image("TGA", compression="tga_rle")],
            "ICO": [image("ICO", sizes=[(16, 16)])],
            "JP2": [image("JPEG2000")],
        }.items()
    },
    "settings": (
        "settings.yaml",
        lambda path: load_settings(TrainClassifierConfig, path),
        lambda _: [frozen_text(tiny_project().train_classifier("ect")).encode()],
    ),
    "project": (
        "config.yaml",
        lambda path: load_project(read_yaml(path) | {"runs": RUNS}, str(path)),  # else it may name another file
        lambda _: [yaml.safe_dump(tiny_values()).encode()],
    ),
    "runs": ("runs.tsv", read_table, lambda _: [(REPO / "config/digits/runs.tsv").read_bytes()]),
    "published": ("p.tsv", read_published, lambda _: [(REPO / "config/imagenet128/published.tsv").read_bytes()]),
    "JSON": ("a.json", read_json, lambda _: [b'{"a": [1, 2.5, null, "b"], "c": {"d": true}}']),
    "safetensors": ("a.safetensors", read_weights, lambda _: [to_safetensors(RIGHT)]),
    "trained network": ("model.safetensors", eddpm.load, lambda folder: [trained(folder)]),
    "checkpoint": (
        "a.pt",
        read_weights,
        lambda _: [pt({"ema": RIGHT, "step": 3}), pt(RIGHT, _use_new_zipfile_serialization=False)],
    ),
    "TorchScript": ("a.pt", read_torchscript, lambda _: [torchscript()]),
}
