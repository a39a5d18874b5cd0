"""The pipeline for real, with tiny networks: what it leaves, and that kill -9 in the middle changes nothing."""

import json
import os
import signal
import subprocess
import time
import zipfile

import pandas as pd
import pytest
from samples import read_samples
from tiny import tiny_project
from workspace import RUNS, Workspace

from eddpm.config.outputs import FIGURES, tables_of


def test_all_makes_tables_and_figures(finished):
    results = finished.folder / "results/digits"
    main = pd.read_csv(results / "tables/main.csv")
    assert main["run"].tolist() == ["UADM(5)", "UADM(5)-G", "CADM(5)-G+EDS+ECT"]
    assert main.drop(columns=["run", "method"]).notna().all().all()
    assert {"accuracy", "pixels/fid", "classifier:clean/sfid", "classifier:clean/inception_score"} <= set(main.columns)
    best = pd.read_csv(results / "tables/best_scale.csv")
    assert set(best["scale"]) <= {1, 4}
    matched = pd.read_csv(results / "tables/matched.csv")
    assert matched["run"].tolist() == ["UADM(5)-G", "CADM(5)-G+EDS+ECT"] * 3
    assert (matched["fault"].notna() | matched["pixels/fid_se"].notna()).all()
    for name in ("samples", "trace", "fronts", "scales"):
        assert (results / f"figures/{name}.png").stat().st_size > 5000
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")


def test_every_file_follows_the_umask(finished, tmp_path):
    (like := tmp_path / "like").touch()
    files = [path for name in ("resources", "results", "logs") for path in (finished.folder / name).rglob("*")]
    modes = {path: path.stat().st_mode for path in files if path.is_file() and not path.is_symlink()}
    assert {".safetensors", ".npz", ".json", ".csv", ".png", ".yaml", ".log"} <= {path.suffix for path in modes}
    assert [path for path, mode in modes.items() if mode != like.stat().st_mode] == []


def test_metrics_say_where_they_come_from(finished):
    metrics = finished.metrics("uadm5-g")
    assert metrics["num_images"] == 8
    assert finished.metrics("uadm5")["num_images"] == 16
    assert metrics["run"]["name"] == "UADM(5)-G"
    assert len(metrics["provenance"]["commit"]) >= 7
    assert len(metrics["features"]["classifier:clean"]["extractor"]["weights"]) == 64
    assert metrics["standard_errors"].keys() == metrics["metrics"].keys()


def test_best_run_uses_other_images_than_its_choice(finished):
    best = finished.metrics("uadm5-g-at-best")["run"]
    sweep = finished.metrics(f"uadm5-g-at-{best['scale']:g}")["run"]
    assert best["seed"] != sweep["seed"]


def test_threads_of_a_rule_are_the_threads_of_its_process(finished):
    log = (finished.folder / "logs/digits/train_denoiser/uadm.log").read_text()
    assert "on cpu, 1 threads" in log


def test_the_report_shows_every_table_figure_and_settings_and_makes_nothing_anew(finished):
    finished.snakemake("--report", "report.html")
    page = (finished.folder / "report.html").read_text()
    shown, _ = json.JSONDecoder().raw_decode(page, page.index('var results = {"') + len("var results = "))
    results = finished.folder / "results/digits"
    made = {*results.glob("tables/*.html"), *results.glob("figures/*.png"), *results.rglob("settings.yaml")}
    made -= set(results.glob("runs/*-at-best/settings.yaml"))  # chosen, not given
    assert len(made) > 3 + 6
    assert set(shown) == {str(path.relative_to(finished.folder)) for path in made}
    assert all(result["data_uri"].startswith("data:") for result in shown.values())
    assert tables_of(tiny_project())["sweep"].caption in shown["results/digits/tables/sweep.html"]["caption"]
    assert FIGURES["trace"].caption.partition("'")[0] in shown["results/digits/figures/trace.png"]["caption"]
    assert "noise_schedule: cosine" in shown["results/digits/denoisers/uadm/settings.yaml"]["caption"]
    finished.snakemake("--report", "report.zip")
    with zipfile.ZipFile(finished.folder / "report.zip") as archive:
        assert "report/report.html" in archive.namelist()
    assert "Nothing to be done" in finished.snakemake("all").stderr


TARGET = "results/digits/runs/uadm5-g/metrics.json"
SHARD = "results/digits/runs/uadm5-g/samples/0000.npz"
TRAINED = ("--rerun-triggers", "mtime", "--")  # the copied networks are taken as they are


def with_networks_of(finished, folder, programs=None):
    """A workspace with the networks of the finished one, where a run of more images waits to be sampled."""
    runs = RUNS.replace("constant\t4\t0\t8", "constant\t4\t0\t96")
    workspace = Workspace(folder, runs, programs, sampling={"shard_size": 96, "batch_size": 1})
    for part in ("resources", "results/digits/denoisers", "results/digits/classifiers", "results/digits/dataset"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-rp", finished.folder / part, folder / part], check=True)
    return workspace


@pytest.fixture(scope="module")
def uninterrupted(finished, forks, tmp_path_factory):
    workspace = with_networks_of(finished, tmp_path_factory.mktemp("uninterrupted") / "project", forks)
    workspace.snakemake(*TRAINED, TARGET)
    return workspace


@pytest.mark.parametrize("victim", ["the sampling process", "snakemake", "everything"])
def test_killed_sampling_resumes_with_the_same_command(finished, uninterrupted, tmp_path, victim):
    """kill -9 once some batches lie on disk, then the same command again; at first, a second driver is refused.

    Sampling that snakemake has left behind is ended by the next one.
    """
    killed = with_networks_of(finished, tmp_path / "project")
    driver = subprocess.Popen(
        killed.command(*TRAINED, TARGET),
        cwd=killed.folder,
        env=killed.environment,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    unfinished = killed.folder / "results/digits/runs/uadm5-g/samples/0000.unfinished"
    deadline = time.monotonic() + 120
    while len(list(unfinished.glob("*.npz"))) < 3:
        assert time.monotonic() < deadline, "sampling never began"
        assert driver.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    if victim == "everything":
        refused = killed.snakemake(*TRAINED, TARGET, check=False)
        assert refused.returncode != 0
        assert "another snakemake is at work here" in refused.stdout + refused.stderr
        os.killpg(driver.pid, signal.SIGKILL)
    elif victim == "snakemake":
        driver.kill()
    else:
        subprocess.run(["pkill", "-9", "-s", str(driver.pid), "-f", "^python -m eddpm sample-shard"], check=True)
    driver.wait()
    if victim == "the sampling process":
        assert "eddpm sampling: killed, by hand or for want of memory" in killed.eddpm("status")
    finished_batches = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*.npz")}
    assert 3 <= len(finished_batches) < 96
    assert not (killed.folder / TARGET).exists()

    again = killed.snakemake(*TRAINED, TARGET)
    assert ("Ending processes of a former snakemake here: " in again.stderr) == (victim == "snakemake")
    assert (killed.folder / SHARD).read_bytes() == (uninterrupted.folder / SHARD).read_bytes()
    assert killed.metrics("uadm5-g")["metrics"] == uninterrupted.metrics("uadm5-g")["metrics"]
    assert read_samples(killed.folder / SHARD).extras["index"].tolist() == list(range(96))
    log = (killed.folder / "logs/digits/sample_shard/uadm5-g/0000.log").read_text()
    remaining = int(log.split(" of 96 images to sample")[0].split()[-1])
    assert remaining <= 96 - len(finished_batches)
