"""Guided sampling of a shard of images, of one run or of several."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from eddpm.config.frozen import samples_identity
from eddpm.config.samples import SampleConfig
from eddpm.config.settings import load_settings
from eddpm.diffusion.schedule import NoiseSchedule
from eddpm.errors import ArtifactError, ConfigError, EddpmError
from eddpm.io.arrays import memory, read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import sha256, write_text
from eddpm.io.log import progress
from eddpm.models.device import device_name, note_precision
from eddpm.stages.sampler import GuidedSampler

logger = logging.getLogger(__name__)


def sample_shard(
    settings: list[Path],
    denoiser: Path,
    classifier: Path | None,
    start: int,
    stop: int,
    batch_size: int,
    samples: list[Path],
    other_denoiser: Annotated[Path | None, "of guidance by a pair of denoisers"] = None,
) -> None:
    """Write images [start, stop) of each run, with their labels, numbers, cost, and the sums of the guidance's trace.

    `settings` and `samples` have one file per run. Finished batches are kept beside `samples` until the last run is
    whole, since a killed job loses all of its outputs: it loses at most one batch.
    """
    if len(settings) != len(samples):
        raise ConfigError(f"{len(settings)} --settings and {len(samples)} --samples; give one of each for every run")
    if not 0 <= start < stop < 2**63 or batch_size < 1:
        raise ConfigError(f"images {start} to {stop} by {batch_size}; give --start < --stop, --batch-size > 0")
    configs = [load_settings(SampleConfig, path) for path in settings]
    for config, path in zip(configs, samples, strict=True):
        for option, network, weights in (
            ("--classifier", config.classifier, classifier),
            ("--other-denoiser", config.other_denoiser, other_denoiser),
        ):
            if (network is None) != (weights is None):
                raise ConfigError(f"{config.name}: settings and {option} disagree on whether there is one; give both")
        _refuse_large_shard(config, stop - start)
        files = [file for file in (denoiser, classifier, other_denoiser) if file]
        sampler = GuidedSampler(config, denoiser, classifier, other_denoiser)
        identity = samples_identity(config, [sha256(weights) for weights in files])
        _sample_run(sampler, identity, range(start, stop), batch_size, path)
    for path in samples:
        shutil.rmtree(_unfinished(path), ignore_errors=True)


def _refuse_large_shard(config: SampleConfig, count: int) -> None:
    """A shard is written at once: its images, and three numbers of 8 bytes for each, lie in the memory."""
    if count * (config.denoiser.image_size**2 * config.denoiser.image_channels + 24) > memory():
        raise ConfigError(
            f"{config.name}: {count:,} images are more than the memory of this machine holds; sample them in several"
            " shards"
        )


def seconds_file(samples: Path) -> Path:
    """Beside a shard, the seconds that it took: not within, since its bytes are the same each time it is made."""
    return samples.with_suffix(".seconds")


def _unfinished(samples: Path) -> Path:
    """The folder of a shard's finished batches."""
    return samples.with_suffix(".unfinished")


def _sample_run(sampler: GuidedSampler, identity: str, span: range, batch_size: int, samples: Path) -> None:
    """Write these images of one run; the batches are still there after it."""
    batches, todo = _finished_batches(_unfinished(samples), identity, span)
    name, device = sampler.config.name, device_name(sampler.device)
    logger.info(f"{name}: {len(todo)} of {len(span)} images to sample on {device}")
    note_precision(sampler.device, sampler.config.precision)
    sampler.note_scale()
    for batch in _sample(sampler, todo, batch_size):
        write_npz(_unfinished(samples) / f"{batch['index'][0]:08d}.npz", **batch, identity=np.array(identity))
        batches.append(batch)
    sampler.note_cuts()
    batches.sort(key=lambda batch: batch["index"][0])
    _write_shard(samples, batches, sampler.schedule, identity)


def _sample(sampler: GuidedSampler, todo: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the images `todo`; from a batch that is too large for the GPU's memory on, half as large."""
    with progress(total=len(todo), unit="image") as bar:
        while len(todo):
            index = todo[:batch_size]
            index = index[index - index[0] == np.arange(len(index))]  # up to a gap, so that batches stay in order
            try:
                batch = sampler.sample(index)
            except torch.cuda.OutOfMemoryError:
                batch = None  # below, where the error no longer holds the tensors of the batch
            except RuntimeError as error:
                if not sampler.config.compile or not isinstance(error, torch._dynamo.exc.BackendCompilerFailed):
                    raise
                reason = " ".join(str(error).partition("\n\n")[0].split())  # advice for programmers follows
                raise EddpmError(
                    f"{sampler.config.name}: sampling.compile: {reason}; install a C++ compiler, or leave it out"
                ) from None
            if batch is None:
                batch_size = _smaller(len(index), sampler)
                continue
            yield batch
            bar.update(len(index))
            todo = todo[len(index) :]


def _smaller(size: int, sampler: GuidedSampler) -> int:
    """The next size of a batch where `size` images were too many for the GPU's memory."""
    if size == 1:
        raise ConfigError(
            f"{sampler.config.name}: one image is too large for the memory of {device_name(sampler.device)};"
            " take a larger GPU, or half precision"
        )
    torch.cuda.empty_cache()  # the memory of the larger batch may lie in pieces
    logger.info(f"{size} images are too many for the memory of this GPU; goes on with {size // 2} at once")
    return size // 2


def _finished_batches(folder: Path, identity: str, span: range) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The batches that are there, and the numbers of the images that are in none."""
    batches, missing = [], np.ones(len(span), bool)
    for path in sorted(folder.glob("*.npz")):
        try:
            batch = read_npz(path, "identity", "images", "labels", "index", "trace", "cost", "seconds")
        except ArtifactError:
            logger.info(f"{path}: is damaged; its images are sampled again")
            path.unlink(missing_ok=True)
            continue
        places = batch["index"] - span.start
        is_within = ((places >= 0) & (places < len(span))).all()
        if str(batch["identity"]) == identity and is_within and missing[places].all():
            missing[places] = False
            batches.append(batch)
        else:
            path.unlink()  # of other settings: this output is being replaced; or of a job that was given up
    return batches, span.start + np.flatnonzero(missing)


def _write_shard(path: Path, batches: list[dict[str, np.ndarray]], schedule: NoiseSchedule, identity: str) -> None:
    images, labels, index = (np.concatenate([b[key] for b in batches]) for key in ("images", "labels", "index"))
    assert (np.diff(index) == 1).all(), f"{path}: images are missing, or there twice"
    trace = np.sum([batch["trace"] for batch in batches], axis=0)
    timesteps = schedule.timesteps.flip(0).numpy()
    extras = {"index": index, "trace": trace, "timesteps": timesteps}
    extras |= {"cost": batches[0]["cost"], "identity": np.array(identity)}
    write_text(seconds_file(path), f"{sum(batch['seconds'].item() for batch in batches):.3f}\n")
    write_samples(path, Samples(images, labels, extras))
