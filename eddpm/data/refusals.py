"""Why a source is no data set as it is, in one line: what was found there, and the remedy."""

import os
from collections import Counter
from pathlib import Path
from typing import NoReturn

from eddpm.config.userpaths import why_absent
from eddpm.data.classes import IMAGE, PASSED_OVER, Entry, Listing, prefix_of
from eddpm.data.kinds import is_companion, remedy, summary
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.filekinds import HEAD, kind_of, refuse_impostor
from eddpm.io.names import listed, shown


def refuse_other_file(source: str) -> NoReturn:
    """A source that is no folder, zip or npz."""
    wanted = "give one folder of images per class, their zip, or an npz"
    if not os.path.exists(source):
        raise ArtifactError(f"dataset '{source}': does not exist{why_absent(source)}; {wanted}")
    try:
        refuse_impostor(Path(source), text=True)
    except ArtifactError as error:
        raise ArtifactError(f"dataset '{source}': is no folder, .zip or .npz; {error}") from None
    with open(source, "rb") as file:
        kind = kind_of(file.read(HEAD))
    if kind == "a zip archive":
        wanted = "unpack it, and name the folder; or let its name end in .zip, if it holds images"
    elif kind.endswith("archive"):
        wanted = "unpack it, and name the folder"
    elif " image" in kind:
        wanted = "name the folder that holds one folder of images for each class"
    raise ArtifactError(f"dataset '{source}': is no folder, .zip or .npz, but {kind}; {wanted}")


def refuse_no_images(source: str, listing: Listing) -> NoReturn:
    """A folder or a zip without an image in a class."""
    loose = [name for name, kind in listing.beside.items() if kind == IMAGE]
    kinds = [*listing.not_counted.values(), *listing.beside.values()]
    if loose:
        reason = _of_loose_images(loose)
    elif kinds:
        steps = remedy(kind for kind in kinds if not is_companion(kind))
        reason = f"holds no images that are read, but {summary(kinds)}; {steps or 'check the path'}"
    else:
        there = "; ".join(listing.remarks)
        reason = f"holds no images{f' ({there})' if there else ''}; check the path"
    raise ArtifactError(f"dataset '{source}': {reason}")


def _of_loose_images(names: list[str]) -> str:
    holds = f"holds {len(names)} images, but in no class folder; put those of each class into a folder of their own"
    found = prefixes_of(names)
    if not found:
        return holds
    return f"{holds}, or set dataset.classes: prefixes, for classes by the beginnings of their names: {found}"


def prefixes_of(names: list[str]) -> str:
    """The classes that images would have by their names; "" where they would have none, or one alone."""
    prefixes = Counter(prefix_of(name.rpartition("/")[2]) for name in names)
    if "" in prefixes or len(prefixes) == 1:
        return ""
    return listed(f"{shown(prefix)} ({count})" for prefix, count in sorted(prefixes.items()))


def refuse_loose_names(source: str, listing: Listing) -> None:
    """Raise ArtifactError where images have no class in their names."""
    loose = [name for name, kind in listing.beside.items() if kind == IMAGE]
    if loose:
        names = listed(map(shown, loose), most=3)
        total = len(loose) + len(listing.entries)
        raise ArtifactError(
            f"dataset '{source}': {len(loose)} of {total} images have no '_' in their names, and so no class: {names};"
            " rename them, or set dataset.classes: folders"
        )


def refuse_class_count(source: str, classes: tuple[str, ...], entries: list[Entry], wanted: int, hints: str) -> None:
    """Raise ConfigError, with the classes and what else was found, where they are not as many as `wanted`."""
    if len(classes) != wanted:
        noun = "class" if len(classes) == 1 else "classes"
        raise ConfigError(
            f"dataset '{source}': has {len(classes)} {noun}, {with_counts(classes, entries)}, but num_classes is"
            f" {wanted}{hints}; change either"
        )


def hints(listing: Listing, wanted: int) -> str:
    """Other folders and files that may have been meant as classes."""
    found = []
    if listing.without:
        there = (f"{shown(name)} ({reason})" for name, reason in listing.without.items())
        found.append(f"folders without images: {listed(there)}")
    if loose := sum(kind == IMAGE for kind in listing.beside.values()):
        found.append(f"{loose} images lie in no class folder")
    if len(listing.classes) == 1 and (prefixes := prefixes_of([entry.name for entry in listing.entries])):
        found.append(f"dataset.classes: prefixes would find {prefixes}")
    inner = sorted(set().union(*listing.inner.values()))
    if len(inner) == wanted or (len(inner) > 1 and all(names == set(inner) for names in listing.inner.values())):
        found.append(f"the folders one level down may be the classes: {listed(map(shown, inner))}")
    found += [remark for remark in listing.remarks if remark.startswith(PASSED_OVER)]
    return "".join(f"; {hint}" for hint in found)


def with_counts(classes: tuple[str, ...], entries: list[Entry], most: int = 10) -> str:
    """The classes with their numbers of images, "cats (12 images), dogs (1 image)"; of more, the first `most`."""
    counts = Counter(entry.label for entry in entries)
    named = (f"{shown(name)} ({of_images(counts[label])})" for label, name in enumerate(classes))
    return listed(named, most)


def of_images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
