"""Entropy-driven sampling and training for classifier-guided diffusion (ED-DPM, ECCV 2022).

The names below are for samplers and trainings of your own. Each is imported when it is first used, so that
`import eddpm` alone loads no torch.
"""

from importlib import import_module

__version__ = "0.1.0"

# module -> what it gives to the library
_LIBRARY = {
    "eddpm.guidance.guide": ("classifier_guidance", "pair_guidance", "Guidance"),
    "eddpm.guidance.rule": ("Rule", "Pair", "Pull"),
    "eddpm.guidance.state": ("State",),
    "eddpm.guidance.logits": ("Answer", "log_entropy"),
    "eddpm.guidance.rules.none": ("Unguided",),
    "eddpm.guidance.rules.constant": ("Constant",),
    "eddpm.guidance.rules.entropy": ("Entropy",),
    "eddpm.diffusion.sampling": ("sample_ddpm", "sample_ddim", "clipped", "thresholded"),
    "eddpm.diffusion.schedule": ("NoiseSchedule", "make_schedule", "respace"),
    "eddpm.diffusion.noise": ("ImageNoise", "image_labels"),
    "eddpm.diffusion.images": ("to_float", "to_uint8"),
    "eddpm.training.classification": ("entropy_constraint",),
    "eddpm.models.trained": ("load",),
    "eddpm.errors": ("EddpmError",),
}
_MODULE_OF = {name: module for module, names in _LIBRARY.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'eddpm' has no attribute '{name}'")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
