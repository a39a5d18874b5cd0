"""What people bring to be measured, and `eddpm evaluate` on it."""

import contextlib
import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from inception_standin import write_inception
from pictures import config_of, pack, prepare, random_picture, save, save_classes
from tiny import tiny_project, write_settings
from zoo.odd_images import Make

from eddpm.io.files import save_model, sha256
from eddpm.models.build import build_classifier
from eddpm.stages.evaluate import evaluate


@cache
def networks() -> Path:
    """A folder with a stand-in for the Inception network and a classifier of grey 8x8 digits, kept until the end."""
    networks.folder = tempfile.TemporaryDirectory()  # removed with its object
    folder, project = Path(networks.folder.name), tiny_project()
    write_inception(folder)
    torch.manual_seed(0)
    write_settings(folder / "clean/settings.yaml", project.train_classifier("clean"))
    save_model(folder / "clean/model.safetensors", build_classifier(project.encoder("clean")).state_dict())
    return folder


def images(count: int = 8, size: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    pictures = [random_picture(size, size, channels, seed=100 * seed + k) for k in range(count)]
    return np.stack(pictures).reshape(count, size, size, channels)


IMAGES = images()


def run(folder: Path, samples: str = "", reference: str = "reference.npz", spaces: tuple = ("pixels",), **more) -> str:
    """`eddpm evaluate` of `samples`, or else of what is named so; what it says and prints.

    Plain samples and references, in colour and grey, serve where none are brought.
    """
    samples = samples or next((path.name for path in folder.glob("samples*")), "samples.npz")
    plain = {"samples.npz": IMAGES, "reference.npz": images(12, seed=9), "grey.npz": images(12, channels=1, seed=9)}
    for name, array in plain.items():
        if not (folder / name).exists():
            np.savez(folder / name, arr_0=array)
    spaces = [str(networks() / "clean") if space == "classifier" else space for space in spaces]
    weights = networks() / "inception-2015-12-05.pt" if "inception" in spaces else Path("none.pt")
    options = {"resize": "legacy_tensorflow", "nearest_neighbours": 3, "replicates": 0} | more
    if "inception" in spaces:
        options = {"weights_sha256": sha256(weights)} | options
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
        evaluate(folder / samples, folder / reference, spaces, weights, **options)
    return printed.getvalue()


# What is brought --------------------------------------------------------------------------------------------------


def arrays(name: str = "samples.npz", **content: np.ndarray) -> Make:
    return lambda folder: np.savez(folder / name, **content)


def of_images(array: np.ndarray, **content: np.ndarray) -> Make:
    return arrays(arr_0=array, **content)


def pictures(*changes: Make, suffix: str = "png", channels: int = 3) -> Make:
    """Eight pictures below `samples`, changed in some ways."""

    def make(folder: Path) -> None:
        for k, pixels in enumerate(images(channels=channels)):
            save(folder / f"samples/{k:03d}.{suffix}", pixels.squeeze())
        for change in changes:
            change(folder / "samples")

    return make


def zipped(folder: Path) -> None:
    pictures()(folder / "unpacked")
    pack(folder / "unpacked", folder / "samples.zip")


def shards(folder: Path) -> None:
    (folder / "samples").mkdir(parents=True)
    for k in range(2):
        np.savez(folder / f"samples/{k:04d}.npz", arr_0=images(seed=k), arr_1=np.zeros(8, int))


def data_set(folder: Path) -> None:
    prepare(folder / "data", config_of(save_classes(folder / "images", {"cats": 8, "dogs": 8})))


def announced(shape: tuple[int, ...]) -> Make:
    """An npz whose images are announced with this shape, and are 8."""

    def make(folder: Path) -> None:
        data = io.BytesIO()
        np.lib.format.write_array_header_1_0(data, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(folder / "samples.npz", "w") as archive:
            archive.writestr("arr_0.npy", data.getvalue() + IMAGES.tobytes())

    return make


def statistics(dimensions: int = 2048, **changes: np.ndarray | None) -> Make:
    """A reference of statistics, with other arrays in their place or beside them; None takes one away."""

    def make(folder: Path) -> None:
        made = {"mu": np.zeros(dimensions), "sigma": np.eye(dimensions)} | changes
        np.savez(folder / "reference.npz", **{name: array for name, array in made.items() if array is not None})

    return make
