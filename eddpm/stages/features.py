"""Features of samples and of references, in every feature space of an experiment."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eddpm.config.schema import EncoderConfig, MeasureConfig, SpaceConfig
from eddpm.config.settings import load_settings
from eddpm.data.imagesets import Images, Joined, open_images
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation import extractors
from eddpm.evaluation.features import Extractor, FeatureCollector, Features, FeatureSet
from eddpm.evaluation.frechet import Gaussian
from eddpm.evaluation.metrics import Reference
from eddpm.io.arrays import open_arrays, read_npz, write_npz
from eddpm.io.batches import ImageFile, StatisticsAlone, write_sample_batch
from eddpm.io.files import load_checkpoint, sha256
from eddpm.io.log import progress
from eddpm.models.build import build_classifier, load_weights
from eddpm.models.device import pick_device
from eddpm.models.encoder import EncoderFeatures
from eddpm.stages import OptionalFiles

logger = logging.getLogger(__name__)

REFERENCE_IMAGES = 10_000  # kept for precision and recall, as in ADM's reference batches


def extract_references(settings: Path, dataset: Path, weights: OptionalFiles, references: list[Path]) -> None:
    """Write one reference per space, in the order of the settings, with the keys of ADM's reference batches.

    `dataset` is a prepared data set, of which the training images count, or a reference batch of ADM's; `weights`
    belong to the spaces that have some. The statistics (mu, sigma, mu_s, sigma_s) are of all images, `features` of
    those in `arr_0`: 10 000, spread evenly. No others are held in memory.
    """
    config = load_settings(MeasureConfig, settings)
    check_count("--references", references, len(config.spaces), "feature spaces")
    images = open_images(dataset)
    kept = spread_evenly(len(images))
    for space, path in zip(open_spaces(config.spaces, weights), references, strict=True):
        reference = open_reference(dataset, space, kept)
        stats = {"mu": reference.pooled_stats.mean, "sigma": reference.pooled_stats.covariance}
        if reference.spatial_stats:
            stats |= {"mu_s": reference.spatial_stats.mean, "sigma_s": reference.spatial_stats.covariance}
        write_sample_batch(
            path,
            (len(kept), *images.shape),
            _chosen(images, kept),
            features=reference.pooled,
            extractor=np.array(json.dumps(space.identity)),
            **stats,
        )
        logger.info(f"{space.name}: {len(images)} images, {reference.pooled.shape[1]} dimensions -> {path}")


def extract_features(settings: Path, samples: Path, weights: OptionalFiles, features: Path) -> None:
    """Write the features of one shard in every space, as `<space>/pooled` and so on."""
    config = load_settings(MeasureConfig, settings)
    spaces = open_spaces(config.spaces, weights)
    found = collect([samples], spaces, keep_spatial=True)
    arrays = {
        f"{space}/{name}": getattr(of_space, name)
        for space, of_space in found.items()
        for name in Features._fields
        if getattr(of_space, name) is not None
    }
    identities = {space.name: space.identity for space in spaces}
    write_npz(features, extractors=np.array(json.dumps(identities)), **arrays)


def collect(samples: list[Path], spaces: list[Extractor], keep_spatial: bool) -> dict[str, FeatureSet]:
    """The features of shards in every space, by its name, in one pass over the images."""
    return features_of(Joined(samples[0].parent, [open_images(path) for path in samples]), spaces, keep_spatial)


def features_of(
    images: Images, spaces: list[Extractor], keep_spatial: bool, rows: np.ndarray | None = None
) -> dict[str, FeatureSet]:
    """The features of images (of some of them, with `rows`) in every space, by its name, in one pass over them."""
    collectors = {space.name: FeatureCollector(len(images), keep_spatial, rows) for space in spaces}
    for batch in progress(images.batches(), unit="batch"):
        for space in spaces:
            collectors[space.name].add(space(batch))
    return {name: collector.finish() for name, collector in collectors.items()}


def read_features(paths: list[Path], spaces: list[Extractor], count: int, keep_spatial: bool) -> dict[str, FeatureSet]:
    """What `extract_features` wrote of the shards of `count` images, joined. ArtifactError if of other networks."""
    collectors = {space.name: FeatureCollector(count, keep_spatial) for space in spaces}
    wanted = json.dumps({space.name: space.identity for space in spaces})
    left = count
    for path in paths:
        arrays = read_npz(path, "extractors")
        if str(arrays["extractors"]) != wanted:
            raise ArtifactError(f"{path}: made by {arrays['extractors']}, not {wanted}; extract them anew")
        left -= len(arrays[f"{spaces[0].name}/pooled"])
        if left < 0:
            break
        for space, collector in collectors.items():
            collector.add(Features(*(arrays.get(f"{space}/{name}") for name in Features._fields)))
    if left:
        raise ArtifactError(f"{paths[0]}: features of {count - left} images for {count} samples; extract them anew")
    return {space: collector.finish() for space, collector in collectors.items()}


def open_spaces(spaces: Iterable[SpaceConfig], weights: list[Path]) -> list[Extractor]:
    """The extractor of each space; `weights` has a file for each of those that need one, in their order."""
    spaces, device = list(spaces), pick_device()
    check_count("--weights", weights, sum(space.has_weights for space in spaces), "feature spaces with weights")
    files = iter(weights)
    return [_open_space(space, next(files) if space.has_weights else None, device) for space in spaces]


def _open_space(space: SpaceConfig, weights: Path | None, device: torch.device) -> Extractor:
    if space.name == "pixels":
        return extractors.pixels()
    if space.name == "efficientnet-lite0":
        return extractors.efficientnet_lite0(device)
    if space.inception_resize:
        return extractors.inception(weights.parent, space.inception_resize, device)
    return open_classifier(space.name, space.classifier, weights, device)


def open_classifier(name: str, config: EncoderConfig, weights: Path, device: torch.device) -> Extractor:
    """The features of a classifier trained here, as it sees clean images."""
    network = build_classifier(config, frozen=True)
    load_weights(network, load_checkpoint(weights), str(weights))
    network.to(device)
    wanted = (config.image_channels, config.image_size, config.image_size)

    def features_fn(x: Tensor) -> EncoderFeatures:
        if x.shape[1:] != wanted:
            raise ArtifactError(f"{name}: images are {tuple(x.shape[1:])}, the classifier takes {wanted} (C, H, W)")
        return network.features(x, torch.zeros(len(x), device=device))

    return extractors.classifier(name, features_fn, sha256(weights), device)


def open_reference(path: Path, space: Extractor, rows: np.ndarray | None = None) -> Reference:
    """The reference of a file in a space. Raises ArtifactError as ReferenceFile does."""
    return ReferenceFile(path).in_space(space, rows)


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
        self.notes = tuple(self._origins())

    def _origins(self) -> Iterator[str]:
        """Which numbers come from what."""
        if self.images is None:
            metrics = "FID and sFID" if "mu_s" in self._arrays else "FID"
            yield f"it holds statistics alone: they give {metrics}; KID, precision and recall need images"
            yield "its statistics are taken as of images that were resized as --resize says; the file does not tell"
        elif "mu" in self._arrays and "features" not in self._arrays:
            yield "in the space inception its statistics are those of FID; its images serve all else"

    def in_space(self, space: Extractor, rows: np.ndarray | None = None) -> Reference:
        """With `rows`, numbers of images, only the features of these are kept, while the statistics are of all.

        ArtifactError where the statistics are of another network than the space's, or none that can be.
        """
        arrays, path = self._arrays, self.path
        if "features" in arrays:
            made_by = str(arrays.get("extractor", "an unknown network"))
            if made_by != json.dumps(space.identity):
                raise ArtifactError(f"{path}: made by {made_by}, not {space.name} {space.identity}; extract it anew")
            features = arrays["features"] if rows is None else arrays["features"][rows]
            return Reference(features, _gaussian(path, arrays, "mu"), _gaussian(path, arrays, "mu_s"))
        if self.images is None and space.name != "inception":
            raise ArtifactError(f"{path}: holds statistics alone, of the space inception; {space.name} needs images")
        if self.images is None:
            return Reference(None, *_of_inception(path, arrays))
        found = features_of(self.images, [space], keep_spatial=False, rows=rows)[space.name]
        if "mu" not in arrays or space.name != "inception":
            return Reference(found.pooled, found.pooled_stats, found.spatial_stats)
        if space.identity["resize"] != "legacy_tensorflow":
            raise ArtifactError(f"{path}: its statistics are of resize legacy_tensorflow; take that, or images alone")
        pooled, spatial = _of_inception(path, arrays)
        return Reference(found.pooled, pooled, spatial or found.spatial_stats)


_COVARIANCES = {"mu": "sigma", "mu_s": "sigma_s"}


def _statistics(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a reference besides its images. ArtifactError where one lacks another that goes with it."""
    needs = {"features": "mu", **_COVARIANCES, **{covariance: mean for mean, covariance in _COVARIANCES.items()}}
    with open_arrays(path, single="arr_0") as arrays:
        for name, needed in needs.items():
            if name in arrays and needed not in arrays:
                raise ArtifactError(f"{path}: has '{name}' but no '{needed}'; save both, or neither")
        return {name: arrays[name] for name in (*needs, "extractor") if name in arrays}


