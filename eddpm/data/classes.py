"""Which class each image of a folder or a zip belongs to: by its folder, or by the beginning of its name.

Nothing is opened but files without a suffix. What does not count as an image is kept with its kind.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from eddpm.data.containers import OF_A_SYSTEM, Container
from eddpm.data.kinds import is_companion, kind, summary
from eddpm.io.names import listed, shown

Folders = tuple[str, ...]  # the names of folders, each within the one before

IMAGE = "image"
PASSED_OVER = "passed over"  # what a remark begins with that may explain a missing class

_THUMBNAILS = re.compile(r"[._-]*(thumb(nail)?s?|previews?)[._-]*\d*", re.IGNORECASE)


class Entry(NamedTuple):
    """An image of a source, as yet unread."""

    name: str  # within the source, folders divided by "/"
    label: int
    stamp: tuple[int, ...]  # differs where the bytes may differ


class _File(NamedTuple):
    name: str
    path: Folders  # the parts of its name, in one form of Unicode
    kind: str  # IMAGE, or a kind of eddpm.data.kinds

    @property
    def may_be_image(self) -> bool:
        return not is_companion(self.kind)


@dataclass
class Listing:
    """The images of a source by class, and what else is there."""

    folders: set[Folders]  # that hold images, or files that may be some
    outer: Folders = ()  # what all class folders lie in
    classes: tuple[str, ...] = ()  # sorted
    entries: list[Entry] = field(default_factory=list)
    not_counted: dict[str, str] = field(default_factory=dict)  # files of other kinds among the images
    beside: dict[str, str] = field(default_factory=dict)  # files, images among them, that are in no class: their kinds
    thumbnails: list[str] = field(default_factory=list)  # files in folders of thumbnails
    without: dict[str, str] = field(default_factory=dict)  # class folders without images, and what is there instead
    remarks: list[str] = field(default_factory=list)  # on what was decided, a line each

    @property
    def inner(self) -> dict[str, set[str]]:
        """The folders within each class folder; empty where a class folder holds images itself."""
        depth, found = len(self.outer), defaultdict(set)
        for folders in self.folders:
            if folders[:depth] == self.outer and len(folders) == depth + 1:
                return {}
            if folders[:depth] == self.outer and len(folders) > depth + 1:
                found[folders[depth]].add(folders[depth + 1])
        return found


def by_folders(container: Container) -> Listing:
    """Classes are folders: the uppermost that lie beside others."""
    files = _files(container)
    folders = {file.path[:-1] for file in files if file.may_be_image}
    listing = Listing(folders, _outer(folders, container))
    depth, images = len(listing.outer), defaultdict(list)
    for file in files:
        if len(file.path) < depth + 2 or file.path[:depth] != listing.outer:
            listing.beside[file.name] = file.kind
        elif _of_thumbnails(file.path[depth + 1 : -1]):
            listing.thumbnails.append(file.name)
        elif file.kind != IMAGE:
            listing.not_counted[file.name] = file.kind
        else:
            images[file.path[depth]].append(file)
    _enter(listing, container, images)
    _remark_on_files(listing, container)
    _find_folders_without_images(listing, container)
    _remark_on_folders(listing, container)
    return listing


def by_prefixes(container: Container) -> Listing:
    """Classes are what stands before the first "_" of an image's own name, as in guided-diffusion."""
    files = _files(container)
    listing = Listing({file.path[:-1] for file in files if file.may_be_image})
    images = defaultdict(list)
    for file in files:
        if _of_thumbnails(file.path[:-1]):
            listing.thumbnails.append(file.name)
        elif file.kind != IMAGE:
            listing.not_counted[file.name] = file.kind
        elif prefix := prefix_of(file.path[-1]):
            images[prefix].append(file)
        else:
            listing.beside[file.name] = file.kind
    _enter(listing, container, images)
    _remark_on_files(listing, container)
    return listing


def prefix_of(name: str) -> str:
    """The class by the name of a file; "" where it has none."""
    prefix, underscore, _ = name.partition("_")
    return prefix if underscore else ""


def _files(container: Container) -> list[_File]:
    return [_File(name, _parts(name), kind(container, name) or IMAGE) for name in sorted(container.files)]


def _of_thumbnails(folders: Folders) -> bool:
    return any(map(_THUMBNAILS.fullmatch, folders))


def _outer(folders: set[Folders], container: Container) -> Folders:
    """The folder that all class folders lie in, as people pack them: each without another beside it."""
    folders = {each for each in folders if each and not _of_thumbnails(each[1:])}
    empty, outer = _empty_folders(container), ()
    while len(here := {each[len(outer)] for each in folders if len(each) > len(outer)}) == 1:
        if any(each[:-1] == outer for each in empty):
            return outer
        outer += tuple(here)
    if here or not folders:
        return outer
    return min(folders, key=len)[:-1]  # there is one class: the uppermost of these folders that holds images


