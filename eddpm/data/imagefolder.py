"""Pictures in a folder or a zip, as other programs save samples: measured as they are, one by one."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from eddpm.data.containers import OF_A_SYSTEM, Container
from eddpm.data.kinds import kind, remedy, summary
from eddpm.data.pictures import convert, open_image, traits
from eddpm.errors import ArtifactError, reason_of
from eddpm.io.names import shown

# Notes for the log on images, by their trait.
_SAID = {
    "grey": "are grey, and read as RGB like the others",
    "alpha": "have an alpha channel or a transparent colour; colours are read, transparency is dropped",
    "cmyk": "are CMYK, and read as RGB without their colour profile",
    "lossy": "were compressed with loss (JPEG): numbers differ from those of PNG",
    "several_frames": "have several frames, of which the first is read",
    "exif_turned": "are turned by an EXIF tag, which is not applied",
}


class Pictures:
    """The pictures of a folder or a zip, all of one size, in the order of their names, decoded a few at a time."""

    labels = None  # folders may be classes, but which number they have is not known

    def __init__(self, path: Path, container: Container):
        """Decodes no picture. Raises ArtifactError where there is none, one cannot be read, or their sizes differ."""
        self.path, self._container = path, container
        kinds = {name: kind(container, name) for name in sorted(container.files.keys() - container.aliases.keys())}
        self._names = [name for name, of_file in kinds.items() if of_file is None]
        others = [of_file for of_file in kinds.values() if of_file]
        if not self._names:
            there = f" that are read, but {summary(others)}; {remedy(others)}" if others else "; check the path"
            passed_over = summary(container.passed_over.values())
            raise ArtifactError(f"{path}: holds no images{f' ({passed_over})' if passed_over else ''}{there}")
        first_of, sizes, found = {}, Counter(), Counter()
        for name in self._names:
            with self._opened(name) as image:
                first_of.setdefault(image.size, name)
                sizes[image.size] += 1
                found.update(of_image := traits(image))
                if "16_bits" in of_image:
                    raise ValueError("it has more than 8 bits per channel; save it with 8")
        if len(sizes) > 1:
            named = " and ".join(f"{shown(first_of[size])} {_wide(size)}" for size, _ in sizes.most_common(2))
            counts = ", ".join(f"{count} of {_wide(size)}" for size, count in sizes.most_common(5))
            raise ArtifactError(f"{path}: images differ in size ({counts}), as {named}; bring all to one size")
        width, height = next(iter(sizes))
        self.shape = (height, width, 1 if found["grey"] == len(self) else 3)
        self.notes = (*self._describe(found), *_left_out(others, container))

    def __len__(self) -> int:
        return len(self._names)

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All images in order, uint8 (size, H, W, C) at a time, the last batch as many as remain."""
        for start in range(0, len(self), size):
            yield np.stack([self._pixels(name) for name in self._names[start : start + size]])

    def _pixels(self, name: str) -> np.ndarray:
        with self._opened(name) as image:
            return np.asarray(convert(image, self.shape[-1]).image).reshape(self.shape)

    @contextmanager
    def _opened(self, name: str) -> Iterator[Image.Image]:
        """An image; whatever goes wrong with it is an ArtifactError."""
        try:
            with open_image(self._container.open(name)) as image:
                yield image
        except Exception as error:  # of nearly any kind where bytes of the file are damaged
            reason = reason_of(error)
            raise ArtifactError(f"{self.path}: {shown(name)} cannot be read ({reason}); save it again") from None

    def _describe(self, found: Counter) -> Iterator[str]:
        folders = {os.path.dirname(name) for name in self._names}
        if len(folders) > 1:
            yield f"its images lie in {len(folders)} folders, which are not taken for classes"
        for trait, words in _SAID.items():
            if found[trait] and not (trait == "grey" and self.shape[-1] == 1):
                yield f"{found[trait]} of its {len(self)} images {words}"


def _left_out(others: list[str], container: Container) -> Iterator[str]:
    """Notes on the files that are not measured."""
    if others:
        yield f"left out, as no images: {summary(others)}"
    if container.aliases:
        yield f"left out, as links to others of its images: {len(container.aliases)}"
    for reason, count in Counter(container.passed_over.values()).items():
        if reason != OF_A_SYSTEM:
            yield f"left out, as {reason}: {count}"


def _wide(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
