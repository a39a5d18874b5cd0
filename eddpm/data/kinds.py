"""Kinds of files beside images: companions, such as captions; and others, any of which may be an image that is lost."""

import os
import re
from collections import Counter
from collections.abc import Iterable

from eddpm.data.containers import Container, is_image, starts_like_image
from eddpm.data.systemfiles import PLACEHOLDER
from eddpm.errors import reason_of
from eddpm.io.filekinds import HEAD, kind_of
from eddpm.io.names import shown

NO_SUFFIX = "without a suffix"

# What people and programs keep beside images: captions, labels, notes, settings, catalogues, checksums, code.
_COMPANIONS = re.compile(
    r"\.(txt|md|rst|rtf|html?|css|captions?|tags|json|jsonl|ndjson|geojson|xml|ya?ml|toml|csv|tsv|xlsx?|ods|docx?|ini"
    r"|cfg|conf|log|lst|list|names|nfo|pts|db|xmp|aae|dop|pp3|thm|lrcat|url|webloc|sha1|sha256|md5|sfv|py|ipynb|sh|m)"
)
_ARCHIVES = re.compile(r"\.(zip|tar|gz|tgz|bz2|tbz|xz|txz|zst|7z|rar)")
_ARRAYS = re.compile(
    r"\.(np[yz]|mat|h5|hdf5|pth?|pkl|pickle|parquet|arrow|feather|tfrecords?|rec|l?mdb|safetensors|bin|beton|ubyte)"
)

_UNFINISHED = re.compile(r"\.(part|partial|filepart|crdownload|download|opdownload|tmp)")


def kind(container: Container, name: str) -> str | None:
    """None for an image; else the kind of a file: its suffix, in lower case, or NO_SUFFIX with what the bytes say."""
    if is_image(name):
        return None
    if suffix := _suffix(name):
        return suffix
    try:
        start = container.read(name, HEAD)
    except Exception as error:  # of nearly any kind where an archive is damaged
        return f"{NO_SUFFIX}: {reason_of(error)}"
    return None if starts_like_image(start) else f"{NO_SUFFIX}: {kind_of(start)}"


def _suffix(name: str) -> str:
    """In lower case; "" where what follows the last "." is a number, long, or more than a word."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if re.fullmatch(r"\.(?!\d+$)[^\s.]{1,16}", suffix) else ""


def is_companion(kind: str) -> bool:
    """Whether a file of this kind is surely no image."""
    return bool(_COMPANIONS.fullmatch(kind)) or kind == f"{NO_SUFFIX}: text"


def why_left_out(name: str, kind: str) -> str:
    """Why a file of this kind does not count."""
    if PLACEHOLDER.fullmatch(name.rpartition("/")[2]):
        return "is a placeholder of a file that iCloud keeps elsewhere"
    if is_companion(kind):
        return f"is {_with_article(kind)}, no image"
    return f"is {_with_article(kind)}, which is not read"


def _with_article(kind: str) -> str:
    return f"a file {kind.replace(':', ',')}" if kind.startswith(NO_SUFFIX) else f"a {kind} file"


def remedy(kinds: Iterable[str]) -> str:
    """The remedy for files of these kinds, none of which is a companion."""
    steps = [_step(kind) for kind in kinds]
    return ", ".join(dict.fromkeys(steps))


def _step(kind: str) -> str:
    if kind == ".icloud":
        return "let iCloud download them"
    if _UNFINISHED.fullmatch(kind):
        return "finish the downloads"
    if _ARCHIVES.fullmatch(kind) or kind.endswith("archive"):
        return "unpack the archives"
    if _ARRAYS.fullmatch(kind) or kind.endswith(("a pickle", "(.npy)")):
        return "save their images as files"
    return "convert images among them to JPEG or PNG"


def summary(kinds: Iterable[str]) -> str:
    """The files of each kind: "6 .heic, 1 without a suffix: a pickle"."""
    return ", ".join(f"{count} {shown(each)}" for each, count in Counter(kinds).most_common())
