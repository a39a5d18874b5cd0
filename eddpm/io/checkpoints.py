"""Formats of checkpoints, told by content and not by name, without running code in a file."""

import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Literal

from eddpm.errors import ArtifactError
from eddpm.io.filekinds import impostor, kind_of, refuse_impostor
from eddpm.io.names import listed, repeated

_TORCH_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # pickled at the start of what torch saved before 1.6
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]")  # the version, then another field of its protocol buffer
_JOINABLE = "load all of them, and save their tensors as one .safetensors or .pt"
_AGAIN = "fetch or train it again"
_LONGEST = 100_000_000  # bytes of a header of safetensors, by its definition
LONGEST_HEADER = 2**24
_UNPACK = "unpack it, and name the file of the weights"

# Commands that save tensors alone: from the file of the first argument to that of the second.
_OF_TORCHSCRIPT = "import sys, torch; torch.save(torch.jit.load(sys.argv[1], 'cpu').state_dict(), sys.argv[2])"
_OF_OBJECTS = (
    "import sys, torch; f = lambda x: {k: f(v) for k, v in x.items()} if isinstance(x, dict)"
    " else f(x.state_dict()) if hasattr(x, 'state_dict') else x if torch.is_tensor(x) else None;"
    " torch.save(f(torch.load(sys.argv[1], 'cpu', weights_only=False)), sys.argv[2])"
)


def checkpoint_format(path: Path) -> Literal["safetensors", "torch"]:
    """How to read the file at `path`. Raises ArtifactError, with kind and remedy, where it is no whole checkpoint."""
    path = Path(path)
    head = refuse_impostor(path, text=True)
    # The length of a header in JSON, and its beginning.
    length = int.from_bytes(head[:8], "little")
    is_safetensors = head[8:9] == b"{" and length < _LONGEST
    if is_safetensors and length > LONGEST_HEADER:
        raise ArtifactError(f"{path}: has a header of {length:,} bytes, more than the names of weights need; {_AGAIN}")
    if reason := _only_a_part(path, head) or (None if is_safetensors else _another_kind(path, head)):
        raise ArtifactError(f"{path}: {reason}")
    return "safetensors" if is_safetensors else "torch"


def _only_a_part(path: Path, head: bytes) -> str | None:
    """Of a checkpoint in several files, as Hugging Face's libraries write them: each of the files, and their index."""
    if (part := re.search(r"-\d{5}-of-(\d{5})\.", path.name)) and int(part[1]) > 1:
        return f"is one of {int(part[1])} files of a checkpoint; {_JOINABLE}"
    if not head.lstrip().startswith(b"{"):
        return None
    try:
        parts = sorted(set(json.loads(path.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return f"is the index of a checkpoint in {len(parts)} files ({listed(parts, most=3)}); {_JOINABLE}"


def _another_kind(path: Path, head: bytes) -> str | None:
    """The kind and the remedy of a file that is not torch's; None of one that may be, if perhaps damaged."""
    if head.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path):
        return _another_zip(path)
    if head.startswith(b"\x80") and len(head) > 64 and _TORCH_MAGIC not in head[:64]:
        return "is a pickle that torch.save did not write; save the state_dict of its network with torch.save"
    if _ONNX.match(head):
        return "is an ONNX file, a compiled network; name the .pt or .safetensors that it was exported from"
    kind = kind_of(head)
    if kind in ("text", "unknown data", "a pickle", "a zip archive"):
        return impostor(head)
    return f"is {kind}, not a checkpoint; {_UNPACK if 'archive' in kind else 'name a .pt or .safetensors file'}"


def _another_zip(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    if fault := repeated(names):
        return f"{fault}; {_AGAIN}"
    inner = {name.partition("/")[2] for name in names}
    if {"data.pkl", "constants.pkl"} <= inner:
        return (
            "is a TorchScript archive, a compiled network; only if you trust its maker, since this runs code of the"
            f" file, save its tensors: {_command(_OF_TORCHSCRIPT, path)}"
        )
    if "data.pkl" in inner:
        return None
    if all(name.endswith(".npy") for name in names):
        return f"is an npz of arrays ({listed(names, most=3)}), not a checkpoint; name the file of the weights"
    return f"is a zip archive of {listed(names, most=3)}; {_UNPACK}"


def why_refused(path: Path, error: Exception) -> str:
    """The reason and the remedy, in one line, where torch does not load a file without running code in it."""
    unsafe = re.search(r"GLOBAL (\w[\w.]*\w) (?:was not|whose module)", str(error))
    if unsafe:
        return (
            f"holds more than tensors, an object of {unsafe[1]}; only if you trust its maker, since this runs code of"
            f" the file, save the tensors alone: {_command(_OF_OBJECTS, path)}"
        )
    return f"damaged, or holds more than tensors; {_AGAIN}"


def _command(code: str, path: Path) -> str:
    path = Path(path)
    return f'python -c "{code}" {shlex.quote(str(path))} {shlex.quote(str(path.with_name(f"{path.stem}-tensors.pt")))}'
