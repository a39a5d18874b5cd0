"""Ways in which people start Snakemake: from other folders and workflows, with their settings, profiles and engines."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from tiny import REPO
from workspace import RUNS, Workspace

SNAKEFILE = REPO / "workflow/Snakefile"
DATASET = "resources/datasets/digits/dataset.json"


@pytest.fixture
def snakemake(tmp_path, forks):
    """Snakemake in an empty folder, with stand-ins of programs: the function that runs it with these arguments."""
    return starter(tmp_path, forks)


@pytest.fixture
def new_snakemake(tmp_path):
    """The same, but a new process that imports whatever package it finds."""
    return starter(tmp_path)


def starter(tmp_path: Path, *programs: Path):
    workspace = Workspace(tmp_path / "config")
    path = ":".join(map(str, [tmp_path / "programs", *programs, workspace.environment["PATH"]]))
    environment = workspace.environment | {"PATH": path, "PYTHONPATH": str(REPO)}
    (tmp_path / "work").mkdir()

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess:
        command = ["snakemake", "--cores", "2", *map(str, arguments)]
        where = {"cwd": tmp_path / "work", "env": environment | variables}
        return subprocess.run(command, **where, capture_output=True, text=True, check=False)

    return run


def succeeded(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def stand_in(folder: Path, program: str, script: str) -> None:
    """A program that comes before others of its name, and notes in PROGRAM.log how it was called."""
    path = folder / "programs" / program
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/{program}.log\n{script}\n')
    path.chmod(0o755)


# Settings ---------------------------------------------------------------------------------------------------------


def test_the_command_line_changes_the_digits_from_any_folder(snakemake):
    changes = ("experiment=foo", "sampling={shard_size: 500}")
    printed = succeeded(snakemake("-s", SNAKEFILE, "--dry-run", "--config", *changes, "--", "all"))
    assert "workflow/profiles/default" in printed
    assert "config/digits/config.yaml, changed in experiment, sampling" in printed
    assert "results/foo/tables/main.csv" in printed
    assert "results/foo/runs/uadm25/samples/0001.npz" in printed
    assert "results/digits" not in printed


def test_a_change_of_one_network_leaves_those_alone_that_share_its_values_in_the_file(snakemake, tmp_path):
    settings = [f"results/digits/classifiers/{name}/settings.yaml" for name in ("ce", "ect")]
    change = "classifiers={ce: {training: {iterations: 7}}}"
    file = ("--configfile", REPO / "config/digits/config.yaml")
    succeeded(snakemake("-s", SNAKEFILE, *file, "--config", change, "--", *settings))
    ce, ect = (yaml.safe_load((tmp_path / "work" / file).read_text())["training"] for file in settings)
    assert ce == ect | {"iterations": 7}
    assert ect["iterations"] == 400


def test_a_mistake_on_the_command_line_is_named_with_its_neighbour(snakemake):
    done = snakemake("-s", SNAKEFILE, "--dry-run", "--config", "experimnt=foo")
    assert done.returncode == 2
    assert "experimnt: unknown key; did you mean 'experiment'?" in done.stderr


def test_another_directory_has_the_shipped_tables(snakemake, tmp_path):
    config = REPO / "config/imagenet256/config.yaml"
    options = ("--configfile", config, "--directory", tmp_path / "elsewhere", "--dry-run", "--quiet", "rules")
    assert "compare_published" in succeeded(snakemake("-s", SNAKEFILE, *options, "--", "all"))


# Other workflows --------------------------------------------------------------------------------------------------

MODULE = f"""\
module eddpm:
    snakefile: "{SNAKEFILE}"
    {{config}}
use rule * from eddpm as eddpm_*

rule mine:
    default_target: True
    input: "results/{{experiment}}/tables/main.csv"
    output: "mine.txt"
    shell: "wc -l {{{{input}}}} > {{{{output}}}}"

onstart:
    eddpm.onstart()
