"""Guided sampling of a shard of images, of one run or of several."""

import logging
import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eddpm.config.frozen import samples_identity
from eddpm.config.schema import SampleConfig
from eddpm.config.settings import load_settings
from eddpm.diffusion.guidance import RULES, Guidance, GuideFn, classifier_guidance, log_limit
from eddpm.diffusion.images import to_uint8
from eddpm.diffusion.limits import Fault, Limits, largest_factor
from eddpm.diffusion.noise import ImageNoise, image_labels
from eddpm.diffusion.sampling import Step, sample_ddim, sample_ddpm
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule, respace
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.arrays import memory, read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import sha256
from eddpm.io.log import progress
from eddpm.models.build import build_classifier, build_denoiser, load_weights_file
from eddpm.models.device import device_name, pick_device
from eddpm.models.layers import set_trunk_dtype

logger = logging.getLogger(__name__)

TRACED = ("entropy", "target_probability", "gradient_norm", "log10_scale", "guidance_norm")


def sample_shard(
    settings: list[Path],
    denoiser: Path,
    classifier: Path | None,
    start: int,
    stop: int,
    batch_size: int,
    samples: list[Path],
) -> None:
    """Write images [start, stop) of each run, with their labels, numbers, and the sums of the guidance's trace.

    `settings` and `samples` have one file per run. Finished batches are kept beside `samples` until the last run is
    whole, since a killed job loses all of its outputs: it loses at most one batch.
    """
    if len(settings) != len(samples):
        raise ConfigError(f"{len(settings)} --settings and {len(samples)} --samples; give one of each for every run")
    if not 0 <= start < stop < 2**63 or batch_size < 1:
        raise ConfigError(f"images {start} to {stop} by {batch_size}; give --start < --stop, --batch-size > 0")
    configs = [load_settings(SampleConfig, path) for path in settings]
    for config, path in zip(configs, samples, strict=True):
        if (config.classifier is None) != (classifier is None):
            raise ConfigError(f"{config.name}: settings and --classifier disagree on whether there is one; give both")
        _refuse_large_shard(config, stop - start)
        sampler = GuidedSampler(config, denoiser, classifier)
        identity = samples_identity(config, [sha256(weights) for weights in (denoiser, classifier) if weights])
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


def _unfinished(samples: Path) -> Path:
    """The folder of a shard's finished batches."""
    return samples.with_suffix(".unfinished")


def _sample_run(sampler: "GuidedSampler", identity: str, span: range, batch_size: int, samples: Path) -> None:
    """Write these images of one run; the batches are still there after it."""
    batches, todo = _finished_batches(_unfinished(samples), identity, span)
    name, device = sampler.config.name, device_name(sampler.device)
    logger.info(f"{name}: {len(todo)} of {len(span)} images to sample on {device}")
    sampler.note_scale()
    for batch in _sample(sampler, todo, batch_size):
        write_npz(_unfinished(samples) / f"{batch['index'][0]:08d}.npz", **batch, identity=np.array(identity))
        batches.append(batch)
    sampler.note_cuts()
    batches.sort(key=lambda batch: batch["index"][0])
    _write_shard(samples, batches, sampler.schedule, identity)


