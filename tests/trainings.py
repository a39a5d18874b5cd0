"""Trainings of the tiny project by the stages."""

import json

import torch
from tiny import write_settings

from eddpm.io.files import load_checkpoint


def changed(config, network=None, **training):
    """The same settings with other values."""
    return config.model_copy(
        update={
            "training": config.training.model_copy(update=training),
            "network": config.network.model_copy(update=network or {}),
        }
    )


def arguments(tiny, folder, name, config=None, **options):
    """The verb and the options that train a network of the tiny project into a folder of its own."""
    kind = "denoiser" if name in tiny.project.denoisers else "classifier"
    settings = write_settings(folder / "settings.yaml", config or getattr(tiny.project, f"train_{kind}")(name))
    paths = {"model": folder / "model.safetensors", "log": folder / "log.jsonl"}
    return f"train_{kind}", {"settings": settings, "dataset": tiny.dataset, **paths, **options}


def result(options):
    """Weights and log that a training has left."""
    log = [json.loads(line) for line in options["log"].read_text().splitlines()]
    return load_checkpoint(options["model"]), log


def equal(weights, others):
    return all(torch.equal(value, others[name]) for name, value in weights.items())
