"""The settings of a project as the workflow freezes them beside each output, and the identity of its samples."""

import hashlib
from collections.abc import Iterable
from typing import Any

import yaml

from eddpm.config.project import Project
from eddpm.config.samples import SampleConfig
from eddpm.config.settings import Settings


def frozen_parts(project: Project) -> dict[str, Settings]:
    """The settings of every stage, by the folder below results/EXPERIMENT/ where they lie as settings.yaml.

    A run at the best scale waits for the sweep: its settings are frozen apart from the scale.
    """
    runs = project.all_runs.items()
    return {
        "dataset": project.dataset,
        "evaluation": project.measure(),
        **{f"denoisers/{name}": project.train_denoiser(name) for name in project.trained["denoisers"]},
        **{f"classifiers/{name}": project.train_classifier(name) for name in project.trained["classifiers"]},
        **{f"runs/{run}": project.sample(run) for run, row in runs if row.scale != "best"},
        **{f"classifiers/{name}/levels": project.measure_classifier(name) for name in project.guiding_classifiers},
        **{f"runs/{run}/choice": project.choice(run) for run, row in runs if row.scale == "best"},
    }


def frozen_text(settings: Settings) -> str:
    """The settings of one stage as text: all that its output depends on."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def samples_identity(config: SampleConfig, digests: Iterable[str]) -> str:
    """The identity of a batch, or a shard: a checksum of its settings and of the SHA-256 of the weights.

    `digests` are those of the denoiser and of the classifier, if there is one.
    """
    return hashlib.sha256("\n".join([config.model_dump_json(), *digests]).encode()).hexdigest()


def difference(old: Any, new: Any, key: str = "") -> str:
    """The first value that differs between two plain values that are not the same: "training.lr 0.1, now 0.2"."""
    if isinstance(old, dict) and isinstance(new, dict):
        first = next(k for k in [*new, *old] if k not in new or k not in old or old[k] != new[k])
        return difference(old.get(first, "absent"), new.get(first, "absent"), f"{key}.{first}".lstrip("."))
    if isinstance(old, list | dict) or isinstance(new, list | dict):
        return f"{key} has changed".lstrip()
    return f"{key} {old}, now {new}"
