"""Kinds of files beside images: companions, such as captions; and others, any of which may be an image that is lost."""

import os
import re
from collections import Counter
from collections.abc import Iterable

from eddpm.data.containers import Container
from eddpm.data.pictures import is_image, starts_like_image
from eddpm.errors import reason_of
from eddpm.io.filekinds import HEAD, kind_of
from eddpm.io.names import shown

NO_SUFFIX = "without a suffix"

# What people and programs keep beside images: captions, labels, notes, settings, catalogues, checksums, code.
_COMPANIONS = (
    r"\.(txt|md|rst|rtf|html?|css|captions?|tags|json|jsonl|ndjson|geojson|xml|ya?ml|toml|csv|tsv|xlsx?|ods|docx?|ini"
    r"|cfg|conf|log|lst|list|names|nfo|pts|db|xmp|aae|dop|pp3|thm|lrcat|url|webloc|sha1|sha256|md5|sfv|py|ipynb|sh|m)"
    rf"|{NO_SUFFIX}: text"
)
_REMEDIES = {
    r"\.icloud": "let iCloud download them",
    r"\.(part|partial|filepart|crdownload|download|opdownload|tmp)": "finish the downloads",
    r"\.(zip|tar|gz|tgz|bz2|tbz|xz|txz|zst|7z|rar)|.*archive": "unpack the archives",
    r"\.(np[yz]|mat|h5|hdf5|pth?|pkl|pickle|parquet|arrow|feather|tfrecords?|rec|l?mdb|safetensors|bin|beton|ubyte)"
    r"|.*(a pickle|\(\.npy\))": "save their images as files",
    r".*": "convert images among them to JPEG or PNG",
}


def kind(container: Container, name: str) -> str | None:
    """None for an image; else the kind of a file: its suffix, in lower case, or NO_SUFFIX with what the bytes say."""
    if is_image(name):
        return None
    suffix = os.path.splitext(name)[1].lower()
    if re.fullmatch(r"\.(?!\d+$)[^\s.]{1,16}", suffix):  # neither a number nor the end of a sentence
        return suffix
    try:
        with container.open(name) as file:
            start = file.read(HEAD)
    except Exception as error:  # of nearly any kind where an archive is damaged
        return f"{NO_SUFFIX}: {reason_of(error)}"
    return None if starts_like_image(start) else f"{NO_SUFFIX}: {kind_of(start)}"


def is_companion(kind: str) -> bool:
    """True for files that are surely no images."""
    return bool(re.fullmatch(_COMPANIONS, kind))


def why_left_out(kind: str) -> str:
    """The reason why a file of this kind does not count."""
    if kind == ".icloud":
        return "is a placeholder of a file that iCloud keeps elsewhere"
    what = f"file {kind.replace(':', ',')}" if kind.startswith(NO_SUFFIX) else f"{kind} file"
    return f"is a {what}, {'no image' if is_companion(kind) else 'which is not read'}"


def remedy(kinds: Iterable[str]) -> str:
    """The remedy for files of these kinds, none of which is a companion."""
    steps = [next(step for kinds, step in _REMEDIES.items() if re.fullmatch(kinds, kind)) for kind in kinds]
    return ", ".join(dict.fromkeys(steps))


def summary(kinds: Iterable[str]) -> str:
    """The files of each kind: "6 .heic, 1 without a suffix: a pickle"."""
    return ", ".join(f"{count} {shown(each)}" for each, count in Counter(kinds).most_common())
