"""The ImageNet configurations: what they plan where nothing is there yet, and one in miniature, to its tables."""

import contextlib
import csv
import io
import json
import os
import re
import time
from pathlib import Path

import pytest
import torch
from imagenet import CLASSES, IMAGES, SHRUNK, miniature
from pictures import save_classes
from samples import read_samples
from tiny import REPO
from workspace import Workspace

from eddpm.cli import main
from eddpm.io.files import sha256
from eddpm.models.build import published_shapes

URL = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021"
INCEPTION = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
CHECKPOINTS = {
    128: ["128x128_diffusion.pt", "128x128_classifier.pt"],
    256: ["256x256_diffusion_uncond.pt", "256x256_diffusion.pt", "256x256_classifier.pt"],
    512: ["512x512_diffusion.pt", "512x512_classifier.pt"],
}
REFERENCES = {128: "VIRTUAL_imagenet128_labeled", 256: "VIRTUAL_imagenet256_labeled", 512: "VIRTUAL_imagenet512"}

# A job has 14,400 s, at 256 pixels for 17.5 images times steps per second with guidance, 30 without: 10,080 images of
# 25 steps, 1,008 of 250, 1,728 of 250 without guidance. So many jobs are the 50,000 images of a row:
DDIM, DDPM, UNGUIDED = 5, 50, 29
# At 128 pixels it is 63 and 109, and so 36,288, 3,628 and 6,278; at 512 it is 10 and 17, and so 5,760, 576 and 979.
JOBS_128, JOBS_512 = 8 + 2 + 3 * 14, 52 + 2 * 9 + 2 * 87  # as above: unguided, 25 steps, 250 steps
# Sweeps at 256 pixels: 7 scales of 6 rows of 25 steps, which are a job each; 5 jobs each, 7 scales of 3 rows of 250
# steps and 3 scales of 3 more. Then each of the 12 rows at its best scale.
SWEPT, SWEPT_JOBS, BEST, BEST_JOBS = 6 * 7 + 3 * 7 + 3 * 3, 6 * 7 + 5 * (3 * 7 + 3 * 3), 12, 6 * DDIM + 6 * DDPM
# Rows of the ablations in the order of the config, without what an earlier one has already: 10,000 images are a job in
# up to 25 steps, and 2, 4 and 10 in 50, 100 and 250.
ABLATED, ABLATED_JOBS = 12 + 12 + 10 + 6 + 4 + 2 + 4 * 4, 12 + 12 + 10 + 6 + 4 * 10 + 2 + 4 * (1 + 2 + 4 + 10)


@pytest.fixture
def bare(tmp_path, forks):
    """A folder that has the configurations, and nothing else."""
    workspace = Workspace(tmp_path / "project", programs=forks)
    (workspace.folder / "config").symlink_to(REPO / "config")
    return workspace


@pytest.mark.parametrize(
    ("size", "target", "rows", "jobs", "checkpoints"),
    [
        (128, "all", 5, JOBS_128, 2),
        (256, "all", 16, 6 * DDIM + 2 * UNGUIDED + 8 * DDPM, 3),
        (512, "all", 5, JOBS_512, 2),
        (256, "ablations", SWEPT + BEST + ABLATED, SWEPT_JOBS + BEST_JOBS + ABLATED_JOBS, 3),
    ],
)
def test_every_job_is_planned_and_all_that_is_missing_is_listed(bare, size, target, rows, jobs, checkpoints):
    config = f"config/imagenet{size}/config.yaml"
    done = bare.snakemake("--dry-run", "--quiet", "rules", "--configfile", config, "--", target)
    stats = done.stdout.partition("Job stats:")[2].partition("\n\n")[0]
    counted = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    assert (counted["sample_shard"], counted["measure_samples"]) == (jobs, rows)
    assert counted["fetch_asset"] == checkpoints + 2  # and reference batch and Inception
    assert counted["train_classifier"] == (6 if target == "ablations" else 1)  # ect, and the fine-tuned ones

    reference = f"{URL}/ref_batches/imagenet/{size}/{REFERENCES[size]}.npz"
    sources = [*(f"{URL}/{name}" for name in CHECKPOINTS[size]), reference, INCEPTION]
    listed = [line for line in done.stderr.splitlines() if line.startswith("Not here yet: ")]
    assert "dataset.source: 'resources/imagenet/train'" in listed[0]
    assert "dataset.validation_source: 'resources/imagenet/val'" in listed[1]
    assert "https://image-net.org/download.php" in listed[0]
    assert [line.rpartition(" fetched from ")[2] for line in listed[2:]] == sources


