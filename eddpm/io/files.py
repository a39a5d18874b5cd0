"""Files that the project reads and writes. A file appears whole or not at all; a bad one is refused by name."""

import hashlib
import json
import os
import pickle
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eddpm.errors import ArtifactError, first_line, writing
from eddpm.io.checkpoints import checkpoint_format, why_refused
from eddpm.io.filekinds import refuse_impostor, unreadable

LARGEST_JSON = 2**26  # bytes
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")  # the names of files while they are written


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Its bytes are on disk before its name is: a machine that goes down leaves no empty `path`. Where `path` is a link,
    the file takes the place of the link. Raises ArtifactError where the disk is full, or nothing may be written there.
    """
    path = Path(path)
    # By host and process: on a shared file system a job that was given up may still be writing on another node.
    writer = hashlib.sha256(f"{path.name!r} {socket.gethostname()} {os.getpid()}".encode()).hexdigest()[:16]
    temporary = path.with_name(f".{path.name[:40]}.{writer}.tmp")  # at most 255 bytes, as names may have
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # it may not be there; and the error of writing it counts
                temporary.unlink()
        with suppress(OSError):  # not every file system knows it of folders; and the file is there
            _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_model(path: Path, state_dict: dict, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, with texts by name in its metadata."""
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file({key: value.contiguous().cpu() for key, value in state_dict.items()}, temporary, metadata)
        temporary.chmod(mode)  # as the umask wants it; safetensors makes it 0600


def load_checkpoint(path: Path) -> dict:
    """Read a safetensors file, or one of torch's (published weights, unfinished training), by its content.

    Runs no code in it. Raises ArtifactError if it is another file, damaged, or holds more than tensors by name.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if checkpoint_format(path) == "safetensors":
            return load_file(path)
        with open(path, "rb") as file:  # of a path, torch goes by the suffix
            state = torch.load(file, map_location="cpu", weights_only=True)
    except ArtifactError:
        raise
    except pickle.UnpicklingError as error:
        raise ArtifactError(f"{path}: {why_refused(path, error)}") from None
    except Exception as error:  # of nearly any kind where bytes of the file are damaged
        reason = first_line(error)
        raise ArtifactError(f"{path}: not a readable checkpoint ({reason}); fetch or train it again") from None
    if not isinstance(state, dict):
        raise ArtifactError(f"{path}: holds {type(state).__name__}, not tensors by name; save a state_dict")
    return state


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a checkpoint that can be read; none of one in torch's format."""
    from safetensors import safe_open

    if checkpoint_format(path) != "safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def save_training_state(path: Path, state: dict) -> None:
    import torch

    # Written by Python, which tells why where it cannot be.
    with atomic(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        # The name of a file may be no Unicode.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, values: dict) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_json(path: Path, *required: str) -> dict:
    """Read an object. Raises ArtifactError if it is missing, damaged, or lacks a required key."""
    refuse_impostor(path, text=True)
    if reason := unreadable(path, LARGEST_JSON):
        raise ArtifactError(f"{path}: {reason}")
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        remedy = f"bring it again; `snakemake --forcerun {path}` makes a file of the workflow anew"
        raise ArtifactError(f"{path}: not readable JSON ({error}); {remedy}") from None
    if not isinstance(values, dict) or not values.keys() >= set(required):
        raise ArtifactError(f"{path}: has not the keys {', '.join(required) or 'of an object'}; is it the right file?")
    return values


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
