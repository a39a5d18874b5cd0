"""Files of weights of feature spaces: none is loaded before its SHA-256 is known."""

import hashlib
import io
import warnings
from pathlib import Path

import torch

from eddpm.config.spaces import space_of
from eddpm.errors import ArtifactError
from eddpm.io.filekinds import refuse_impostor

LARGEST = 2**31  # bytes of a file that is read; the largest published one has 1.2 GB


def known_bytes(path: Path, space: str, digest: str) -> bytes:
    """The bytes of the file behind a space, read once. ArtifactError unless they have this SHA-256."""
    if not path.exists():
        raise ArtifactError(f"{path}: does not exist; fetch {space_of(space).download.source} into {path.parent}")
    refuse_impostor(path)
    if (size := path.stat().st_size) > LARGEST:
        raise ArtifactError(f"{path}: holds {size:,} bytes, more than the network of {space}; name another file")
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        key = "evaluation.inception.sha256" if space == "inception" else f"evaluation.weights.{space}.sha256"
        raise ArtifactError(
            f"{path}: has SHA-256 {found}, not {digest}; such files (TorchScript) can run code of their maker's when"
            " they are loaded, so it was not. Fetch the known file or, only if you trust the maker of this one, give"
            f" its SHA-256: --weights-sha256 of `eddpm evaluate`, {key} of a project"
        )
    return data


def load_torchscript(data: bytes) -> torch.jit.ScriptModule:
    """The network of a TorchScript file, on the CPU. It may run code: its bytes are those that were checked."""
    with warnings.catch_warnings(action="ignore"):  # torch's, that its own format is out of date
        return torch.jit.load(io.BytesIO(data), map_location="cpu")
