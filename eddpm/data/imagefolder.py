"""Pictures in a folder or a zip, as other programs save samples: measured as they are, one by one."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from eddpm.data.containers import Container, open_image, own_limits
from eddpm.data.kinds import kind, summary
from eddpm.data.pictures import convert, traits
from eddpm.errors import ArtifactError


class Pictures:
    """The pictures of a folder or a zip, all of one size, in the order of their names, decoded a few at a time."""

    labels = None  # folders may be classes, but which number they have is not known

    def __init__(self, path: Path, container: Container):
        """Looks at every picture, but decodes none.

        Raises ArtifactError where there is none, one cannot be read, or their sizes differ.
        """
        self.path, self._container = path, container
        kinds = {name: kind(container, name) for name in container.files}
        self._names = sorted(name for name in kinds if kinds[name] is None)
        others = summary([*filter(None, kinds.values()), *container.passed_over.values()])
        self._others = f", and passes over {others}" if others else ""
        if not self._names:
            raise ArtifactError(f"{path}: holds no images{self._others}; name a folder or zip that does")
        first_of, sizes, found = {}, Counter(), Counter()
        for name in self._names:
            with self._opened(name) as image:
                first_of.setdefault(image.size, name)
                sizes[image.size] += 1
                found.update(of_image := traits(image))
                if "16_bits" in of_image:
                    raise ValueError("it has more than 8 bits per channel; save it with 8")
        if len(sizes) > 1:
            named = " and ".join(f"{first_of[size]} {_wide(size)}" for size, _ in sizes.most_common(2))
            counts = ", ".join(f"{count} of {_wide(size)}" for size, count in sizes.most_common(5))
            raise ArtifactError(f"{path}: images differ in size ({counts}), as {named}; bring all to one size")
        width, height = next(iter(sizes))
        self._is_grey = found["grey"] == len(self)
        self.shape = (height, width, 1 if self._is_grey else 3)
        self.notes = tuple(self._describe(found))

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
            with own_limits(), open_image(self._container.read(name)) as image:
                yield image
        except Exception as error:  # of nearly any kind where bytes of the file are damaged
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ArtifactError(
                f"{self.path}: {name} cannot be read ({' '.join(reason.split())}); save it again"
            ) from None

    def _describe(self, found: Counter) -> Iterator[str]:
        folders = {os.path.dirname(name) for name in self._names}
        if len(folders) > 1:
            yield f"its images lie in {len(folders)} folders, which are not taken for classes"
        if found["grey"] and not self._is_grey:
            yield f"{found['grey']} of its {len(self)} images are grey, and read as RGB like the others"
        if found["alpha"]:
            yield f"{found['alpha']} of its images are partly transparent; their colours are read, alpha is dropped"
        if found["cmyk"]:
            yield f"{found['cmyk']} of its images are CMYK, and read as RGB without their colour profile"
        if found["lossy"]:
            yield f"{found['lossy']} of its images were compressed with loss (JPEG): numbers differ from those of PNG"
        if found["several_frames"]:
            yield f"{found['several_frames']} of its images have several frames, of which the first is read"
        if found["exif_turned"]:
            yield f"{found['exif_turned']} of its images are turned by an EXIF tag, which is not applied"
        if self._others:
            yield f"it holds {len(self)} images{self._others}"


def _wide(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
