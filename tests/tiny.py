"""A project small enough for tests: the digits config with networks that train in a second."""

from pathlib import Path

import yaml

from eddpm.config.frozen import frozen_text
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project

REPO = Path(__file__).parents[1]


def tiny_values() -> dict:
    """The contents of a config file; the caller may change them."""
    values = yaml.safe_load((REPO / "config/digits/config.yaml").read_text())
    values["runs"] = str(REPO / "config/digits/runs.tsv")
    for entry in (*values["denoisers"].values(), *values["classifiers"].values()):
        entry["network"].update(attention_resolutions=[], channel_mult=[1], num_head_channels=32)
        entry["training"].update(iterations=3, batch_size=8, save_interval=2)
    values["dataset"].update(validation_fraction=0.05)
    values["sampling"].update(shard_size=8, batch_size=3)
    values["sweep"].update(scales=[1, 4], num_images=8, best={"minimise": "pixels/fid", "at_least": {"accuracy": 0.9}})
    values["ablations"] = {}
    for name in ("ect-0.05", "ect-0.2", "ect-0.5"):  # of ablations
        del values["classifiers"][name]
    return values


def tiny_project(**changes) -> Project:
    return load_project(tiny_values() | changes, "tiny")


def write_settings(path: Path, settings) -> Path:
    """Write a stage's settings as the workflow does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(frozen_text(settings))
    return path
