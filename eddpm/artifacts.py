"""Every file the project reads and writes. A file appears whole or not at all; a bad one is refused by name.

Images lie on disk as uint8 (N, H, W, C), as in ADM's sample batches: `arr_0` images, `arr_1` int64 labels.
"""

import hashlib
import json
import os
import socket
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from eddpm.errors import ArtifactError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Its bytes are on disk before its name is: a machine that goes down leaves no empty `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # By host and process: on a shared file system a job that was given up may still be writing on another node.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# Arrays -----------------------------------------------------------------------------------------------------------


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


@contextmanager
def _opened_npz(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of an npz, read on access. Whatever goes wrong with the file, then or now, is an ArtifactError."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ArtifactError(f"{path}: is a single array, not an npz archive; save it with numpy.savez")
        with file:
            yield file
    except FileNotFoundError:
        raise ArtifactError(f"{path}: does not exist; check the path, or make it first") from None
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path}: not a readable npz ({reason}); delete it and make it again") from None


def read_npz(path: Path, *required: str, skip: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of an npz, but those to `skip`.

    Raises ArtifactError if it is missing, truncated, pickled, or lacks a required key.
    """
    with _opened_npz(path) as file:
        _require(path, file.files, *required)
        return {key: file[key] for key in file.files if key not in skip}


def _require(path: Path, keys: list[str], *required: str) -> None:
    for key in required:
        if key not in keys:
            raise ArtifactError(
                f"{path}: has no array '{key}', only {', '.join(keys) or 'none'}; is it the right file?"
            )


def array_length(path: Path, key: str) -> int:
    """The length of one array of an npz, by its header alone. Raises ArtifactError like `read_npz`."""
    with _opened_npz(path) as file:
        _require(path, file.files, key)
        with file.zip.open(f"{key}.npy") as member:
            (length, *_), _, _ = _npy_header(member)
    return length


class Samples(NamedTuple):
    """Images with their classes and numbers."""

    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    extras: dict[str, np.ndarray]  # further arrays of the file, such as `index`, the numbers of a run's images


def write_samples(path: Path, samples: Samples) -> None:
    write_npz(path, arr_0=samples.images, arr_1=samples.labels, **samples.extras)


def read_samples(path: Path) -> Samples:
    """Read a sample batch or a data set. Raises ArtifactError if it is neither."""
    arrays = read_npz(path, "arr_0", "arr_1")
    images, labels = arrays.pop("arr_0"), arrays.pop("arr_1")
    _require_images(path, images.dtype, images.shape)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ArtifactError(
            f"{path}: arr_1 is {labels.dtype} {labels.shape}, not one integer label for each of {len(images)} images"
        )
    return Samples(images, labels.astype(np.int64), arrays)


def _require_images(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype != np.uint8 or len(shape) != 4:
        raise ArtifactError(f"{path}: arr_0 is {dtype} {shape}, not uint8 (N, H, W, C); convert the images to bytes")


class ImageFile:
    """The images of a sample batch, read a few at a time: a batch of 50 000 need not fit in memory."""

    def __init__(self, path: Path):
        """Reads the header. Raises ArtifactError if there are no images uint8 (N, H, W, C), N > 0, at `path`."""
        self.path = path
        with _opened_npz(path) as file:
            _require(path, file.files, "arr_0")
            with file.zip.open("arr_0.npy") as member:
                shape, fortran, dtype = _npy_header(member)
        _require_images(path, dtype, shape)
        if not np.prod(shape):
            raise ArtifactError(f"{path}: arr_0 {shape} holds no images; make the file again")
        self._count, self.shape = shape[0], shape[1:]  # (H, W, C)
        if fortran:
            raise ArtifactError(f"{path}: arr_0 lies in Fortran order; save numpy.ascontiguousarray of it")

    def __len__(self) -> int:
        return self._count

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All images in order, uint8 (size, H, W, C) at a time, the last batch as many as remain."""
        image_bytes = int(np.prod(self.shape))
        with _opened_npz(self.path) as file, file.zip.open("arr_0.npy") as member:
            _npy_header(member)
            for start in range(0, len(self), size):
                wanted = min(size, len(self) - start)
                data = member.read(wanted * image_bytes)
                if len(data) < wanted * image_bytes:
                    raise EOFError(f"arr_0 ends within image {start + len(data) // image_bytes}")
                # Copied, since torch asks for writable arrays.
                yield np.frombuffer(data, np.uint8).reshape(wanted, *self.shape).copy()


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(member)


def write_sample_batch(path: Path, shape: tuple[int, ...], batches: Iterable[np.ndarray], **arrays: np.ndarray) -> None:
    """Write `arrays`, and as `arr_0` images uint8 `shape` (N, H, W, C) which come in batches, never all at once."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            written = sum(member.write(np.ascontiguousarray(images).data) for images in batches)
            assert written == np.prod(shape), f"{path}: {written} bytes for images of {shape}"
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


# Networks ---------------------------------------------------------------------------------------------------------


def save_model(path: Path, state_dict: dict) -> None:
    """Write tensors as safetensors."""
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        save_file({key: value.contiguous().cpu() for key, value in state_dict.items()}, temporary)


def load_checkpoint(path: Path) -> dict:
    """Read a safetensors file; or a .pt (published weights, unfinished training) without running any code in it."""
    import pickle

    import torch
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: does not exist; check the path, or train it first") from None
    except pickle.UnpicklingError:
        raise ArtifactError(f"{path}: damaged, or holds more than tensors; fetch or train it again") from None
    except Exception as error:  # of nearly any kind where bytes of the file are damaged
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArtifactError(f"{path}: not a readable checkpoint ({reason}); fetch or train it again") from None
    if not isinstance(state, dict):
        raise ArtifactError(f"{path}: holds {type(state).__name__}, not tensors by name; save a state_dict")
    return state


def save_training_state(path: Path, state: dict) -> None:
    import torch

    with atomic(path) as temporary:
        torch.save(state, temporary)


# Text -------------------------------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: dict) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_json(path: Path, *required: str) -> dict:
    """Read an object. Raises ArtifactError if it is missing, damaged, or lacks a required key."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: does not exist; check the path, or make it first") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable JSON ({error}); delete it and make it again") from None
    if not isinstance(values, dict) or not values.keys() >= set(required):
        raise ArtifactError(f"{path}: has not the keys {', '.join(required) or 'of an object'}; is it the right file?")
    return values


# Where a result comes from ----------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance() -> dict[str, str]:
    """The git commit of the package ("-dirty" where it, or the workflow, differs) and the versions of what computes.

    "unknown" where there is no git or no checkout, and for the version of a package that runs without being installed.
    The commit of another repository, in whose folders the package is installed, does not count.
    """
    return {"commit": _commit(), **{name: _version(name) for name in ("eddpm", "torch", "numpy", "scipy")}}


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        at_root = git("rev-parse", "--show-prefix") in ("", "eddpm/")
        if not (at_root and git("ls-files", Path(__file__).name)):
            return "unknown"
        # Not of configurations and profiles: settings stand beside each result. A new file decides nothing until one
        # that is tracked names it.
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":/workflow")
        return git("rev-parse", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
