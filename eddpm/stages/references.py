"""References: what samples are compared with, in each feature space."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eddpm.config.schema import MeasureConfig
from eddpm.config.settings import load_settings
from eddpm.config.spaces import TRANSFORMERS, space_of
from eddpm.data.imagesets import Images, open_images
from eddpm.data.store import Store
from eddpm.errors import ArtifactError
from eddpm.evaluation import inception
from eddpm.evaluation.features import Extractor
from eddpm.evaluation.frechet import Gaussian
from eddpm.evaluation.metrics import Reference
from eddpm.io.arrays import Arrays, open_arrays
from eddpm.io.batches import ImageFile, StatisticsAlone, write_sample_batch
from eddpm.stages import OptionalFiles, check_count
from eddpm.stages.features import features_of, open_spaces

logger = logging.getLogger(__name__)

REFERENCE_IMAGES = 10_000  # kept for precision and recall, as in ADM's reference batches
_SAVE = "save numpy.mean(features, axis=0) and numpy.cov(features, rowvar=False)"
COVARIANCES = {"mu": "sigma", "mu_s": "sigma_s"}


def extract_references(settings: Path, dataset: Path, weights: OptionalFiles, references: list[Path]) -> None:
    """Write one reference per space, in the order of the settings, with the keys of ADM's reference batches.

    `dataset` is a prepared data set (its training images) or a reference batch of ADM's; `weights` belong to the spaces
    that have some. The statistics are of all images, `features` of those in `arr_0`: 10 000, spread evenly.
    """
    config = load_settings(MeasureConfig, settings)
    check_count("--references", references, len(config.spaces), "feature spaces")
    images = open_images(dataset)
    kept, file = spread_evenly(len(images)), ReferenceFile(dataset)
    for space, path in zip(open_spaces(config.spaces, weights), references, strict=True):
        reference = file.in_space(space, kept)
        stats = {"mu": reference.pooled_stats.mean, "sigma": reference.pooled_stats.covariance}
        if reference.spatial_stats:
            stats |= {"mu_s": reference.spatial_stats.mean, "sigma_s": reference.spatial_stats.covariance}
        write_sample_batch(
            path,
            (len(kept), *images.shape),
            chosen(images, kept),
            features=reference.pooled,
            extractor=np.array(json.dumps(space.identity)),
            **stats,
        )
        logger.info(f"{space.name}: {len(images)} images, {reference.pooled.shape[1]} dimensions -> {path}")


class ReferenceFile:
    """A reference as written here, a reference batch of ADM's, images of any kind, or statistics of images alone.

    ADM's batches bring the statistics of a whole data set as Inception sees it; for other spaces their images count.
    """

    def __init__(self, path: Path):
        """Raises ArtifactError where it is none of them, or holds half of its statistics."""
        self.path, self.images = path, None
        try:
            self.images = open_images(path)
            self._arrays = _statistics(self.images.path) if isinstance(self.images, ImageFile) else {}
        except StatisticsAlone as alone:
            self._arrays = _statistics(alone.path)

    @property
    def notes(self) -> list[str]:
        """The origins of its numbers, for the log."""
        if self.images is None:
            metrics = "FID and sFID" if "mu_s" in self._arrays else "FID"
            return [
                f"it holds statistics alone: they give {metrics}; KID, precision and recall need images",
                "its statistics are taken as of the space that is named, of images resized as --resize says; the file"
                " does not tell",
            ]
        if "mu" in self._arrays and "features" not in self._arrays:
            return ["in the space inception its statistics are those of FID; its images serve all else"]
        return []

    def in_space(self, space: Extractor, rows: np.ndarray | None = None) -> Reference:
        """With `rows`, numbers of images, only the features of these are kept, while the statistics are of all.

        ArtifactError where the statistics are of another network than the space's, or none that can be.
        """
        arrays, path = self._arrays, self.path
        if "features" in arrays:
            made_by = str(arrays.get("extractor", "an unknown network"))
            if made_by != json.dumps(space.identity):
                raise ArtifactError(f"{path}: made by {made_by}, not {space.name} {space.identity}; extract it anew")
            pooled, spatial, features = self._gaussian("mu"), self._gaussian("mu_s"), arrays["features"]
            wanted = (len(self.images), len(pooled.mean)) if self.images else None
            if features.shape != wanted or features.dtype.kind != "f" or not np.isfinite(features).all():
                raise ArtifactError(
                    f"{path}: features {features.dtype} {features.shape} are not finite numbers {wanted}, one row for"
                    " each image as mu has them; extract it anew"
                )
            return Reference(features if rows is None else features[rows], pooled, spatial)
        of_inception = "mu" in arrays and space.name == "inception"
        if self.images is None:
            if space.name not in ("inception", *TRANSFORMERS):
                raise ArtifactError(
                    f"{path}: holds statistics alone, of the space inception; {space.name} needs images"
                )
            return Reference(None, *self._of_network(space.name))
        found = features_of(self.images, [space], keep_spatial=False, rows=rows)[space.name]
        if not of_inception:
            return Reference(found.pooled, found.pooled_stats, found.spatial_stats)
        if space.identity["resize"] != "legacy_tensorflow":
            raise ArtifactError(f"{path}: its statistics are of resize legacy_tensorflow; take that, or images alone")
        pooled, spatial = self._of_network("inception")
        return Reference(found.pooled, pooled, spatial or found.spatial_stats)

    def _of_network(self, space: str) -> tuple[Gaussian, Gaussian | None]:
        """The statistics of pooled and of spatial features, where there are some. ArtifactError if of another layer."""
        wanted = {"mu": inception.POOLED, "mu_s": inception.SPATIAL}
        remedy = (
            "than FID is defined by; make it of the 2015 Inception network's last pooling (pytorch-fid --dims 2048)"
        )
        if space != "inception":
            wanted, remedy = {"mu": space_of(space).numbers}, f"than {space}; name the space that it is of as --spaces"
        for name, size in wanted.items():
            found = self._arrays.get(name)
            if found is not None and len(found) != size:
                fault = f"has {len(found)} dimensions, not {size}: of another layer or network {remedy}"
                raise ArtifactError(f"{self.path}: {name} {fault}")
        return self._gaussian("mu"), self._gaussian("mu_s") if "mu_s" in wanted else None

    def _gaussian(self, name: str) -> Gaussian | None:
        """A mean and its covariance. ArtifactError where they cannot be that."""
        if name not in self._arrays:
            return None
        mean, covariance = self._arrays[name], self._arrays[COVARIANCES[name]]
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            fault = "have NaN or infinite entries"
        elif (np.diag(covariance) < 0).any() or not np.allclose(covariance, covariance.T, rtol=1e-3, atol=1e-6):
            fault = "are wrong: the latter is no covariance, which is symmetric and positive"
        else:
            return Gaussian(mean, covariance)
        raise ArtifactError(
            f"{self.path}: {name} {mean.dtype} {mean.shape} and {COVARIANCES[name]} {covariance.dtype}"
            f" {covariance.shape} {fault}; {_SAVE}"
        )


def _statistics(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a reference besides its images. ArtifactError where one lacks another that goes with it."""
    needs = {"features": "mu", **COVARIANCES, **{covariance: mean for mean, covariance in COVARIANCES.items()}}
    with open_arrays(path, single="arr_0") as arrays:
        for name, needed in needs.items():
            if name in arrays and needed not in arrays:
                raise ArtifactError(f"{path}: has '{name}' but no '{needed}'; save both, or neither")
        for mean, covariance in COVARIANCES.items():
            if mean in arrays:
                _refuse_other_statistics(arrays, mean, covariance)
        return {name: arrays[name] for name in (*needs, "extractor") if name in arrays}


