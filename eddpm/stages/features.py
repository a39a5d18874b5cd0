"""Features of samples, in every feature space of an experiment."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from eddpm.config.schema import MeasureConfig, SpaceConfig
from eddpm.config.settings import load_settings
from eddpm.data.imagesets import Images, open_images
from eddpm.errors import ArtifactError
from eddpm.evaluation.extractors import open_space
from eddpm.evaluation.features import Extractor, FeatureCollector, Features, FeatureSet
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.log import followed
from eddpm.models.device import pick_device
from eddpm.stages import OptionalFiles, check_count


def extract_features(settings: Path, samples: Path, weights: OptionalFiles, features: Path) -> None:
    """Write the features of one shard in every space, as `<space>/pooled` and so on."""
    config = load_settings(MeasureConfig, settings)
    spaces = open_spaces(config.spaces, weights)
    found = features_of(open_images(samples), spaces, keep_spatial=True)
    arrays = {
        f"{space}/{name}": getattr(of_space, name)
        for space, of_space in found.items()
        for name in Features._fields
        if getattr(of_space, name) is not None
    }
    write_npz(features, extractors=np.array(_identities(spaces)), **arrays)


def features_of(
    images: Images, spaces: list[Extractor], keep_spatial: bool, rows: np.ndarray | None = None
) -> dict[str, FeatureSet]:
    """The features of images (of some of them, with `rows`) in every space, by its name, in one pass over them."""
    collectors = {space.name: FeatureCollector(len(images), keep_spatial, rows) for space in spaces}
    for batch in followed(images.batches(), len(images), "image"):
        for space in spaces:
            collectors[space.name].add(space(batch))
    return {name: collector.finish() for name, collector in collectors.items()}


def read_features(paths: list[Path], spaces: list[Extractor], count: int, keep_spatial: bool) -> dict[str, FeatureSet]:
    """The files of `extract_features` of `count` images, joined. ArtifactError if of other networks or images."""
    collectors = {space.name: FeatureCollector(count, keep_spatial) for space in spaces}
    wanted, left = _identities(spaces), count
    for path in paths:
        arrays = read_npz(path, "extractors", *(f"{space}/pooled" for space in collectors))
        if str(arrays["extractors"]) != wanted:
            raise ArtifactError(f"{path}: made by {arrays['extractors']}, not {wanted}; extract them anew")
        _refuse_other_features(path, arrays, spaces)
        left -= len(arrays[f"{spaces[0].name}/pooled"])
        if left < 0:
            break
        for space, collector in collectors.items():
            collector.add(Features(*(arrays.get(f"{space}/{name}") for name in Features._fields)))
    if left:
        raise ArtifactError(f"{paths[0]}: features of {count - left} images for {count} samples; extract them anew")
    return {space: collector.finish() for space, collector in collectors.items()}


def _refuse_other_features(path: Path, arrays: dict[str, np.ndarray], spaces: list[Extractor]) -> None:
    """Raises ArtifactError unless all are finite rows, as many in one array as in another."""
    count = len(np.atleast_1d(arrays[f"{spaces[0].name}/pooled"]))
    for name in (f"{space.name}/{kind}" for space in spaces for kind in Features._fields):
        if (array := arrays.get(name)) is None:
            continue
        is_rows = array.ndim == 2 and len(array) == count and array.dtype.kind == "f"
        if not is_rows or not np.isfinite(array).all():
            raise ArtifactError(
                f"{path}: {name} {array.dtype} {array.shape} are not the finite features of {count} images; extract"
                " them anew"
            )


def _identities(spaces: list[Extractor]) -> str:
    return json.dumps({space.name: space.identity for space in spaces})


def open_spaces(spaces: Iterable[SpaceConfig], weights: list[Path]) -> list[Extractor]:
    """The extractor of each space; `weights` has a file for each of those that need one, in their order."""
    spaces, device = list(spaces), pick_device()
    check_count("--weights", weights, sum(space.has_weights for space in spaces), "feature spaces with weights")
    files = iter(weights)
    return [open_space(space, next(files) if space.has_weights else None, device) for space in spaces]
