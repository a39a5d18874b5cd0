"""The target `study`: the parts of a study are planned, where a command names them, and no part of anything else."""

import re
import shutil
from importlib.util import find_spec

import pytest
import yaml
from tiny import REPO
from workspace import RUNS

MATCHED = {"sweep": {"matched": {"accuracy": [0.9]}}}
INTERVAL = RUNS.splitlines()[2].replace("UADM(5)-G", "UADM(5)-G t 0-499") + "\n"
METRICS = ["accuracy", "fid", "recall", "density", "coverage", "authpct"]
STUDY = {
    "common": {"evaluation": {"metrics": METRICS, "spaces": ["classifier:clean", "inception", "pixels"]}},
    "parts": {
        "rules": MATCHED | {"runs": "runs.tsv"},
        "mechanism": MATCHED,
        "project": MATCHED | {"runs": "runs.tsv"},  # a name that the workflow itself has
        "three-5": {"sweep": {"scales": [2], **MATCHED["sweep"]}, "dataset": {"num_classes": 5}},
    },
}
OF_PART = "results/digits-three-5/tables/matched.csv"
DATASET = "resources/datasets/digits-three-5/dataset.json"
SETTINGS = "results/digits-three-5/dataset/settings.yaml"
JOB = "study_three-5_freeze_settings:experiment=digits-three-5,part=dataset"


@pytest.fixture
def studied(workspace):
    """A workspace whose project has a study."""
    (workspace.folder / "study").mkdir()
    (workspace.folder / "study/three-5.tsv").write_text(RUNS)
    (workspace.folder / "study/mechanism.tsv").write_text(RUNS + INTERVAL)
    workspace.values["study"] = "study.yaml"
    workspace.write_config()
    write_study(workspace, STUDY)
    return workspace


def write_study(workspace, values: dict) -> None:
    (workspace.folder / "study.yaml").write_text(yaml.safe_dump(values))


def test_the_study_makes_the_matched_table_of_each_part_and_of_the_project_what_else_is_asked(studied):
    run = "results/digits/runs/uadm5/metrics.json"
    planned = studied.planned("study", run)
    assert run in planned["measure_samples"]
    assert not planned.keys() & {"sample_sweep", "match_methods"}
    assert "results/digits/study/differences.md" in planned["report_study"]
    for part in STUDY["parts"]:
        assert f"results/digits-{part}/tables/matched.csv" in planned[f"study_{part}_match_methods"]
        assert {path.split("/")[1] for path in planned[f"study_{part}_sample_sweep"]} == {f"digits-{part}"}
    assert len(planned["study_three-5_measure_sweep"]) == len(planned["study_project_measure_sweep"]) / 2  # one scale


@pytest.mark.parametrize(
    ("rule", "file", "arguments"),
    [
        ("match_methods", OF_PART, ("--", OF_PART)),
        # As Snakemake starts the job of a cluster.
        ("freeze_settings", SETTINGS, ("--target-jobs", JOB, "--allowed-rules", JOB.partition(":")[0])),
    ],
    ids=["a file", "a job"],
)
def test_what_is_asked_of_one_part_is_planned_alone(studied, rule, file, arguments):
    planned = studied.planned(*arguments)
    assert file in planned[f"study_three-5_{rule}"]
    assert {rule for rule in planned if not rule.startswith("study_three-5_")} <= {"fetch_asset"}


def test_what_a_profile_says_of_a_rule_is_for_the_rules_of_the_parts(studied):
    asked = ("--set-resources", "train_denoiser:gpu=3", "sample_sweep:gpu=3")
    told = studied.snakemake("--dry-run", *asked, "--", "study").stdout
    jobs = [job for job in told.split("\n\n") if "study_three-5_" in job]
    for rule in ("train_denoiser", "sample_sweep"):
        assert all("gpu=3" in job for job in jobs if f"rule study_three-5_{rule}:" in job)
        assert any(f"rule study_three-5_{rule}:" in job for job in jobs)