"""


@pytest.mark.parametrize(
    ("first", "config", "options", "experiment", "runs"),
    [
        ("", "", (), "digits", 8),
        ("", "config: config", ("--config", "experiment=foo"), "foo", 8),
        ("", "config: {'experiment': 'foo'}", (), "foo", 8),
        ("configfile: '../config/config.yaml'", "config: config", (), "digits", 3),
        ("import yaml", "config: yaml.safe_load(open('../config/config.yaml'))", (), "digits", 3),
    ],
    ids=["none", "of the command line", "a change", "of a file", "complete"],
)
def test_another_workflow_takes_this_one_as_a_module(snakemake, tmp_path, first, config, options, experiment, runs):
    text = MODULE.format(config=config, experiment=experiment)
    shutil.copy(tmp_path / "config/runs.tsv", tmp_path / "work/runs.tsv")
    (tmp_path / "work/Snakefile").write_text(f"{first}\n{text}")
    printed = succeeded(snakemake("--dry-run", *options))
    assert printed.count("\nrule eddpm_measure_samples:") == runs
    assert f"results/{experiment}/tables/main.csv" in printed


def test_a_module_runs_its_jobs_with_the_package_of_its_checkout(new_snakemake, tmp_path):
    (tmp_path / "work/Snakefile").write_text(MODULE.format(config="", experiment="digits"))
    assert "localrule eddpm_freeze_settings" in succeeded(new_snakemake(DATASET, PYTHONPATH=""))
    assert json.loads((tmp_path / "work" / DATASET).read_text())["source"] == "digits"


def test_jobs_find_packages_by_pythonpath_too_as_modules_of_clusters_bring_them(new_snakemake, tmp_path):
    (tmp_path / "packages").mkdir()
    note = f"import sys; print(sys.orig_argv, file=open('{tmp_path}/starts', 'a'))"
    (tmp_path / "packages/sitecustomize.py").write_text(note)
    snakefile = REPO / "workflow/Snakefile"
    succeeded(new_snakemake("-s", snakefile, "--", DATASET, PYTHONPATH=f"{REPO}:{tmp_path}/packages"))
    assert "'prepare-dataset'" in (tmp_path / "starts").read_text()


def test_a_snakefile_in_git_runs_with_the_installed_package(new_snakemake, tmp_path):
    repository = tmp_path / "repository"
    shutil.copytree(REPO / "workflow", repository / "workflow", symlinks=True)
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", repository, *who, *command], check=True)
    succeeded(new_snakemake("-s", f"git+file://{repository}/workflow/Snakefile@main", "--", DATASET))
    assert (tmp_path / "work" / DATASET).exists()
    succeeded(new_snakemake("-s", f"git+file://{repository}/workflow/Snakefile@main", "--dry-run", "--", "all"))


# Profiles ---------------------------------------------------------------------------------------------------------

SLURM = REPO / "profiles/slurm/config.yaml"


def partitions(printed: str) -> set[str]:
    """The partitions that jobs ask for: without GPU, and with one."""
    jobs = [line for line in printed.splitlines() if "mem_mb=" in line]
    assert len(jobs) > 10
    return {(" gpu=1" in job, name) for job in jobs for name in re.findall(r"slurm_partition=(\w+)", job)}


def test_the_slurm_profile_leaves_partition_and_account_to_the_site(snakemake, tmp_path):
    site = {"executor": "slurm", "jobs": 5, "default-resources": {"slurm_partition": "short", "slurm_account": "lab"}}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    options = ("--profile", tmp_path / "site.yaml", "--workflow-profile", SLURM.parent)
    printed = succeeded(snakemake("-s", SNAKEFILE, *options, "--dry-run", "--", "all"))
    assert partitions(printed) == {(False, "short"), (True, "short")}
    assert printed.count("slurm_account=lab") == printed.count("slurm_partition=short")


def test_two_lines_of_the_slurm_profile_name_its_partitions(snakemake, tmp_path):
    edited = SLURM.read_text().replace("# slurm_partition: cpu", "slurm_partition: small")
    (tmp_path / "slurm.yaml").write_text(edited.replace("# slurm_partition: gpu", "slurm_partition: large"))
    options = ("--profile", tmp_path / "slurm.yaml", "--dry-run", "--", "all")
    assert partitions(succeeded(snakemake("-s", SNAKEFILE, *options))) == {(False, "small"), (True, "large")}


def test_conda_as_a_users_profile_has_it_finds_no_environment_to_make(snakemake, tmp_path):
    profile = tmp_path / "profile.yaml"
    profile.write_text("software-deployment-method: conda\n")
    information = '{"conda_prefix": "/opt/conda", "platform": "linux-64"}'
    stand_in(tmp_path, "conda", f"[ \"$1\" = info ] || exit 1\necho '{information}'")
    succeeded(snakemake("-s", SNAKEFILE, "--profile", profile, "--", DATASET))
    assert set((tmp_path / "conda.log").read_text().splitlines()) <= {"info --json"}
    assert (tmp_path / "work" / DATASET).exists()


# Engines ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("snakemake_executor_plugin_cluster_generic"), reason="needs the plugin")
def test_another_scheduler_is_told_what_a_job_needs_and_slurm_is_not_asked(snakemake, tmp_path):
    stand_in(tmp_path, "squeue", "exit 1")
    stand_in(tmp_path, "submit", 'bash "$3" > /dev/null')
    options = ("--executor", "cluster-generic", "--jobs", "2")
    submit = ("--cluster-generic-submit-cmd", "submit {resources.mem_mb} {resources.runtime}")
    succeeded(snakemake("-s", SNAKEFILE, *options, *submit, "--", DATASET))
    assert (tmp_path / "submit.log").read_text().startswith("12000 60 ")
    assert (tmp_path / "work" / DATASET).exists()


@pytest.mark.skipif(
    not (find_spec("snakemake_storage_plugin_fs") and shutil.which("rsync")), reason="needs the plugin, and rsync"
)
def test_every_file_of_a_table_is_stored_elsewhere_and_found_there(tmp_path, forks):
    changes = {"evaluation": {"spaces": ["pixels"]}, "sampling": {"shard_size": 16, "batch_size": 8}}
    workspace = Workspace(tmp_path / "work", "".join(RUNS.splitlines(keepends=True)[:2]), forks, **changes)
    workspace.write_config(sweep=workspace.values["sweep"] | {"best": None, "matched": None})
    store = tmp_path / "store"
    options = ("--default-storage-provider", "fs", "--default-storage-prefix", str(store), "--shared-fs-usage", "none")
    workspace.snakemake(*options, "--", "results/digits/tables/main.csv")
    assert (store / "results/digits/tables/main.csv").exists()
    shards = (store / "resources/datasets/digits").glob("*/00000-images.npy")
    assert {path.parent.name for path in shards} == {"train", "validation"}
    assert {path.name for path in workspace.folder.iterdir()} == {".snakemake", "config.yaml", "runs.tsv"}
    again = workspace.snakemake(*options, "--", "results/digits/tables/main.csv")
    assert "Nothing to be done" in again.stdout + again.stderr
