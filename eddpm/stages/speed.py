"""How fast the device at hand samples a run: the figures behind the time and the size of shards."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from eddpm.config.assets import weights_file
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.resources import PUBLISHED
from eddpm.config.samples import SampleConfig
from eddpm.config.settings import read_yaml
from eddpm.diffusion.respacing import kept_timesteps
from eddpm.errors import ConfigError
from eddpm.guidance.rules.none import Unguided
from eddpm.models.device import device_name
from eddpm.stages import ProjectFile
from eddpm.stages.sampler import GuidedSampler

STEPS = 5  # that are timed; each further one takes as long


def measure_speed(config: ProjectFile, run: Annotated[str, "the folder of a guided run, such as uadm25-g"]) -> None:
    """Time a batch of a guided run, with its guidance and without, and print the lines for the project's config.

    Takes the networks of the run where they are trained, else untrained ones of the same shapes: as fast.
    """
    project = _load(config)
    row = project.all_runs.get(run)
    if row is None or not row.classifier:
        guided = [name for name, other in project.table_runs.items() if other.classifier]
        raise ConfigError(f"--run {run}: not a guided run of {config}; name one of: {', '.join(guided) or '(none)'}")
    index = np.arange(min(project.sampling.batch_size, row.num_images))
    steps = min(STEPS, len(kept_timesteps(project.diffusion.diffusion_steps, row.steps)))
    # Guidance of scale 0 takes as long as any other. The short chain does in each step all that a job does.
    settings = project.sample(run).model_copy(update={"scale": 0.0, "steps": str(steps)})
    unguided = settings.model_copy(update={"classifier": None, "guidance": (Unguided(),)})
    denoiser = _trained(project, "denoisers", row.denoiser)
    classifier = _trained(project, "classifiers", row.classifier)
    with_it, device = timed_speed(settings, denoiser, classifier, index)
    without, _ = timed_speed(unguided, denoiser, None, index)
    untrained = "untrained networks of the same shapes, which are as fast"
    networks = "its networks" if denoiser and classifier else untrained
    print(f"# {row.run} on {device}: {settings.precision}, {len(index)} images at once, {networks}.")
    print("# To go below sampling in the config:")
    print(f"speed: {{guided: {_three_digits(with_it)}, unguided: {_three_digits(without)}}}")


def timed_speed(
    run: SampleConfig, denoiser: Path | None, classifier: Path | None, index: np.ndarray
) -> tuple[float, str]:
    """Images times denoising steps per second of sampling a batch, the second time, and the name of the device."""
    sampler = GuidedSampler(run, denoiser, classifier)
    try:
        sampler.sample(index)  # to warm up
        start = time.perf_counter()
        sampler.sample(index)  # ends with the images on the CPU
        seconds = time.perf_counter() - start
    except torch.cuda.OutOfMemoryError:
        raise ConfigError(f"sampling.batch_size: {len(index)} images at once are too many here; take fewer") from None
    return len(index) * len(sampler.schedule.timesteps) / seconds, device_name(sampler.device)


def _trained(project: Project, kind: str, name: str) -> Path | None:
    path = Path(weights_file(project, kind, name))
    return path if path.exists() else None


def _load(config: Path) -> Project:
    values = read_yaml(config)
    if isinstance(values.get("sampling"), dict):
        # Shards given in minutes need the speed that is about to be measured.
        values["sampling"] = {"speed": PUBLISHED.model_dump()} | values["sampling"]
    return load_project(values, str(config))


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