def _sample(sampler: "GuidedSampler", todo: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the images `todo`; from a batch that is too large for the GPU's memory on, half as large."""
    with progress(total=len(todo), unit="image") as bar:
        while len(todo):
            index = todo[:batch_size]
            index = index[index - index[0] == np.arange(len(index))]  # up to a gap, so that batches stay in order
            try:
                batch = sampler.sample(index)
            except torch.cuda.OutOfMemoryError:
                batch = None  # below, where the error no longer holds the tensors of the batch
            if batch is None:
                batch_size = _smaller(len(index), sampler)
                continue
            yield batch
            bar.update(len(index))
            todo = todo[len(index) :]


def _smaller(size: int, sampler: "GuidedSampler") -> int:
    """The next size of a batch where `size` images were too many for the GPU's memory."""
    if size == 1:
        raise ConfigError(
            f"{sampler.config.name}: one image is too large for the memory of {device_name(sampler.device)};"
            " take a larger GPU, or half precision"
        )
    torch.cuda.empty_cache()  # the memory of the larger batch may lie in pieces
    logger.info(f"{size} images are too many for the memory of this GPU; goes on with {size // 2} at once")
    return size // 2


class GuidedSampler:
    """The networks of a run, ready to make any of its images."""

    def __init__(self, config: SampleConfig, denoiser: Path | None, classifier: Path | None):
        """Loads the weights; without a file, those of a network that the settings name stay untrained."""
        self.config, self.device = config, pick_device()
        self._cuts: list[np.ndarray] = []  # of each batch: where guidance was cut, (steps, images)
        full = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
        self.schedule = respace(full, config.steps)
        self._denoiser = self._ready(build_denoiser(config.denoiser, frozen=True), denoiser)
        self._classifier = None
        if config.classifier:
            self._classifier = self._ready(build_classifier(config.classifier, frozen=True), classifier)

    def _ready(self, network: torch.nn.Module, weights: Path | None) -> torch.nn.Module:
        if weights:
            load_weights_file(network, weights)
        if self.config.precision != "float32":
            set_trunk_dtype(network, getattr(torch, self.config.precision))
        return network.to(self.device)

    def sample(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Images of these numbers: `images` uint8, `labels`, `index`, and the `trace` sums (steps, quantities, 2)."""
        config = self.config
        labels = image_labels(index, config.num_classes, config.seed if config.labels == "random" else None)
        y = torch.from_numpy(labels).to(self.device)
        shape = (config.denoiser.image_channels, config.denoiser.image_size, config.denoiser.image_size)
        noise = ImageNoise(config.seed, index, shape, self.device)
        trace, limits = Trace(), Limits()

        def on_step(step: Step) -> None:
            trace(step)
            limits(step)

        options = {"guide_fn": self._guide_fn(y), "on_step": on_step}
        if config.sampler == "ddim":
            x0 = sample_ddim(self._denoise_fn(y), self.schedule, noise.draw(), **options)
        else:
            x_T, options["sigma_small"] = noise.draw(), config.diffusion.sigma_small
            options["guide_at_mean"] = config.gradient_at == "mean"
            x0 = sample_ddpm(self._denoise_fn(y), self.schedule, x_T, lambda k: noise.draw(), **options)
        self._refuse_non_finite(limits.fault(), index)
        self._cuts.append(limits.cut())
        return {"images": to_uint8(x0), "labels": labels, "index": index, "trace": trace.sums()}

    def _refuse_non_finite(self, fault: Fault | None, index: np.ndarray) -> None:
        """As bytes, nan would be an ordinary black pixel."""
        if fault:
            raise ArtifactError(
                f"{self.config.name}: image {index[fault.image]} and {fault.images - 1} more are not finite, from step"
                f" {fault.step + 1} of {len(self.schedule)} (t = {self.schedule.timesteps[-1 - fault.step]}) at scale"
                f" {self.config.scale:g} in {self.config.precision}; {self._cause(fault)}"
            )

    def _cause(self, fault: Fault) -> str:
        """The cause in words, and a way out."""
        of_network = fault.part.startswith(("the denoiser", "the classifier"))
        driven = fault.size > largest_factor(getattr(torch, self.config.precision))
        cause = f"it begins with {fault.part}"
        if driven:
            cause += f", of an image that has grown to {fault.size:.1g}"
        if self._is_guided and (driven or not of_network):
            remedy = "lower the scale"
        elif fault.part.startswith("the classifier"):
            remedy = "train the classifier anew, or name other weights of it"
        else:
            remedy = "train the denoiser anew, or name other weights of it"
        half = of_network and self.config.precision == "float16"  # bfloat16 has the range of float32
        return f"{cause}; {remedy}{', or sample in float32' if half else ''}"

    @property
    def _is_guided(self) -> bool:
        """The scale has an effect."""
        return self.config.guidance != "none" and self.config.scale > 0

    def note_scale(self) -> None:
        """Say so where the scale itself is more than the guidance can be multiplied by."""
        most = math.exp(log_limit(torch.float32))
        if self._is_guided and self.config.scale > most:
            logger.info(
                f"{self.config.name}: scale {self.config.scale:g} is more than float32 can use;"
                f" guidance is cut from {most:.1g} on"
            )

    def note_cuts(self) -> None:
        """Say how many images had their guidance cut, since no larger number is possible, and in how many steps."""
        images = sum(cut.any(axis=0).sum() for cut in self._cuts)
        steps = np.any([cut.any(axis=1) for cut in self._cuts], axis=0).sum() if images else 0
        if images:
            logger.info(
                f"{self.config.name}: the guidance of {images} images was cut to the most that float32 can use,"
                f" in {steps} of {len(self.schedule)} steps"
            )

    def _denoise_fn(self, y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        classes = y if self.config.denoiser.num_classes else None
        return lambda x_t, t: self._denoiser(x_t, t, classes)

    def _guide_fn(self, y: Tensor) -> GuideFn | None:
        if self._classifier is None:
            return None
        config, rule = self.config, RULES[self.config.guidance]
        if config.guidance == "entropy":
            timesteps = config.eds_timesteps and tuple(map(int, config.eds_timesteps.split("-")))
            rule = partial(rule, num_classes=config.entropy_classes, timesteps=timesteps)
        return classifier_guidance(self._classifier, y, rule, config.scale)


class Trace:
    """Observes the guidance of each step; leaves the numbers on the device until the end."""

    def __init__(self):
        self._steps: list[Tensor] = []

    def __call__(self, step: Step) -> None:
        if step.guidance:
            g: Guidance = step.guidance
            self._steps.append(
                torch.stack([g.entropy, g.target_probability, g.gradient_norm, g.scale.log10(), g.guidance_norm])
            )

    def sums(self) -> np.ndarray:
        """Sum and sum of squares over the images, float64 (steps, len(TRACED), 2); no steps without guidance."""
        if not self._steps:
            return np.zeros((0, len(TRACED), 2))
        values = torch.stack(self._steps)
        return torch.stack([values.sum(-1), values.square().sum(-1)], dim=-1).cpu().numpy()


def _finished_batches(folder: Path, identity: str, span: range) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The batches that are there, and the numbers of the images that are in none."""
    batches, missing = [], np.ones(len(span), bool)
    for path in sorted(folder.glob("*.npz")):
        try:
            batch = read_npz(path, "identity", "images", "labels", "index", "trace")
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
    extras = {"index": index, "trace": trace, "timesteps": timesteps, "identity": np.array(identity)}
    write_samples(path, Samples(images, labels, extras))
