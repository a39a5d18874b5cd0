"""References as people have them: of `eddpm evaluate`, and of a project."""

from pathlib import Path

import numpy as np
from tiny import tiny_project
from zoo.cases import House, refused, taken
from zoo.measured import IMAGES, arrays, images, of_images, run, statistics
from zoo.odd_images import PAGE, put

from eddpm.config.assets import check_reference

INCEPTION = {"spaces": ("inception",)}

ROWS = (
    taken(
        "statistics alone as reference",
        statistics(),
        "it holds statistics alone: they give FID; KID, precision and recall need images",
        "| FID ↓ (inception)",
        **INCEPTION,
    ),
    taken(
        "a batch with statistics as reference",
        statistics(arr_0=images(12)),
        "in the space inception its statistics are those of FID; its images serve all else",
    ),
    refused(
        "statistics of pixels", statistics(), "holds statistics alone, of the space inception; pixels needs images"
    ),
    refused(
        "statistics of another layer",
        statistics(768),
        "mu has 768 dimensions, not 2048: of another layer or network than FID is defined by",
        **INCEPTION,
    ),
    refused(
        "a mean without its covariance",
        statistics(sigma=None),
        "has 'mu' but no 'sigma'; save both, or neither",
        **INCEPTION,
    ),
    refused(
        "standard deviations in place of a covariance",
        statistics(sigma=np.ones(2048)),
        "are not a mean (D,) and a covariance (D, D)",
        **INCEPTION,
    ),
    refused("statistics with NaN", statistics(mu=np.full(2048, np.nan)), "have NaN or infinite entries", **INCEPTION),
    refused(
        "a covariance that is not symmetric",
        statistics(sigma=np.eye(2048, k=1)),
        "the latter is no covariance, which is symmetric and positive",
        **INCEPTION,
    ),
    refused(
        "statistics as samples",
        arrays(mu=np.zeros(64), sigma=np.eye(64)),
        "holds statistics (mu, sigma), no images; give images",
    ),
    taken(
        "the same file twice",
        of_images(IMAGES),
        "is samples and reference at once; distances of images from themselves are 0",
        reference="samples.npz",
    ),
    taken(
        "fewer images than features",
        of_images(IMAGES),
        "8 samples are few for 192 dimensions, which biases FID and sFID upwards",
    ),
    taken(
        "fewer images than FIDs are published of",
        of_images(images(200)),
        "200 samples are fewer than 10,000, which biases FID and sFID upwards",
    ),
    refused(
        "samples of another size than the reference",
        of_images(images(size=16)),
        "(height, width, channels); bring both to one size, and both to grey or both to RGB",
        "images are (16, 16, 3), those of",
    ),
    refused("grey samples, a reference in colour", of_images(images(channels=1)), "images are (8, 8, 1), those of"),
    refused("one image", of_images(IMAGES[:1]), "has 1 of at least 4 images that k=3 needs; give more"),
)

REFERENCES = House("References of `eddpm evaluate`", run, ROWS)


# Within a project -------------------------------------------------------------------------------------------------


def check(folder: Path) -> str:
    """What is said of the reference of a project of grey 8x8 images."""
    evaluation = {"spaces": ["pixels", "classifier:clean"], "reference": str(folder / "reference.npz")}
    check_reference(tiny_project(evaluation=evaluation))
    return "taken without a word"


PROJECT_ROWS = (
    taken(
        "a batch of the data set's images", arrays("reference.npz", arr_0=images(channels=1)), "taken without a word"
    ),
    refused(
        "a batch of another size or of other channels",
        arrays("reference.npz", arr_0=images(size=16)),
        "are (16, 16, 3), those of the data set (8, 8, 1)",
    ),
    refused("statistics alone", statistics(8), "statistics alone serve as --reference of `eddpm evaluate` only"),
    refused("a web page", put("reference.npz", PAGE), "is a web page"),
)

PROJECT_REFERENCES = House("`evaluation.reference` of a project, when snakemake starts", check, PROJECT_ROWS)
