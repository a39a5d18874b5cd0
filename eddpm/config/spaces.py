"""The feature spaces that samples are measured in. A new one is a row here and its builder (evaluation/extractors.py).

A classifier of the project, as it sees clean images, is the space "classifier:NAME"; others have the name of their row.
"""

from typing import NamedTuple

CLASSIFIER = "classifier"


class Download(NamedTuple):
    """A file that a space needs and the workflow fetches."""

    file: str
    source: str
    sha256: str


class Space(NamedTuple):
    """A feature space, or the kind of those of classifiers."""

    gives: frozenset[str]  # the features of an image: pooled, spatial, probabilities
    numbers: int | None = None  # float32 numbers of an image's features together; None: follows from images and network
    weights: bool = False  # it has a file of weights: the download, or a classifier's
    download: Download | None = None


_POOLED, _ALL = frozenset({"pooled"}), frozenset({"pooled", "spatial", "probabilities"})

SPACES = {
    "inception": Space(  # the network of FID (2015), as the TorchScript that clean-fid reads
        _ALL,
        numbers=2048 + 7 * 17 * 17 + 1008,
        weights=True,
        download=Download(
            "inception-2015-12-05.pt",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        ),
    ),
    "efficientnet-lite0": Space(_ALL, numbers=1280 + 7 * 14 * 14 + 1000),  # weights are in its Python package
    "pixels": Space(_POOLED),
    "dinov2": Space(  # of FD-DINOv2 (Stein et al., 2023): the class token of ViT-L/14
        _POOLED,
        numbers=1024,
        weights=True,
        download=Download(
            "dinov2_vitl14_pretrain.pth",
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        ),
    ),
    "dinov2-b": Space(  # the same of ViT-B/14, which is smaller and faster
        _POOLED,
        numbers=768,
        weights=True,
        download=Download(
            "dinov2_vitb14_pretrain.pth",
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
        ),
    ),
    "clip": Space(  # of CMMD (Jayasumana et al., 2024): the image embedding of ViT-L/14 at 336 pixels
        _POOLED,
        numbers=768,
        weights=True,
        download=Download(
            "ViT-L-14-336px.pt",
            "https://openaipublic.azureedge.net/clip/models/"
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        ),
    ),
    CLASSIFIER: Space(_ALL, weights=True),
}
NAMED = tuple(name for name in SPACES if name != CLASSIFIER)
PATTERN = f"^({'|'.join(NAMED)}|{CLASSIFIER}:[a-z0-9][a-z0-9._-]*)$"
INCEPTION = SPACES["inception"].download
# Spaces whose file a project may name in `evaluation.weights`; that of Inception has a section of its own.
TRANSFORMERS = ("dinov2", "dinov2-b", "clip")


def space_of(name: str) -> Space:
    """The row of a space by its name."""
    return SPACES[kind_of(name)]


def kind_of(name: str) -> str:
    return name.partition(":")[0]


def classifier_of(name: str) -> str | None:
    """The classifier behind a space, if there is one."""
    kind, _, classifier = name.partition(":")
    return classifier if kind == CLASSIFIER else None
