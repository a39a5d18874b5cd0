"""Pictures in a folder or a zip, as other programs save samples: measured as they are, one by one."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from eddpm.data.containers import Container, is_image, open_image
from eddpm.errors import ArtifactError

_GREY = ("1", "L", "LA", "La")  # Pillow's modes without colour
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_LOSSY = ("AVIF", "JPEG", "JPEG2000", "MPO", "WEBP")
_ORIENTATION = 0x0112  # of EXIF; 1: as stored


class Pictures:
    """The pictures of a folder or a zip, all of one size, in the order of their names, decoded a few at a time."""

    labels = None  # folders may be classes, but which number they have is not known

    def __init__(self, path: Path, container: Container):
        """Looks at every picture, but decodes none.

        Raises ArtifactError where there is none, one cannot be read, or their sizes differ.
        """
        self.path, self._container = path, container
        self._names = sorted(filter(is_image, container.files))
        if not self._names:
            raise ArtifactError(f"{path}: holds no images{_others(container)}; name a folder or zip that does")
        first_of, sizes, traits = {}, Counter(), Counter()
        for name in self._names:
            with self._open(name) as image:
                first_of.setdefault(image.size, name)
                sizes[image.size] += 1
                traits.update(_traits(image))
        if len(sizes) > 1:
            named = " and ".join(f"{first_of[size]} {_wide(size)}" for size, _ in sizes.most_common(2))
            counts = ", ".join(f"{count} of {_wide(size)}" for size, count in sizes.most_common(5))
            raise ArtifactError(f"{path}: images differ in size ({counts}), as {named}; bring all to one size")
        width, height = next(iter(sizes))
        self._is_grey = traits["grey"] == len(self)
        self.shape = (height, width, 1 if self._is_grey else 3)
        self.notes = tuple(self._describe(traits))

    def __len__(self) -> int:
        return len(self._names)

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All images in order, uint8 (size, H, W, C) at a time, the last batch as many as remain."""
        for start in range(0, len(self), size):
            yield np.stack([self._pixels(name) for name in self._names[start : start + size]])

    def _pixels(self, name: str) -> np.ndarray:
        with self._open(name) as image:
            try:
                if image.mode == "P" and "transparency" in image.info:
                    image = image.convert("RGBA")  # since Pillow warns where it is dropped in one step
                pixels = np.asarray(image.convert("L" if self._is_grey else "RGB"))
            except Exception as error:  # of nearly any kind where bytes of the file are damaged
                raise self._unreadable(name, error) from None
        return pixels.reshape(self.shape)

    def _open(self, name: str) -> Image.Image:
        try:
            image = open_image(self._container.read(name))
            if image.mode[0] in "IF" or ";16" in str(image.tile[0].args if image.tile else ""):
                raise ValueError("it has more than 8 bits per channel; save it with 8")
        except Exception as error:  # as above
            raise self._unreadable(name, error) from None
        return image

    def _unreadable(self, name: str, error: Exception) -> ArtifactError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ArtifactError(f"{self.path}: {name} cannot be read ({' '.join(reason.split())}); save it again")

    def _describe(self, traits: Counter) -> Iterator[str]:
        folders = {os.path.dirname(name) for name in self._names}
        if len(folders) > 1:
            yield f"its images lie in {len(folders)} folders, which are not taken for classes"
        if traits["grey"] and not self._is_grey:
            yield f"{traits['grey']} of its {len(self)} images are grey, and read as RGB like the others"
        if traits["alpha"]:
            yield f"{traits['alpha']} of its images are partly transparent; their colours are read, alpha is dropped"
        if traits["inks"]:
            yield f"{traits['inks']} of its images are CMYK, and read as RGB without their colour profile"
        if traits["lossy"]:
            yield f"{traits['lossy']} of its images were compressed with loss (JPEG): numbers differ from those of PNG"
        if traits["frames"]:
            yield f"{traits['frames']} of its images have several frames, of which the first is read"
        if traits["turned"]:
            yield f"{traits['turned']} of its images are to be shown turned (EXIF); they are read as they are stored"
        if others := _others(self._container):
            yield f"it holds {len(self)} images{others}"


def _traits(image: Image.Image) -> list[str]:
    """What is to be said of a picture."""
    has = {
        "grey": image.mode in _GREY,
        "alpha": image.mode in _ALPHA or "transparency" in image.info,
        "inks": image.mode == "CMYK",
        "lossy": image.format in _LOSSY,
        "frames": image.format != "MPO" and getattr(image, "is_animated", False),
        "turned": image.format in ("JPEG", "MPO") and image.getexif().get(_ORIENTATION, 1) != 1,
    }
    return [trait for trait, it_has in has.items() if it_has]


def _others(container: Container) -> str:
    """ ", and passes over 3 .txt, 1 .json": what a container holds besides images; "" where there is nothing else."""
    others = (name for name in container.files if not is_image(name))
    suffixes = Counter(os.path.splitext(name)[1].lower() or "without a suffix" for name in others)
    kinds = [f"{count} {suffix}" for suffix, count in suffixes.most_common(9)]
    kinds += [f"{count} {reason}" for reason, count in Counter(container.passed_over.values()).items()]
    return f", and passes over {', '.join(kinds)}" if kinds else ""


def _wide(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
