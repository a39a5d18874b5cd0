"""The ImageNet configurations in miniature: with narrow networks, and stand-ins for published files."""

from pathlib import Path

import numpy as np
import torch
import yaml
from inception_standin import write_inception
from pictures import random_picture
from tiny import REPO
from torch import nn
from workspace import Workspace

from eddpm.config.assets import asset_file
from eddpm.config.projectfile import load_project
from eddpm.io.arrays import write_npz
from eddpm.io.files import sha256
from eddpm.models.build import build_classifier, build_denoiser

CLASSES = 4
SHRUNK = 8  # times
STEPS = {"250": "2", "ddim25": "ddim2"}
IMAGES = {"UADM": 8, "CADM(25)-G+EDS": 4, "CADM-G+EDS+ECT": 4}  # by row of the table; in shards of 4
STATISTICS = {"mu": 2048, "mu_s": 7 * 17 * 17}  # of a reference batch of ADM's, with their dimensions


def miniature(folder: Path, programs: Path, size: int = 256) -> Workspace:
    """The configuration of `size` at an eighth of its pixels, and narrower yet: four classes, two steps, three rows.

    The published files are random, and there in each way that a user has: denoisers and reference batch put where a
    download would put them, the other files below `published`, named by path, and ADM's classifier by a URL, without a
    known SHA-256. There are no photographs yet.
    """
    published = folder / "published"
    workspace = Workspace(folder, programs=programs, **_values(published, REPO / f"config/imagenet{size}"))
    _write_checkpoints(workspace)
    images = np.stack([random_picture(size // SHRUNK, size // SHRUNK, seed=seed) for seed in range(8)])
    means = {name: np.zeros(size) for name, size in STATISTICS.items()}
    covariances = {name.replace("mu", "sigma"): np.eye(size) for name, size in STATISTICS.items()}
    write_npz(folder / asset_file(workspace.values["evaluation"]["reference"]), arr_0=images, **means, **covariances)
    return workspace


def _values(published: Path, config: Path) -> dict:
    values = yaml.safe_load((config / "config.yaml").read_text())
    size = values["dataset"]["image_size"]
    networks = {**values["denoisers"], **values["classifiers"]}
    for entry in networks.values():
        network = entry["network"]
        width = "num_channels" if "num_channels" in network else "classifier_width"
        # Attention at the depths of the large networks, so that the keys are theirs. Widths are multiples of 32.
        network.update({width: 32 if min(network["channel_mult"]) >= 1 else 64, "attention_resolutions": [4, 2, 1]})
        if "num_head_channels" in network:
            network["num_head_channels"] = 32
    networks["ce"]["checkpoint"]["source"] = (published / f"{size}x{size}_classifier.pt").as_uri()
    del networks["ect"]["training"]  # for the authors' own, as the configuration proposes
    networks["ect"]["checkpoint"] = {"source": f"published/{size}x{size}_classifier+0.1 ECT.pt"}
    inception = write_inception(published)
    values["evaluation"]["inception"] = {"source": f"published/{inception.name}", "sha256": sha256(inception)}
    photographs = {"source": "photographs/train", "validation_source": "photographs/val"}
    return values | {
        "runs": _runs(config / "runs.tsv"),
        "published": str(config / "published.tsv"),
        "dataset": values["dataset"] | photographs | {"image_size": size // SHRUNK, "num_classes": CLASSES},
        "sampling": {"shard_size": 4, "batch_size": 4, "precision": "float32"},
        "sweep": values["sweep"] | {"num_images": 4},
        "ablations": {"labels": {"rows": ["CADM-G+EDS+ECT"], "vary": {"labels": ["balanced", "random"]}}},
    }


def _runs(table: Path) -> str:
    header, *lines = table.read_text().splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    rows = [row for row in rows if row["run"] in IMAGES]
    for row in rows:
        row.update(steps=STEPS[row["steps"]], num_images=str(IMAGES[row["run"]]))
    return "\n".join([header, *("\t".join(row.values()) for row in rows)]) + "\n"


def _write_checkpoints(workspace: Workspace) -> None:
    """Random weights for each published network, none of them zero, as a plain state dict."""
    torch.manual_seed(0)
    project = load_project(workspace.values | {"runs": str(workspace.folder / "runs.tsv")}, "the miniature")
    networks = {name: build_denoiser(project.unet(name)) for name in project.denoisers}
    networks |= {name: build_classifier(project.encoder(name)) for name in ("ce", "ect")}
    for name, network in networks.items():
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1)
        source = (project.denoisers | project.classifiers)[name].checkpoint.source
        file = asset_file(source) if source.startswith("https") else f"published/{Path(source).name}"
        (workspace.folder / file).parent.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), workspace.folder / file)
