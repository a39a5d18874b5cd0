"""What people bring to be measured, and `eddpm evaluate` on it."""

import contextlib
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from inception_standin import write_inception
from pictures import config_of, pack, prepare, random_picture, save, save_classes
from tiny import tiny_project, write_settings
from zoo.cases import Case

from eddpm.io.files import save_model
from eddpm.models.build import build_classifier
from eddpm.stages.evaluate import evaluate

Make = Callable[[Path], object]
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


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


def run(
    folder: Path,
    samples: str = "samples.npz",
    reference: str = "reference.npz",
    spaces: list[str] | None = None,
    **options,
) -> str:
    """`eddpm evaluate`; what it says and prints."""
    spaces = [str(networks() / "clean") if space == "classifier" else space for space in spaces or ["pixels"]]
    weights = networks() / "inception-2015-12-05.pt" if "inception" in spaces else Path("none.pt")
    options = {"resize": "legacy_tensorflow", "nearest_neighbours": 3, "replicates": 0} | options
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
        evaluate(folder / samples, folder / reference, spaces, weights, **options)
    return printed.getvalue()


# What is brought --------------------------------------------------------------------------------------------------


def images(count: int = 8, size: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    pictures = [random_picture(size, size, channels, seed=100 * seed + k) for k in range(count)]
    return np.stack(pictures).reshape(count, size, size, channels)


IMAGES = images()


def arrays(name: str = "samples.npz", *, save: Callable = np.savez, **content: np.ndarray) -> Make:
    return lambda folder: save(folder / name, **content)


def of_images(array: np.ndarray, **content: np.ndarray) -> Make:
    return arrays(arr_0=array, **content)


def content(data: bytes, name: str = "samples.npz") -> Make:
    return lambda folder: (folder / name).write_bytes(data)


def pictures(folder: Path, suffix: str = "png", count: int = 8, **of_each) -> Path:
    for k, pixels in enumerate(images(count, **of_each)):
        save(folder / f"samples/{k:03d}.{suffix}", pixels.squeeze())
    return folder / "samples"


def besides(*makes: Make) -> Make:
    """Pictures, and more."""
    return lambda folder: [make(folder) for make in (pictures, *makes)]


def zipped(folder: Path) -> None:
    pack(pictures(folder), folder / "samples.zip", "out/")


def shards(folder: Path) -> None:
    (folder / "samples").mkdir(parents=True)
    for k in range(2):
        np.savez(folder / f"samples/{k:04d}.npz", arr_0=images(seed=k), arr_1=np.zeros(8, int))


def data_set(folder: Path) -> None:
    save_classes(folder / "images", {"cats": 8, "dogs": 8})
    prepare(folder / "data", config_of(folder / "images"))


def cut(folder: Path) -> None:
    np.savez(folder / "samples.npz", arr_0=IMAGES)
    content((folder / "samples.npz").read_bytes()[:-100])(folder)


def tar(folder: Path) -> None:
    with tarfile.open(folder / "samples.tar", "w") as file:
        file.add(pictures(folder), "samples")


def saved_tensors(folder: Path) -> None:
    torch.save(torch.zeros(8, 3, 8, 8), folder / "samples.pt")


def header(shape: tuple[int, ...], descr: str = "|u1") -> Make:
    """An npz whose images are announced with this shape, and are 8."""

    def make(folder: Path) -> None:
        data = io.BytesIO()
        np.lib.format.write_array_header_1_0(data, {"descr": descr, "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(folder / "samples.npz", "w") as archive:
            archive.writestr("arr_0.npy", data.getvalue() + IMAGES.tobytes())

    return make


def statistics(dimensions: int = 2048, change: Callable[[dict[str, np.ndarray]], object] = lambda made: None) -> Make:
    """A reference of statistics, changed before it is saved."""

    def make(folder: Path) -> None:
        made = {"mu": np.zeros(dimensions), "sigma": np.eye(dimensions)}
        change(made)
        np.savez(folder / "reference.npz", **made)

    return make


def with_reference(make: Make) -> Make:
    """What is brought, beside references of colour and of grey images."""

    def both(folder: Path) -> None:
        np.savez(folder / "reference.npz", arr_0=images(12, seed=9))
        np.savez(folder / "grey.npz", arr_0=images(12, channels=1, seed=9))
        make(folder)

    return both


def against(make: Make) -> Make:
    """What is brought as the reference of plain samples."""
    return lambda folder: [of_images(IMAGES)(folder), make(folder)]


def taken(brought: str, make: Make, *says: str, **options) -> Case:
    return Case(brought, with_reference(make), "taken", says, options)


def refused(brought: str, make: Make, *says: str, **options) -> Case:
    return Case(brought, with_reference(make), "refused", says, options)
