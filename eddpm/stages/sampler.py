"""The networks of a run, ready to make any of its images."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eddpm.config.samples import SampleConfig
from eddpm.diffusion.images import to_uint8
from eddpm.diffusion.limits import Fault, Limits, largest_factor
from eddpm.diffusion.noise import ImageNoise, image_integers, image_labels
from eddpm.diffusion.process import predict
from eddpm.diffusion.sampling import Step, clipped, sample_ddim, sample_ddpm, thresholded
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.errors import ArtifactError
from eddpm.guidance.guide import Guidance, GuideFn, classifier_guidance, log_limit, pair_guidance
from eddpm.guidance.rule import Pair, kind_of
from eddpm.guidance.state import State
from eddpm.models.build import build_classifier, build_denoiser, load_weights_file
from eddpm.models.device import pick_device
from eddpm.models.layers import set_trunk_dtype
from eddpm.models.unet import UNet

logger = logging.getLogger(__name__)

COSTS = ("denoiser", "classifier_forward", "classifier_backward")
BOUNDS = {"unbounded": None, "clipped": clipped, "thresholded": thresholded}
TRACED = ("entropy", "target_probability", "gradient_norm", "log10_scale", "guidance_norm")


class GuidedSampler:
    """The networks of a run, ready to make any of its images."""

    def __init__(
        self,
        config: SampleConfig,
        denoiser: Path | None,
        classifier: Path | None = None,
        other_denoiser: Path | None = None,
    ):
        """Loads the weights; without a file, those of a network that the settings name stay untrained."""
        self.config, self.device = config, pick_device()
        self._evaluations: Counter[str] = Counter()  # of networks, for each image
        self._cuts: list[np.ndarray] = []  # of each batch: where guidance was cut, (steps, images)
        full = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
        self.schedule = respace(full, config.steps)
        self._denoiser = self._ready(build_denoiser(config.denoiser, frozen=True), denoiser)
        self._classifier = self._other_denoiser = None
        if config.classifier:
            self._classifier = self._ready(build_classifier(config.classifier, frozen=True), classifier)
        if config.other_denoiser:
            self._other_denoiser = self._ready(build_denoiser(config.other_denoiser, frozen=True), other_denoiser)

    def _ready(self, network: torch.nn.Module, weights: Path | None) -> torch.nn.Module:
        if weights:
            load_weights_file(network, weights)
        if self.config.precision != "float32":
            set_trunk_dtype(network, getattr(torch, self.config.precision))
        network.to(self.device)
        if self.config.compile:
            network.compile()
        return network

    def sample(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Images of these numbers: `images` uint8, `labels`, `index`, the `trace` sums (steps, quantities, 2), and the
        `cost`: evaluations of COSTS for each image; and the `seconds` of the batch."""
        config, started = self.config, time.perf_counter()
        self._evaluations.clear()
        labels = image_labels(index, config.num_classes, config.seed if config.labels == "random" else None)
        y = torch.from_numpy(labels).to(self.device)
        shape = (config.denoiser.image_channels, config.denoiser.image_size, config.denoiser.image_size)
        noise = ImageNoise(config.seed, index, shape, self.device)
        guide_fn = self._guide_fn(y, index)
        trace, limits = Trace(len(y) if guide_fn else 0), Limits()

        def on_step(step: Step) -> None:
            trace(step)
            limits(step)

        options = {"guide_fn": guide_fn, "on_step": on_step}
        if config.sampler == "ddim":
            options["guided_x0"] = BOUNDS[config.guided_x0]
            x0 = sample_ddim(self._denoise_fn(y), self.schedule, noise.draw(), **options)
        else:
            x_T, options["sigma_small"] = noise.draw(), config.diffusion.sigma_small
            options["guide_at_mean"] = config.gradient_at == "mean"
            x0 = sample_ddpm(self._denoise_fn(y), self.schedule, x_T, lambda k: noise.draw(), **options)
        self._refuse_non_finite(limits.fault(), index)
        self._cuts.append(limits.cut())
        images = to_uint8(x0)  # waits for the device
        return {
            "images": images,
            "labels": labels,
            "index": index,
            "trace": trace.sums(),
            "cost": np.array([self._evaluations[name] for name in COSTS]),
            "seconds": np.array(time.perf_counter() - started),
        }

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
        if self.config.is_guided and (driven or not of_network):
            remedy = "lower the scale"
        elif fault.part.startswith("the classifier"):
            remedy = "train the classifier anew, or name other weights of it"
        else:
            remedy = "train the denoiser anew, or name other weights of it"
        half = of_network and self.config.precision == "float16"  # bfloat16 has the range of float32
        return f"{cause}; {remedy}{', or sample in float32' if half else ''}"

    def note_scale(self) -> None:
        """Say so where the scale itself is more than the guidance can be multiplied by."""
        most = math.exp(log_limit(torch.float32))
        if self.config.is_guided and self.config.scale > most:
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
        return lambda x_t, t: self._denoise(self._denoiser, x_t, t, y)

    def _denoise(self, network: UNet, x_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The output of a denoiser, which is told the classes if it knows any."""
        self._evaluations["denoiser"] += 1
        classes = network.config.num_classes
        if classes is None:
            return network(x_t, t, None)
        if y is None:  # the last class of a denoiser that was trained with label dropout
            y = torch.full((len(x_t),), classes - 1, device=x_t.device)
        return network(x_t, t, y)

    def _guide_fn(self, y: Tensor, index: np.ndarray) -> GuideFn | None:
        if kind_of(self.config.guidance) == "pair":
            return pair_guidance(self._other_fn(y, index), self.config.guidance, self.config.scale)
        if self._classifier is None:
            return None
        return classifier_guidance(self._classify, y, self.config.guidance, self.config.scale)

    def _classify(self, x_t: Tensor, t: Tensor) -> Tensor:
        self._evaluations["classifier_forward"] += 1
        self._evaluations["classifier_backward"] += 1  # of the guidance, for each forward pass
        return self._classifier(x_t, t)

    def _other_fn(self, y: Tensor, index: np.ndarray) -> Callable[[Tensor, Tensor, State], Tensor]:
        """The x0 of the second denoiser of a pair."""
        config = self.config
        (rule,) = (each for each in config.guidance if isinstance(each, Pair))
        network = self._other_denoiser or self._denoiser

        def other_fn(x_t: Tensor, t: Tensor, state: State) -> Tensor:
            def draws(below: int) -> Tensor:
                return torch.from_numpy(image_integers(index, below, config.seed, state.k + 1)).to(self.device)

            labels = rule.labels(y, config.num_classes, draws)
            output = self._denoise(network, x_t, t, labels)
            x0 = predict(self.schedule, x_t, len(self.schedule) - 1 - state.k, output).x0
            # Clipped, an infinite output would pass for a picture.
            return torch.where(output[:, : x0.shape[1]].isfinite(), x0, torch.nan)

        return other_fn


class Trace:
    """Observes the guidance of each step; leaves the numbers on the device until the end."""

    def __init__(self, images: int) -> None:
        """`images` of a batch that is guided; 0 of one that is not."""
        self._images, self._steps = images, list[Tensor]()

    def __call__(self, step: Step) -> None:
        if not self._images:
            return
        g: Guidance | None = step.guidance
        unknown = torch.full((self._images,), torch.nan, dtype=torch.float64, device=step.x_t.device)
        if g is None:  # a step that the method leaves unguided
            values = [unknown] * (len(TRACED) - 1) + [torch.zeros_like(unknown)]
        else:
            of_classifier = [unknown if each is None else each for each in (g.entropy, g.target_probability)]
            values = [*of_classifier, g.gradient_norm, g.scale.log10(), g.guidance_norm]
        self._steps.append(torch.stack(values))

    def sums(self) -> np.ndarray:
        """Sum and sum of squares over the images, float64 (steps, len(TRACED), 2); no steps without guidance."""
        if not self._steps:
            return np.zeros((0, len(TRACED), 2))
        values = torch.stack(self._steps)
        return torch.stack([values.sum(-1), values.square().sum(-1)], dim=-1).cpu().numpy()
