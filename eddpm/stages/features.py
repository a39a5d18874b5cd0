"""Features of samples and of references, in every feature space of an experiment."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eddpm.artifacts import ImageFile, load_checkpoint, read_npz, sha256, write_npz, write_sample_batch
from eddpm.config import EncoderConfig, MeasureConfig, SpaceConfig
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation import extractors
from eddpm.evaluation.features import Extractor, FeatureCollector, Features, FeatureSet
from eddpm.evaluation.frechet import Gaussian
from eddpm.evaluation.metrics import Reference
from eddpm.models.build import build_classifier, load_weights
from eddpm.models.encoder import EncoderFeatures
from eddpm.runtime import pick_device, progress, say
from eddpm.settings import load_settings

REFERENCE_IMAGES = 10_000  # kept for precision and recall, as in ADM's reference batches


def extract_references(settings: Path, dataset: Path, weights: list[Path], references: list[Path]) -> None:
    """Write one reference per space, in the order of the settings, with the keys of ADM's reference batches.

    `dataset` is a prepared data set, of which the training images count, or a reference batch of ADM's; `weights`
    belong to the spaces that have some. The statistics (mu, sigma, mu_s, sigma_s) are of all images, `features` of
    those in `arr_0`: 10 000, spread evenly. No others are held in memory.
    """
    config = load_settings(MeasureConfig, settings)
    check_count("--references", references, len(config.spaces))
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
        say(f"{space.name}: {len(images)} images, {reference.pooled.shape[1]} dimensions -> {path}")


def extract_features(settings: Path, samples: Path, weights: list[Path], features: Path) -> None:
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


def open_images(path: Path) -> ImageFile | Store:
    """Images to be read a few at a time: a sample batch, or the training images of a prepared data set."""
    return Store(path, "train") if path.suffix == ".json" else ImageFile(path)


def collect(
    samples: list[Path], spaces: list[Extractor], keep_spatial: bool, rows: np.ndarray | None = None
) -> dict[str, FeatureSet]:
    """The features of shards (of some of their images, with `rows`) in every space, by its name, in one pass."""
    shards = [open_images(path) for path in samples]
    for path, shard in zip(samples, shards, strict=True):
        if shard.shape != shards[0].shape:
            raise ArtifactError(
                f"{path}: images are {shard.shape}, those of {samples[0]} {shards[0].shape}; measure them apart"
            )
    count = sum(map(len, shards))
    collectors = {space.name: FeatureCollector(count, keep_spatial, rows) for space in spaces}
    batches = (images for shard in shards for images in shard.batches())
    for images in progress(batches, unit="batch"):
        for space in spaces:
            collectors[space.name].add(space(images))
    return {name: collector.finish() for name, collector in collectors.items()}


def read_features(paths: list[Path], spaces: list[Extractor], count: int, keep_spatial: bool) -> dict[str, FeatureSet]:
    """What `extract_features` wrote of the shards of `count` images, joined. ArtifactError if of other networks."""
    collectors = {space.name: FeatureCollector(count, keep_spatial) for space in spaces}
    wanted = json.dumps({space.name: space.identity for space in spaces})
    for path in paths:
        arrays = read_npz(path, "extractors")
        if str(arrays["extractors"]) != wanted:
            raise ArtifactError(f"{path}: made by {arrays['extractors']}, not {wanted}; extract them anew")
        for space, collector in collectors.items():
            collector.add(Features(*(arrays.get(f"{space}/{name}") for name in Features._fields)))
    return {space: collector.finish() for space, collector in collectors.items()}


def open_spaces(spaces: Iterable[SpaceConfig], weights: list[Path]) -> list[Extractor]:
    """The extractor of each space; `weights` has a file for each of those that need one, in their order."""
    spaces, device = list(spaces), pick_device()
    check_count("--weights", weights, sum(space.has_weights for space in spaces))
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
    """What samples are compared with in a space: a reference as written here, a reference batch of ADM's, or images.

    ADM's batches bring the statistics of a whole data set as Inception sees it; for other spaces their images count.
    With `rows`, numbers of images, only the features of these are kept, while the statistics are of all. ArtifactError
    where the statistics are of another network than the space's.
    """
    arrays = {} if path.suffix == ".json" else read_npz(path, skip=("arr_0",))
    for key, needed in (("features", "mu"), ("mu", "sigma"), ("mu_s", "sigma_s")):
        if key in arrays and needed not in arrays:
            raise ArtifactError(f"{path}: has '{key}' but no '{needed}'; make it anew")
    if "features" in arrays:
        made_by = str(arrays.get("extractor", "an unknown network"))
        if made_by != json.dumps(space.identity):
            raise ArtifactError(f"{path}: made by {made_by}, not {space.name} {space.identity}; extract it anew")
        return Reference(arrays["features"] if rows is None else arrays["features"][rows], *_stats(arrays))
    found = collect([path], [space], keep_spatial=False, rows=rows)[space.name]
    if "mu" not in arrays or space.name != "inception":
        return Reference(found.pooled, found.pooled_stats, found.spatial_stats)
    if space.identity["resize"] != "legacy_tensorflow":
        raise ArtifactError(f"{path}: its statistics are of resize legacy_tensorflow; take that, or images alone")
    return Reference(found.pooled, *_stats(arrays))


def _stats(arrays: dict[str, np.ndarray]) -> tuple[Gaussian, Gaussian | None]:
    spatial = Gaussian(arrays["mu_s"], arrays["sigma_s"]) if "mu_s" in arrays else None
    return Gaussian(arrays["mu"], arrays["sigma"]), spatial


def spread_evenly(count: int) -> np.ndarray:
    """The numbers of at most REFERENCE_IMAGES of so many images, rising."""
    return np.unique(np.linspace(0, count - 1, REFERENCE_IMAGES).round().astype(int))


def _chosen(images: ImageFile | Store, kept: np.ndarray) -> Iterator[np.ndarray]:
    """Images by their numbers, which rise, a few at a time; those of a file come as a stream."""
    if isinstance(images, Store):
        yield from (images.read(kept[k : k + 100]) for k in range(0, len(kept), 100))
        return
    start = 0
    for batch in images.batches():
        inside = kept[(kept >= start) & (kept < start + len(batch))]
        yield batch[inside - start]
        start += len(batch)


def check_count(option: str, given: list[Path], wanted: int) -> None:
    """ConfigError unless an option names as many files as there are spaces which want one."""
    if len(given) != wanted:
        raise ConfigError(f"{option}: {len(given)} given, the settings have {wanted} such spaces; name one for each")
