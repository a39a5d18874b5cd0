"""The pipeline where people run it: odd paths, what notebooks and launchers leave, files as editors save them."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny import REPO
from workspace import RUNS, Workspace

NAME = 'it\'s {one} "of" $HOME; ü & (more) 50%'
# By a notebook, and by srun or a launcher that has ended.
LEFT_BEHIND = {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "gone", "SLURM_PROCID": "3"}
LEFT_BEHIND |= {"MPLBACKEND": "module://gone", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "CUDA_VISIBLE_DEVICES": ""}
LEVELS = "results/digits/figures/noise_levels.png"


class Elsewhere(Workspace):
    """A workspace within a checkout of its own, whose environment lies there, too."""

    def __init__(self, checkout: Path):
        for part in ("eddpm", "workflow", "profiles"):
            shutil.copytree(REPO / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "environment.yml", checkout)
        (checkout / "env").symlink_to(sys.prefix)
        super().__init__(checkout / "project", "".join(RUNS.splitlines(keepends=True)[:3]))
        self.checkout, self.environment = checkout, os.environ | LEFT_BEHIND

    def command(self, *arguments: str) -> list[str]:
        python, snakefile = str(self.checkout / "env/bin/python"), str(self.checkout / "workflow/Snakefile")
        start = [python, "-m", "snakemake", "--snakefile", snakefile, "--configfile", "config.yaml", "--cores", "2"]
        return [*start, "--workflow-profile", str(self.checkout / "profiles/default"), *arguments]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    return Elsewhere(tmp_path_factory.mktemp("elsewhere") / NAME)


def test_jobs_run_and_figures_are_drawn_under_any_path_and_in_any_environment(elsewhere):
    elsewhere.snakemake("--set-resources", "train_classifier:gpu=2", "--", LEVELS)
    with Image.open(elsewhere.folder / LEVELS) as picture:
        assert min(picture.size) > 100
    log = (elsewhere.folder / "logs/digits/train_classifier/ce.log").read_text(encoding="utf-8")
    assert "on 2 x cpu" in log  # those of torchrun, and not what is left of another


def test_every_job_is_planned_under_any_path(elsewhere):
    jobs = elsewhere.planned("all")
    assert {"make_table", "plot_figure", "sample_shard", "measure_samples"} <= jobs.keys()


# Files as editors save them ---------------------------------------------------------------------------------------


def test_a_key_that_is_there_twice_ends_with_one_line_and_exit_code_2(workspace):
    config = workspace.folder / "config.yaml"
    text = config.read_text()
    line, last = text.splitlines().index("experiment: digits") + 1, len(text.splitlines()) + 1
    config.write_text(f"{text}experiment: other\n")
    done = workspace.snakemake("--dry-run", "all", check=False)
    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("eddpm:")]
    assert said.startswith("eddpm: config.yaml: not valid YAML (key 'experiment' is there twice, in lines ")
    assert f"in lines {line} and {last}: drop one" in said
    assert "Traceback" not in done.stderr


def test_files_are_read_as_spreadsheets_and_editors_save_them(workspace):
    config, table = (workspace.folder / name for name in ("config.yaml", "runs.tsv"))
    config.write_text("# für\n" + config.read_text(), encoding="utf-8-sig")
    table.write_text(table.read_text(), encoding="utf-16")
    assert "sample_shard" in workspace.planned("all")