@pytest.mark.skipif(not find_spec("snakemake_storage_plugin_fs"), reason="needs the plugin")
def test_the_report_is_written_where_outputs_are_stored_and_the_files_of_the_study_are_sent(studied, tmp_path):
    where = ("--default-storage-provider", "fs", "--default-storage-prefix", f"{tmp_path}/store")
    told = studied.snakemake("--dry-run", "--printshellcmds", "--shared-fs-usage", "none", *where, "--", "study").stdout
    assert re.search(rf'--out "\$\(dirname \S+{tmp_path}/store/results/digits/study/differences.csv\)"', told)
    (sent,) = re.findall(r"Config file\(s\): \[(.*)\]", told)
    files = ["config.yaml", "runs.tsv", "study.yaml", "study/mechanism.tsv", "study/three-5.tsv"]
    assert sorted(re.findall(r"'(.*?)'", sent)) == files


def test_a_folder_that_is_named_as_a_part_or_a_study_reads_none(studied, tmp_path):
    folder = tmp_path / "digits-case_study"
    shutil.copytree(studied.folder, folder)
    (folder / "study.yaml").write_text("no study")
    options = ("--directory", str(folder), "--configfile", str(folder / "config.yaml"), "--dry-run", "--", "all")
    assert "match_methods" in studied.snakemake(*options).stdout


def test_a_project_without_a_study_says_so(workspace):
    workspace.write_config(study=None)
    done = workspace.snakemake("--dry-run", "--", "study", check=False)
    assert done.returncode == 1
    assert "the project has no study; name its file in the key `study`" in done.stdout


def test_a_mistake_in_a_part_ends_what_names_the_study_in_one_line_and_nothing_else(studied):
    mistaken = {"runs": "runs.tsv", "sweep": {"num_image": 9}}
    write_study(studied, STUDY | {"parts": STUDY["parts"] | {"project": mistaken}})
    for target in ("study", "results/digits/study/gains.png"):
        done = studied.snakemake("--dry-run", "--", target, check=False)
        assert done.returncode == 2
        told = [line for line in done.stderr.splitlines() if line.startswith("eddpm: ")]
        assert told == ["eddpm: study.yaml: part 'project': sweep.num_image: unknown key; did you mean 'num_images'?"]
    planned = studied.planned("all")
    assert "match_methods" in planned
    assert not [rule for rule in planned if rule.startswith("study")]
    assert "study" in studied.snakemake("--list-target-rules").stdout.split()


def test_another_workflow_that_takes_the_tables_of_a_study_unread_is_told_what_to_name(studied):
    modules = f'module eddpm:\n    snakefile: "{REPO}/workflow/Snakefile"\nuse rule * from eddpm as eddpm_*\n'
    mine = "rule mine:\n    default_target: True\n    input: rules.eddpm_study.input\n"
    (studied.folder / "Snakefile").write_text(modules + mine)
    done = studied.snakemake("--snakefile", "Snakefile", "--dry-run", check=False)
    assert done.returncode == 1
    assert "the parts of the study are not read; name the target `study` in the command, as your" in done.stdout


def test_what_a_part_lacks_is_named_before_the_first_job(studied):
    lacking = {"dataset": {"source": "data/photographs.zip"}}
    write_study(studied, STUDY | {"parts": STUDY["parts"] | {"project": STUDY["parts"]["project"] | lacking}})
    done = studied.snakemake("--", "study", check=False)
    assert done.returncode == 1
    _, told = done.stderr.split("files that the project names are missing:")
    assert "dataset.source: 'data/photographs.zip' does not exist" in told
    assert not (studied.folder / "results").exists()


def test_the_data_set_of_a_part_is_repaired_where_the_part_is_read_and_left_alone_elsewhere(studied):
    studied.snakemake("--", DATASET)
    shard = studied.folder / "resources/datasets/digits-three-5/train/00000-labels.npy"
    labels = shard.read_bytes()
    settings = studied.folder / SETTINGS
    frozen = settings.read_bytes()
    for path in (shard, settings):
        path.write_bytes(b"another")
    assert "three-5" not in studied.snakemake("--", "results/digits/dataset/settings.yaml").stderr
    told = studied.snakemake("--", DATASET).stderr
    assert f"{SETTINGS}: was changed after it was made; now it is as it was" in told
    assert "Making shards of the data set again, which are missing or damaged" in told
    assert "Nothing to be done" in told
    assert (shard.read_bytes(), settings.read_bytes()) == (labels, frozen)