def test_training_without_imagenet_ends_before_any_job_with_what_to_bring(bare):
    target = "results/imagenet256/classifiers/tuned-0.1/model.safetensors"
    done = bare.snakemake("--configfile", "config/imagenet256/config.yaml", "--", target, check=False)
    assert done.returncode == 1
    refusal = done.stderr.partition("files that the project names are missing:")[2]
    assert "dataset.source: 'resources/imagenet/train' does not exist; put your images there" in refusal
    assert "dataset.validation_source: 'resources/imagenet/val' does not exist; put your images there" in refusal
    assert URL not in refusal  # what would be fetched from there
    assert not {"results", "resources"} & {path.name for path in bare.folder.iterdir()}


def rows_of(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def test_tables_of_nothing_have_every_row_as_missing_beside_the_published_numbers(bare, monkeypatch, capsys):
    monkeypatch.chdir(bare.folder)
    assert main(["tables", "--config", "config/imagenet256/config.yaml"]) == 0
    assert capsys.readouterr().out.count("| missing") == 16
    rows = rows_of(bare.folder / "results/imagenet256/tables/unfinished/published.csv")
    assert len({row["run"] for row in rows}) == 16
    assert {row["ours"] for row in rows} == {""}
    names = ("fid", "sfid", "inception_score", "precision", "recall")
    published = [row[name] for row in rows_of(REPO / "config/imagenet256/published.tsv") for name in names]
    shown = [row["published"] for row in rows]
    assert sorted(map(float, filter(None, shown))) == sorted(map(float, filter(None, published)))


# In miniature -----------------------------------------------------------------------------------------------------

RUNS = "results/imagenet256/runs"


def tables(workspace, folder: str = "tables") -> list[str]:
    """The main and the published table as `eddpm tables` writes them, there."""
    with contextlib.chdir(workspace.folder), contextlib.redirect_stdout(io.StringIO()):
        assert main(["tables", "--config", "config.yaml"]) == 0
    return written(workspace, folder)


def written(workspace, folder: str = "tables") -> list[str]:
    results = workspace.folder / "results/imagenet256"
    return [(results / folder / f"{name}.md").read_text() for name in ("main", "published")]


@pytest.fixture(scope="module")
def one_row(tmp_path_factory, forks):
    """The miniature with one row measured, without photographs, and its tables."""
    workspace = miniature(tmp_path_factory.mktemp("imagenet") / "project", forks)
    workspace.snakemake(f"{RUNS}/cadm25-g-eds/metrics.json")
    ablation = workspace.planned("ablation_labels")
    shown = tables(workspace, "tables/unfinished")
    assert workspace.planned("ablation_labels") == ablation  # unfinished tables stand in for none
    return workspace, shown


@pytest.fixture(scope="module")
def complete(one_row):
    """The miniature with a few photographs, and all that follows."""
    workspace, _ = one_row
    for part in ("train", "val"):
        save_classes(workspace.folder / "photographs" / part, {f"n{k:08d}": 2 for k in range(CLASSES)}, size=40)
    workspace.snakemake("all")
    return workspace


def test_a_row_is_measured_without_imagenet_and_its_numbers_stand_beside_the_published_ones(one_row):
    workspace, (main_table, published) = one_row
    metrics = json.loads((workspace.folder / RUNS / "cadm25-g-eds/metrics.json").read_text())["metrics"]
    (row,) = re.findall(r"^\| CADM\(25\)-G\+EDS +\| 1.5 .*$", main_table, re.MULTILINE)
    assert f"{metrics['inception/fid']:.3f}" in row
    assert main_table.count("| missing") == published.count("| missing") == len(IMAGES) - 1
    assert re.search(r"\| difference, ED-DPM, README +\| +\| \+\d", published)


def test_what_is_fetched_without_a_known_sha256_is_recorded_and_what_lies_there_is_used(one_row):
    assets = one_row[0].folder / "resources/assets"
    classifier = assets / "256x256_classifier.pt"
    assert (assets / f"{classifier.name}.sha256").read_text() == f"{sha256(classifier)}  {classifier.name}\n"
    assert (assets / "inception-2015-12-05.pt").is_symlink()
    assert sha256(assets / "256x256_diffusion.pt") in (assets / "256x256_diffusion.pt.sha256").read_text()


@pytest.mark.parametrize("size", [128, 512])
def test_checkpoints_of_the_other_sizes_load_and_sample_through_the_same_rules(tmp_path, forks, size):
    workspace = miniature(tmp_path / "project", forks, size)
    shard = f"results/imagenet{size}/runs/cadm-g-eds-ect/samples/0000.npz"
    workspace.snakemake(shard)
    assert read_samples(workspace.folder / shard).images.shape == (4, size // SHRUNK, size // SHRUNK, 3)
    assert published_layouts(workspace) == {f"{size}x{size}_diffusion", f"{size}x{size}_classifier"}


def test_a_file_that_was_put_there_by_hand_is_refused_once_it_is_another(tmp_path, forks):
    workspace = miniature(tmp_path / "project", forks)
    denoiser = workspace.folder / "resources/assets/256x256_diffusion.pt"
    denoiser.with_name(f"{denoiser.name}.sha256").write_text(f"{'0' * 64}  {denoiser.name}\n")
    os.utime(denoiser, (then := time.time() + 10, then))
    done = workspace.snakemake(f"{RUNS}/cadm-g-eds-ect/settings.yaml", check=False)
    assert done.returncode == 1
    assert f"has SHA-256 {sha256(denoiser)}, not the {'0' * 64} of resources/assets/{denoiser.name}" in done.stderr
    assert not (workspace.folder / RUNS).exists()


def test_all_rows_come_to_the_tables_and_figures(complete):
    results, texts = complete.folder / "results/imagenet256", written(complete)
    assert tables(complete) == texts  # the same by hand
    assert "missing" not in "".join(texts)
    assert [row["run"] for row in rows_of(results / "tables/main.csv")] == ["CADM(25)-G+EDS", "UADM", "CADM-G+EDS+ECT"]
    for row in rows_of(results / "tables/published.csv"):
        assert float(row["difference"]) == float(row["ours"]) - float(row["published"])
    for name in ("samples", "trace", "noise_levels"):
        assert (results / f"figures/{name}.png").stat().st_size > 10_000, name
    for run in ("cadm25-g-eds", "cadm-g-eds-ect"):
        assert all(0 < float(row["entropy"]) < 1 for row in rows_of(results / f"runs/{run}/trace.csv"))


def published_layouts(workspace) -> set[str]:
    """The published checkpoints whose keys those that were used have."""
    found = set()
    for path in (workspace.folder / "resources/assets").glob("[0-9]*x*.pt"):
        published = path.stem.partition("+")[0]  # the authors' classifier has the layout of ADM's
        assert torch.load(path, weights_only=True).keys() == published_shapes(published).keys()
        found.add(published)
    return found


def test_weights_are_of_the_published_layouts_and_no_two_samples_alike(complete):
    assert published_layouts(complete) == {Path(name).stem for name in CHECKPOINTS[256]}
    shards = (complete.folder / RUNS).glob("*/samples/*.npz")
    images = [image.tobytes() for path in shards for image in read_samples(path).images]
    assert len(set(images)) == len(images) == sum(IMAGES.values())
