"""An image as it is stored becomes one of 1 or 3 channels, and what that did to it is noted."""

from typing import NamedTuple

from PIL import ExifTags, Image

NARROWEST = 256  # times as long as it is wide; its crop would take as many times the memory of a square one

# What happens to an image, or does not, by the name under which it is counted: as the log says it.
NOTES = {
    "exif_turned": "turned by an EXIF tag, which is not applied (as in ADM)",
    "transparent": "transparent, which is dropped (as in ADM)",
    "several_frames": "of several frames, of which the first is taken",
    "grey_made_colour": "grey, made colour",
    "colour_made_grey": "colour, made grey",
    "16_bits": "of 16 bits a channel, of which the upper 8 are kept",
    "cmyk": "CMYK, made RGB without a colour profile",
    "enlarged": "smaller than image_size, and enlarged",
}

_GREY = ("1", "L", "LA", "La")  # Pillow's modes without colour
_LOSSY = ("AVIF", "JPEG", "JPEG2000", "MPO", "WEBP")


class Picture(NamedTuple):
    """An image, decoded, of mode L (1 channel) or RGB (3); and what NOTES say of it, by name."""

    image: Image.Image
    notes: list[str]


def traits(stored: Image.Image) -> set[str]:
    """The traits of an image that are known before it is decoded. Raises ValueError where it has more than 8 bits."""
    if stored.mode[0] in "IF":  # convert() would clip these, not scale them
        raise ValueError(f"mode {stored.mode} has more than 8 bits per channel")
    has = {
        # How the pixels lie in the file: known until they are decoded, as EXIF may want.
        "16_bits": ";16" in str(getattr(stored, "tile", "")),
        "grey": stored.mode in _GREY,
        "alpha": stored.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in stored.info,
        "lossy": stored.format in _LOSSY,
        "exif_turned": _is_turned(stored),
        "several_frames": _has_several_frames(stored),
        "cmyk": stored.mode == "CMYK",
    }
    return {trait for trait, it_has in has.items() if it_has}


def convert(stored: Image.Image, channels: int) -> Picture:
    """Decode an image; as in ADM, alpha is dropped. Raises ValueError where it cannot be used, or Pillow's errors."""
    if not min(stored.size) or max(stored.size) > NARROWEST * min(stored.size):
        raise ValueError(f"is {stored.width}x{stored.height}, too narrow for a square; crop it")
    found = traits(stored)
    stored.load()
    # In two steps where a palette has transparent colours, since Pillow warns where it is dropped in one.
    image = stored.convert("RGBA") if stored.mode == "P" and "transparency" in stored.info else stored
    if "alpha" in found and _is_transparent(image):
        found.add("transparent")
    if ("grey" in found) != (channels == 1):
        found.add("grey_made_colour" if channels == 3 else "colour_made_grey")
    return Picture(image.convert("L" if channels == 1 else "RGB"), [note for note in NOTES if note in found])


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
    except Exception:  # damage there does not touch the image
        return False


def _has_several_frames(image: Image.Image) -> bool:
    try:
        return getattr(image, "is_animated", False)
    except Exception:  # damage in the second
        return True


def _is_transparent(image: Image.Image) -> bool:
    """Whether a pixel is, not only the format."""
    if image.mode in ("RGBA", "LA", "PA"):
        return image.getchannel("A").getextrema()[0] < 255
    return "transparency" in image.info and image.convert("RGBA").getchannel("A").getextrema()[0] < 255