def _empty_folders(container: Container) -> set[Folders]:
    parents = {_parts(name)[:-1] for name in container.files}
    occupied = {parent[:depth] for parent in parents for depth in range(len(parent) + 1)}
    return set(map(_parts, container.folders - {""})) - occupied


def _parts(name: str) -> Folders:
    """In one form of Unicode: macOS takes letters and their accents apart."""
    return tuple(unicodedata.normalize("NFC", name).split("/"))


# Into a listing ---------------------------------------------------------------------------------------------------


def _enter(listing: Listing, container: Container, images: dict[str, list[_File]]) -> None:
    """Number the classes, and put their images in an order that depends on their names alone."""
    listing.classes = tuple(sorted(images))
    labels = {name: label for label, name in enumerate(listing.classes)}
    files = sorted((file.path, file.name, labels[name]) for name in labels for file in images[name])
    listing.entries = [Entry(name, label, container.files[name]) for _, name, label in files]
    if container.aliases:
        _leave_out_aliases(listing, container.aliases)


def _leave_out_aliases(listing: Listing, aliases: dict[str, str]) -> None:
    """Each real file once in a class, however many links lead to it."""
    labels = {entry.name: entry.label for entry in listing.entries}
    links = [entry for entry in listing.entries if aliases.get(entry.name) in labels]
    twice = {entry.name for entry in links if labels[aliases[entry.name]] == entry.label}
    listing.entries = [entry for entry in listing.entries if entry.name not in twice]
    if twice:
        names = listed(map(shown, sorted(twice)))
        listing.remarks.append(f"{PASSED_OVER}, links to images of the same class that are listed already: {names}")
    if others := sorted(entry.name for entry in links if entry.name not in twice):
        names = listed(map(shown, others))
        listing.remarks.append(f"WARNING: links to images of other classes, which count in both: {names}")


def _remark_on_files(listing: Listing, container: Container) -> None:
    if listing.thumbnails:
        listing.remarks.append(f"{PASSED_OVER}: {len(listing.thumbnails)} files in folders of thumbnails or previews")
    for reason in sorted(set(container.passed_over.values())):
        names = sorted(name for name, why in container.passed_over.items() if why == reason)
        if reason == OF_A_SYSTEM:
            counts = Counter(name.rpartition("/")[2] for name in names)
            names = [f"{name} ({count})" for name, count in counts.most_common()]
        listing.remarks.append(f"{PASSED_OVER}, {reason}: {listed(map(shown, names))}")
    if listing.beside:
        listing.remarks.append(f"files in no class do not count: {summary(listing.beside.values())}")


def _find_folders_without_images(listing: Listing, container: Container) -> None:
    """Beside the class folders: folders, and links that may have been some."""
    depth = len(listing.outer)

    def is_beside(name: str) -> bool:
        path = _parts(name)
        return len(path) == depth + 1 and path[:depth] == listing.outer and path[depth] not in listing.classes

    for name in sorted(filter(is_beside, container.folders - {""})):
        kinds = [kind for file, kind in listing.not_counted.items() if file.startswith(f"{name}/")]
        thumbnails = any(file.startswith(f"{name}/") for file in listing.thumbnails)
        listing.without[name] = summary(kinds) or ("thumbnails" if thumbnails else "empty")
    for name in filter(is_beside, listing.beside):
        if not container.files[name] and listing.beside[name] != IMAGE:
            listing.without[name] = "a link that leads nowhere"


def _remark_on_folders(listing: Listing, container: Container) -> None:
    depth, forms, alike = len(listing.outer), defaultdict(set), defaultdict(set)
    for name in container.folders - {""}:
        if len(path := _parts(name)) == depth + 1 and path[-1] in listing.classes:
            forms[path[-1]].add(name)
            alike[path[-1].casefold().strip()].add(path[-1])
    for name, folders in sorted(forms.items()):
        if len(folders) > 1:
            what = f"{len(folders)} folders, whose names differ in their form of Unicode alone"
            listing.remarks.append(f"{shown(name)}: {what}; they are one class")
    for names in alike.values():
        if len(names) > 1:
            which = listed(map(shown, sorted(names)))
            listing.remarks.append(f"WARNING: {which} differ in case or spaces alone, and are a class each")
    inner = list(listing.inner.values())
    if len(inner) > 1 and len(inner[0]) > 1 and all(each == inner[0] for each in inner):
        which = listed(map(shown, sorted(inner[0])))
        listing.remarks.append(f"WARNING: every class folder holds the same folders, {which}; are those the classes?")
    if listing.without:
        there = (f"{shown(name)} ({reason})" for name, reason in listing.without.items())
        listing.remarks.append(f"folders without images: {listed(there)}")
