"""The digits' networks with random weights, and a guided run of them: what other scripts here time and weigh."""

from pathlib import Path

import torch

from eddpm.config.frozen import frozen_text
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.settings import Settings, read_yaml
from eddpm.io.files import write_text
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.models.trained import save_trained
from eddpm.stages.sample import sample_shard

REPO = Path(__file__).parents[1]
RUN = "uadm25-g-eds"


def open_project(path: Path) -> Project:
    """A project of this repository, whichever folder this is run in."""
    values = read_yaml(path)
    return load_project(values | {"runs": str(REPO / values["runs"])}, str(path))


class Digits:
    """The project, and a folder with the weights."""

    def __init__(self, folder: Path):
        self.folder, self.project = folder, open_project(REPO / "config/digits/config.yaml")
        self.denoiser, self.classifier = folder / "denoiser.safetensors", folder / "classifier.safetensors"
        torch.manual_seed(0)
        for path, build, config in (
            (self.denoiser, build_denoiser, self.project.train_denoiser("uadm")),
            (self.classifier, build_classifier, self.project.train_classifier("clean")),
        ):
            if not path.exists():
                save_trained(path, build(config.network).state_dict(), config)

    def settings(self, name: str, settings: Settings) -> Path:
        """The file of these settings, as the workflow writes them."""
        write_text(self.folder / f"{name}.yaml", frozen_text(settings))
        return self.folder / f"{name}.yaml"

    def sample(self, samples: Path, images: int, batch_size: int, steps: int) -> Path:
        """Make a shard of the guided run by ddim`steps`, of which batches may be there; the settings of the run."""
        run = self.project.sample(RUN).model_copy(update={"steps": f"ddim{steps}"})
        settings = self.settings("run", run)
        sample_shard([settings], self.denoiser, self.classifier, 0, images, batch_size, [samples])
        return settings
