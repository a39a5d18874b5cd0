"""Where images come from: scikit-learn's digits, or a folder with one folder of images per class."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from eddpm.config import DatasetConfig
from eddpm.errors import ArtifactError, ConfigError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class LabelledImages(NamedTuple):
    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    classes: np.ndarray  # the name of each class, (num_classes,)


def open_dataset(config: DatasetConfig) -> LabelledImages:
    """All images of `config.source`, checked against the size, channels and class count that `config` names."""
    dataset = load_digits() if config.source == "digits" else load_folder(Path(config.source), config)
    found = (*dataset.images.shape[1:], len(dataset.classes))
    wanted = (config.image_size, config.image_size, config.image_channels, config.num_classes)
    if found != wanted:
        raise ConfigError(
            f"dataset '{config.source}': has height, width, channels, classes {found}, "
            f"but image_size, image_channels and num_classes say {wanted}; change those three"
        )
    return dataset


def load_digits() -> LabelledImages:
    """The 1,797 scanned digits of scikit-learn, 8x8 with values 0..16, spread over 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return LabelledImages(images, digits.target.astype(np.int64), digits.target_names.astype(str))


def load_folder(folder: Path, config: DatasetConfig) -> LabelledImages:
    """Images in class folders; classes are the sorted folder names, images are cropped as in ADM."""
    if not folder.is_dir():
        raise ArtifactError(f"dataset '{folder}': is not a folder; give 'digits' or a folder with one folder per class")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise ArtifactError(
            f"dataset '{folder}': holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in class folders; check it"
        )
    images = np.stack([_read_image(path, config.image_size, config.image_channels) for _, path in files])
    return LabelledImages(images, np.array([label for label, _ in files], dtype=np.int64), np.array(classes))


def _read_image(path: Path, size: int, channels: int) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":  # convert() would clip these, not scale them
                raise ValueError(f"mode {image.mode} has more than 8 bits per channel")
            image = image.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArtifactError(f"{path}: cannot be read as an image ({error}); repair or remove it") from None
    return center_crop(image, size).reshape(size, size, channels)


def center_crop(image, size: int) -> np.ndarray:
    """ADM's crop of a PIL image: halve by box filter while twice too large, bicubic to size, cut the middle square."""
    from PIL import Image

    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    ratio = size / min(image.size)
    image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def split(dataset: LabelledImages, validation_fraction: float) -> tuple[LabelledImages, LabelledImages]:
    """Training and validation images, every class in the same share; the same split each time."""
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(
            np.arange(len(dataset.labels)), test_size=validation_fraction, stratify=dataset.labels, random_state=0
        )
    except ValueError as error:
        raise ConfigError(f"validation_fraction {validation_fraction}: {error}") from None
    return tuple(
        LabelledImages(dataset.images[part], dataset.labels[part], dataset.classes)
        for part in (np.sort(train), np.sort(validation))
    )