def _refuse_other_statistics(arrays: Arrays, mean: str, covariance: str) -> None:
    """Raises ArtifactError, before data are read, where arrays cannot be a mean and its covariance."""
    of_mean, of_covariance = arrays.headers[mean], arrays.headers[covariance]
    is_pair = len(of_mean.shape) == 1 and of_mean.shape[0] > 0 and of_covariance.shape == of_mean.shape * 2
    if not is_pair or {of_mean.dtype.kind, of_covariance.dtype.kind} != {"f"}:
        raise ArtifactError(
            f"{arrays.path}: {mean} {of_mean} and {covariance} {of_covariance} are not a mean (D,) and a covariance"
            f" (D, D); {_SAVE}"
        )


def spread_evenly(count: int) -> np.ndarray:
    """The numbers of at most REFERENCE_IMAGES of so many images, rising."""
    return np.unique(np.linspace(0, count - 1, REFERENCE_IMAGES).round().astype(int))


def chosen(images: Images, kept: np.ndarray) -> Iterator[np.ndarray]:
    """Images by their numbers, which rise, a few at a time."""
    if isinstance(images, Store):  # others are read from the first to the last
        yield from (images.read(kept[k : k + 100]) for k in range(0, len(kept), 100))
        return
    start = 0
    for batch in images.batches():
        inside = kept[(kept >= start) & (kept < start + len(batch))]
        yield batch[inside - start]
        start += len(batch)
