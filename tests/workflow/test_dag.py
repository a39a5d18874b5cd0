"""The plan of snakemake before anything has run."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import REPO
from workspace import RUNS

from eddpm.io.arrays import write_npz


def test_a_fresh_project_plans_every_job(workspace):
    jobs = {rule: len(outputs) for rule, outputs in workspace.planned("all").items()}
    # 3 runs and 2 best ones, one of them of 2 shards; the sweep of 2 guided methods shares a job for each.
    assert jobs["sample_shard"] == 5 + 1
    assert jobs["measure_samples"] == 5 * 4
    assert jobs["sample_sweep"] == 2 * 2
    assert jobs["measure_sweep"] == 2 * 2 * 4
    assert jobs["choose_scale"] == 2
    assert jobs["train_denoiser"] == 2 * 2
    assert jobs["train_classifier"] == 3 * 2
    assert jobs["measure_classifier"] == 2
    assert jobs["make_table"] == 3 * 4
    assert jobs["match_methods"] == 4
    assert jobs["plot_figure"] == 6 * 2


def test_a_network_waits_for_the_one_that_it_is_made_from(workspace):
    workspace.write_runs(RUNS.replace("\tce\t", "\tce+temperature\t"))
    classifiers = workspace.values["classifiers"]
    start = "results/digits/classifiers/ce/model.safetensors"
    training = classifiers["ect"]["training"] | {"init_from": start}
    workspace.write_config(classifiers=classifiers | {"ect": classifiers["ect"] | {"training": training}})
    fitted, trained = (f"results/digits/classifiers/{name}/model.safetensors" for name in ("ce+temperature", "ect"))
    jobs = workspace.planned("-p", fitted, trained)
    assert jobs["fit_temperature"] == {fitted}
    assert {path.split("/")[3] for path in jobs["train_classifier"]} == {"ce", "ect"}
    assert jobs["freeze_settings"] >= {"results/digits/classifiers/ce+temperature/levels/settings.yaml"}


@pytest.mark.parametrize("source", ["my nets/ce +0.1.pt", "--help"])
def test_a_checkpoint_is_linked_and_not_trained_whatever_its_file_is_called(workspace, source):
    classifiers = workspace.values["classifiers"]
    entry = {key: value for key, value in classifiers["ce"].items() if key != "training"}
    workspace.write_config(classifiers=classifiers | {"ce": entry | {"checkpoint": {"source": source}}})
    (workspace.folder / source).parent.mkdir(exist_ok=True)
    (workspace.folder / source).write_bytes(b"\0weights")
    name = Path(source).name
    asset, samples = f"resources/assets/{name}", "results/digits/runs/uadm5-g/samples/0000.npz"
    workspace.snakemake(asset)
    assert (workspace.folder / asset).read_bytes() == b"\0weights"
    assert (workspace.folder / f"{asset}.sha256").read_text().endswith(f"  {name}\n")
    assert not workspace.planned(samples).keys() & {"fetch_asset", "train_classifier"}
    printed = workspace.snakemake("--dry-run", "-p", samples).stdout
    assert f"--classifier {shlex.quote(asset)} --other-denoiser" in printed


def test_secrets_of_an_address_are_neither_printed_nor_kept(workspace):
    classifiers = workspace.values["classifiers"]
    entry = {key: value for key, value in classifiers["ce"].items() if key != "training"}
    source = "http://user:s3cret@127.0.0.1:99999/ce.pt?token=t0ken"  # no such port, so that it fails at once
    workspace.write_config(classifiers=classifiers | {"ce": entry | {"checkpoint": {"source": source}}})
    done = workspace.snakemake("resources/assets/ce.pt", "--printshellcmds", check=False)
    assert done.returncode == 1
    assert "fetch-asset --source 'http://***@127.0.0.1:99999/ce.pt?***#ce.pt'" in done.stderr
    assert "99999" in (workspace.folder / "logs/fetch_asset/ce.pt.log").read_text()
    (workspace.folder / "config.yaml").unlink()
    kept = [path.read_text(errors="replace") for path in workspace.folder.rglob("*") if path.is_file()]
    assert not [text for text in (done.stdout, done.stderr, *kept) if "s3cret" in text or "t0ken" in text]


def test_weights_of_one_file_name_from_two_repositories_are_both_used(workspace):
    kinds, samples = {"denoisers": "uadm", "classifiers": "ce"}, "results/digits/runs/uadm5-g/samples/0000.npz"
    for kind, name in kinds.items():
        source = workspace.folder / f"hub/{kind}/resolve/main/model.safetensors"
        source.parent.mkdir(parents=True)
        source.write_bytes(b"\0" + name.encode())
        entries = workspace.values[kind]
        entry = {key: value for key, value in entries[name].items() if key != "training"}
        workspace.values[kind] = entries | {name: entry | {"checkpoint": {"source": source.as_uri()}}}
    workspace.write_config()
    printed = workspace.snakemake("--dry-run", "-p", samples).stdout
    used = {
        option: re.search(rf"--{option} (resources/assets/\S+)", printed)[1] for option in ("denoiser", "classifier")
    }
    workspace.snakemake(*used.values())
    for (kind, name), file in zip(kinds.items(), used.values(), strict=True):
        assert (workspace.folder / file).read_bytes() == b"\0" + name.encode(), kind


def test_missing_sources_are_listed_before_any_job_and_leave_the_plan_readable(workspace):
    dataset = workspace.values["dataset"] | {"source": "photos.zip", "validation_source": "elsewhere"}
    workspace.write_config(dataset=dataset)
    assert "prepare_dataset" in workspace.planned("all")
    done = workspace.snakemake("all", check=False)
    assert done.returncode != 0
    assert "dataset.source: 'photos.zip' does not exist" in done.stderr
    assert "dataset.validation_source: 'elsewhere' does not exist" in done.stderr
    assert not (workspace.folder / "results").exists()


def test_a_reference_of_another_size_is_refused_before_any_job(workspace):
    write_npz(workspace.folder / "mine.npz", arr_0=np.ones((5, 16, 16, 1), np.uint8))
    workspace.write_config(evaluation=workspace.values["evaluation"] | {"reference": "mine.npz"})
    done = workspace.snakemake("all", check=False)
    assert done.returncode != 0
    assert "evaluation.reference: images of mine.npz are (16, 16, 1), those of the data set (8, 8, 1)" in done.stderr
    assert not (workspace.folder / "results").exists()


def test_one_run_alone_needs_only_its_networks(workspace):
    jobs = workspace.planned("results/digits/runs/uadm5/metrics.json")
    assert {path.split("/")[3] for path in jobs["train_denoiser"]} == {"uadm"}
    assert {path.split("/")[3] for path in jobs["train_classifier"]} == {"clean"}
    assert {path.split("/")[3] for path in jobs["sample_shard"]} == {"uadm5"}
    assert "make_table" not in jobs


def test_a_sweep_too_large_for_one_shard_has_a_job_per_shard(workspace):
    workspace.write_config(sweep=workspace.values["sweep"] | {"num_images": 24})
    jobs = {rule: len(outputs) for rule, outputs in workspace.planned("all").items()}
    assert jobs["sample_shard"] == 5 + 1 + 4 * 3
    assert jobs["measure_samples"] == 9 * 4
    assert "sample_sweep" not in jobs


def test_scales_share_a_job_in_methods_of_different_grids_too_with_what_a_profile_says_of_it(workspace):
    grids = {"UADM(5)-G": [2, 4], "CADM(5)-G+EDS+ECT": [0.5, 1, 2]}
    workspace.write_config(sweep=workspace.values["sweep"] | {"scales": grids, "best": None})
    printed = workspace.snakemake("--dry-run", "--set-resources", "sample_sweep:gpu=1", "--", "ablation_scale").stdout
    for rule, run, scales in (("sample_sweep", "uadm5-g", (2, 4)), ("sample_sweep_2", "cadm5-g-eds-ect", (0.5, 1, 2))):
        shards = ", ".join(f"results/digits/runs/{run}-at-{scale}/samples/0000.npz" for scale in scales)
        job = re.search(rf"^rule {rule}:\n(?:    .*\n)+", printed, re.MULTILINE)[0]
        assert f"    output: {shards}\n" in job
        assert ", gpu=1" in job
    assert re.search(r"^measure_sweep_2 +1$", printed, re.MULTILINE)
    assert "rule sample_shard" not in printed
    assert "rule choose_scale" not in printed


def test_features_of_shards_are_extracted_one_by_one_and_a_single_shard_needs_no_such_job(workspace):
    targets = [f"results/digits/runs/{run}/metrics.json" for run in ("uadm5", "uadm5-g")]
    jobs = workspace.planned(*targets, "results/digits/runs/uadm5/samples.npz")
    assert jobs["extract_features"] == {f"results/digits/runs/uadm5/features/{shard}.npz" for shard in ("0000", "0001")}
    assert jobs["export_npz"] == {"results/digits/runs/uadm5/samples.npz"}


def test_copies_are_sought_among_the_samples_and_kept_features_of_the_table(workspace):
    jobs = workspace.planned("memorisation")
    runs = {path.split("/")[3] for path in jobs["sample_shard"]}
    assert len(runs) == len(jobs["sample_shard"]) - 1  # one of two shards, whose features are kept
    assert {path.split("/")[3] for path in jobs["extract_features"]} == {"uadm5"}
    copies = {f"results/digits/runs/{run}/copies.npz" for run in runs}
    assert copies <= jobs["measure_memorisation"]
    assert "measure_samples" not in jobs


def test_the_inception_space_brings_its_network_and_a_published_reference_replaces_the_training_images(workspace):
    (workspace.folder / "VIRTUAL.npz").touch()
    evaluation = {"spaces": ["inception", "classifier:clean"], "reference": "VIRTUAL.npz"}
    best = {"minimise": "inception/fid"}
    workspace.write_config(evaluation=evaluation, sweep=workspace.values["sweep"] | {"best": best})
    jobs = workspace.planned("results/digits/references/inception.npz")
    assert jobs["fetch_asset"] == {f"resources/assets/{name}" for name in ("inception-2015-12-05.pt", "VIRTUAL.npz")}
    assert jobs["extract_references"] == {
        f"results/digits/references/{space}.npz" for space in ("inception", "classifier-clean")
    }


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (
            RUNS.replace("\tce\t", "\tec\t"),
            "runs.tsv row 'UADM(5)-G': classifier 'ec' is not in config.yaml; known: ce,",
        ),
        (
            RUNS.replace("ddpm\t5", "dppm\t5"),
            "runs.tsv line 4: sampler: value 'dppm': input should be 'ddpm' or 'ddim'",
        ),
        (RUNS.replace("constant\t4", "constant\t-4"), "runs.tsv line 3: scale: value '-4'"),
    ],
    ids=["missing classifier", "unknown sampler", "negative scale"],
)
def test_mistakes_end_with_one_line_and_exit_code_2(workspace, runs, message):
    workspace.write_runs(runs)
    done = workspace.snakemake("all", check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("eddpm:")]
    assert message in line
    assert "Traceback" not in done.stderr


def test_unknown_config_key_is_named_with_its_neighbour(workspace):
    workspace.write_config(sampler={})
    done = workspace.snakemake("all", check=False)
    assert done.returncode == 2
    assert "eddpm: config.yaml: sampler: unknown key; did you mean 'sampling'?" in done.stderr


def test_without_slurm_its_profile_is_refused_before_any_job(workspace, tmp_path):
    (tmp_path / "programs").mkdir()
    for program in ("snakemake", "bash", "which", "git"):
        # Its own process: a stand-in does not work from elsewhere.
        found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        (tmp_path / "programs" / program).symlink_to(found)
    workspace.environment["PATH"] = str(tmp_path / "programs")
    done = workspace.snakemake("--profile", str(REPO / "slurm"), "all", check=False)
    assert done.returncode == 1
    assert "there is no sbatch in PATH; run snakemake on a machine that has it, or without the profile" in done.stderr
    assert not (workspace.folder / "results").exists()


def test_slurm_profile_names_only_rules_that_exist():
    settings = yaml.safe_load((REPO / "profiles/slurm/config.yaml").read_text())
    text = "".join(path.read_text() for path in (REPO / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, re.MULTILINE))
    rules |= set(re.findall(r'name:\s+f"(\w+)\{grid\}"', text))  # one for each grid, the first without a number
    assert set(settings["set-resources"]) | set(settings["set-threads"]) <= rules
    assert (REPO / "slurm").resolve() == REPO / "profiles/slurm"
