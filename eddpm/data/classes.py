"""Classes of the images of a folder or a zip: by their folders, or by the beginnings of their names.

Nothing is opened but files without a suffix. Every other file is kept with its kind.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from eddpm.data.containers import OF_A_SYSTEM, Container
from eddpm.data.kinds import is_companion, kind, summary
from eddpm.io.names import listed, shown

Folders = tuple[str, ...]  # the names of folders, each within the one before

IMAGE = "image"  # beside the kinds of eddpm.data.kinds
PASSED_OVER = "passed over"  # the beginning of a remark that may explain a missing class

_THUMBNAILS = re.compile(r"[._-]*(thumb(nail)?s?|previews?)[._-]*\d*", re.IGNORECASE)


class Entry(NamedTuple):
    """An image of a source, as yet unread."""

    name: str  # within the source, folders divided by "/"
    label: int
    stamp: tuple[int, ...]  # differs where the bytes may differ


class Listing:
    """The images of a folder or a zip by class, and what else is there."""

    def __init__(self, container: Container, layout: str = "folders"):
        """`layout` "folders": classes are the uppermost folders that lie beside others. "prefixes": they are what
        stands before the first "_" of an image's own name, as in guided-diffusion.
        """
        self.by_prefixes = layout == "prefixes"
        files = [(name, _parts(name), kind(container, name) or IMAGE) for name in sorted(container.files)]
        self.folders = {path[:-1] for _, path, kind_ in files if not is_companion(kind_)}  # that may hold images
        self.outer = () if self.by_prefixes else _outer(self.folders, container)  # all class folders lie in it
        self.not_counted: dict[str, str] = {}  # files of other kinds among the images
        self.beside: dict[str, str] = {}  # files, images among them, that are in no class: their kinds
        self._thumbnails: list[str] = []
        images = []
        for name, path, kind_ in files:
            class_, inner = self._place(path)
            if any(map(_THUMBNAILS.fullmatch, inner)):
                self._thumbnails.append(name)
            elif kind_ != IMAGE and (class_ or self.by_prefixes):
                self.not_counted[name] = kind_
            elif class_:
                images.append((path, name, class_))
            else:
                self.beside[name] = kind_
        self.classes = tuple(sorted({class_ for *_, class_ in images}))
        labels = {class_: label for label, class_ in enumerate(self.classes)}
        # In an order that depends on their names alone.
        self.entries = [Entry(name, labels[class_], container.files[name]) for _, name, class_ in sorted(images)]
        self.remarks = [*self._leave_out_aliases(container.aliases), *self._on_files(container)]  # on decisions
        self.without: dict[str, str] = {}  # class folders without images, and what is there instead
        if not self.by_prefixes:
            self._find_folders_without_images(container)
            self.remarks += self._on_folders(container)

    def _place(self, path: Folders) -> tuple[str, Folders]:
        """The class of a file, "" where it has none, and the folders within the class that the file lies in."""
        if self.by_prefixes:
            return prefix_of(path[-1]), path[:-1]
        depth = len(self.outer)
        if path[:depth] != self.outer or len(path) < depth + 2:
            return "", ()
        return path[depth], path[depth + 1 : -1]

    @property
    def loose(self) -> list[str]:
        """Images that are in no class."""
        return [name for name, kind_ in self.beside.items() if kind_ == IMAGE]

    @property
    def inner(self) -> dict[str, set[str]]:
        """The folders within each class folder; empty where a class folder holds images itself."""
        depth, found = len(self.outer), defaultdict(set)
        for below in (folders[depth:] for folders in self.folders if folders[:depth] == self.outer):
            if len(below) == 1:
                return {}
            if below:
                found[below[0]].add(below[1])
        return found

    def _leave_out_aliases(self, aliases: dict[str, str]) -> Iterator[str]:
        """Count each real file once in a class, however many links lead to it."""
        labels = {entry.name: entry.label for entry in self.entries if aliases}
        links = {name: labels[aliases[name]] == label for name, label in labels.items() if aliases.get(name) in labels}
        self.entries = [entry for entry in self.entries if not links.get(entry.name)]
        if twice := sorted(name for name, is_same_class in links.items() if is_same_class):
            names = listed(map(shown, twice))
            yield f"{PASSED_OVER}, links to images of the same class that are listed already: {names}"
        if others := sorted(links.keys() - set(twice)):
            yield f"WARNING: links to images of other classes, which count in both: {listed(map(shown, others))}"

    def _on_files(self, container: Container) -> Iterator[str]:
        if self._thumbnails:
            yield f"{PASSED_OVER}: {len(self._thumbnails)} files in folders of thumbnails or previews"
        for reason in sorted(set(container.passed_over.values())):
            names = sorted(name for name, why in container.passed_over.items() if why == reason)
            if reason == OF_A_SYSTEM:
                counts = Counter(name.rpartition("/")[2] for name in names)
                names = [f"{name} ({count})" for name, count in counts.most_common()]
            yield f"{PASSED_OVER}, {reason}: {listed(map(shown, names))}"
        if self.beside:
            yield f"files in no class do not count: {summary(self.beside.values())}"

    def _at_class_folders(self, name: str) -> str:
        """The last part of a name that lies where class folders do; "" of others."""
        *outer, last = _parts(name)
        return last if tuple(outer) == self.outer else ""

    def _find_folders_without_images(self, container: Container) -> None:
        """Beside the class folders: folders, and links that may have been some."""
        others = {"", *self.classes}
        for name in sorted(container.folders):
            if self._at_class_folders(name) not in others:
                kinds = [kind_ for file, kind_ in self.not_counted.items() if file.startswith(f"{name}/")]
                thumbnails = any(file.startswith(f"{name}/") for file in self._thumbnails)
                self.without[name] = summary(kinds) or ("thumbnails" if thumbnails else "empty")
        for name, kind_ in self.beside.items():
            if kind_ != IMAGE and not container.files[name] and self._at_class_folders(name) not in others:
                self.without[name] = "a link that leads nowhere"

    def _on_folders(self, container: Container) -> Iterator[str]:
        forms = Counter(map(self._at_class_folders, container.folders))
        for name in self.classes:
            if forms[name] > 1:
                what = f"{forms[name]} folders, whose names differ in their form of Unicode alone"
                yield f"{shown(name)}: {what}; they are one class"
        alike = defaultdict(list)
        for name in self.classes:
            alike[name.casefold().strip()].append(shown(name))
        for names in alike.values():
            if len(names) > 1:
                yield f"WARNING: {listed(names)} differ in case or spaces alone, and are a class each"
        first, *others = [*self.inner.values()] or [set()]
        if others and len(first) > 1 and all(each == first for each in others):
            which = listed(map(shown, sorted(first)))
            yield f"WARNING: every class folder holds the same folders, {which}; are those the classes?"
        if self.without:
            yield self.without_images

    @property
    def without_images(self) -> str:
        """Class folders without images, in words."""
        return f"folders without images: {listed(f'{shown(name)} ({what})' for name, what in self.without.items())}"


def prefix_of(name: str) -> str:
    """The class by the name of a file; "" where it has none."""
    prefix, underscore, _ = name.partition("_")
    return prefix if underscore else ""


def _parts(name: str) -> Folders:
    """In one form of Unicode: macOS takes letters and their accents apart."""
    return tuple(unicodedata.normalize("NFC", name).split("/"))


def _outer(folders: set[Folders], container: Container) -> Folders:
    """The folder that all class folders lie in, as people pack them: each without another beside it."""
    folders = {each for each in folders if each and not any(map(_THUMBNAILS.fullmatch, each[1:]))}
    parents = {_parts(name)[:-1] for name in container.files}
    occupied = {parent[:depth] for parent in parents for depth in range(len(parent) + 1)}
    beside_empty = {folder[:-1] for folder in set(map(_parts, container.folders - {""})) - occupied}
    outer = ()
    while len(here := {each[len(outer)] for each in folders if len(each) > len(outer)}) == 1:
        if outer in beside_empty:
            return outer
        outer += tuple(here)
    if here or not folders:
        return outer
    return min(folders, key=len)[:-1]  # there is one class: the uppermost of these folders that holds images


# In words ---------------------------------------------------------------------------------------------------------


def with_counts(classes: tuple[str, ...], entries: list[Entry], most: int = 10) -> str:
    """The classes with their numbers of images, "cats (12 images), dogs (1 image)"; of more, the first `most`."""
    counts = Counter(entry.label for entry in entries)
    return listed((f"{shown(name)} ({of_images(counts[label])})" for label, name in enumerate(classes)), most)


def of_images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