def _of_inception(path: Path, arrays: dict[str, np.ndarray]) -> tuple[Gaussian, Gaussian | None]:
    """The statistics of pooled and of spatial features, where there are some. ArtifactError if of another layer."""
    for name, wanted in (("mu", extractors.INCEPTION_POOLED), ("mu_s", extractors.INCEPTION_SPATIAL)):
        if name in arrays and arrays[name].ndim == 1 and len(arrays[name]) != wanted:
            raise ArtifactError(
                f"{path}: {name} has {len(arrays[name])} dimensions, not {wanted}: of another layer or network than FID"
                " is defined by; make it of the 2015 Inception network's last pooling (pytorch-fid --dims 2048)"
            )
    return _gaussian(path, arrays, "mu"), _gaussian(path, arrays, "mu_s")


def _gaussian(path: Path, arrays: dict[str, np.ndarray], name: str) -> Gaussian | None:
    """A mean and its covariance. ArtifactError where they cannot be that."""
    if name not in arrays:
        return None
    mean, covariance = arrays[name], arrays[_COVARIANCES[name]]
    named = f"{path}: {name} {mean.dtype} {mean.shape} and {_COVARIANCES[name]} {covariance.dtype} {covariance.shape}"
    remedy = "save numpy.mean(features, axis=0) and numpy.cov(features, rowvar=False)"
    are_floats = mean.dtype.kind == covariance.dtype.kind == "f"
    if not are_floats or mean.ndim != 1 or covariance.shape != mean.shape * 2:
        raise ArtifactError(f"{named} are not a mean (D,) and a covariance (D, D); {remedy}")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ArtifactError(f"{named} have NaN or infinite entries; {remedy}")
    if (np.diag(covariance) < 0).any() or not np.allclose(covariance, covariance.T, rtol=1e-3, atol=1e-6):
        raise ArtifactError(f"{named}: the latter is no covariance, which is symmetric and positive; {remedy}")
    return Gaussian(mean, covariance)


def spread_evenly(count: int) -> np.ndarray:
    """The numbers of at most REFERENCE_IMAGES of so many images, rising."""
    return np.unique(np.linspace(0, count - 1, REFERENCE_IMAGES).round().astype(int))


def _chosen(images: Images, kept: np.ndarray) -> Iterator[np.ndarray]:
    """Images by their numbers, which rise, a few at a time; those of a file come as a stream."""
    if isinstance(images, Store):
        yield from (images.read(kept[k : k + 100]) for k in range(0, len(kept), 100))
        return
    start = 0
    for batch in images.batches():
        inside = kept[(kept >= start) & (kept < start + len(batch))]
        yield batch[inside - start]
        start += len(batch)


def check_count(option: str, given: list[Path], wanted: int, of: str) -> None:
    """ConfigError unless an option names one file for each of so many."""
    if len(given) != wanted:
        raise ConfigError(f"{option}: {len(given)} given for {wanted} {of}; name one for each")
