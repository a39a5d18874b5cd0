"""`snakemake --profile slurm all` from a fresh clone: what it makes, and what it asked Slurm for."""

import re
from collections import Counter

import pandas as pd
from cluster.clone import SHARDS
from samples import read_samples

# rule: how many jobs, and the CPUs of each
WANTED = {
    "prepare_dataset": (1, 16),
    "train_denoiser": (1, 8),
    "train_classifier": (1, 8),
    "measure_classifier": (1, 1),
    "sample_shard": (4, 4),
    "sample_sweep": (1, 4),
    "measure_sweep": (1, 1),
    "extract_references": (1, 1),
    "extract_features": (2, 1),
    "measure_samples": (3, 1),
}


# Of sampling, by the published speed: half as much again as its seconds, and ten minutes. Others: the profile's.
MINUTES = {
    "sample_shard": "00:11:00",
    "sample_sweep": "00:10:00",
    "train_denoiser": "12:00:00",
    "train_classifier": "12:00:00",
}


def test_all_makes_every_image_once_and_the_tables(finished):
    for run, wanted in {"uadm50": 32, "uadm25-g": 16, "uadm25-g-at-best": 16}.items():
        shards = [read_samples(finished.samples(shard)) for shard in SHARDS if shard.startswith(f"{run}/")]
        assert [i for shard in shards for i in shard.extras["index"]] == list(range(wanted))
    main = pd.read_csv(finished.folder / "results/digits/tables/main.csv")
    assert main["run"].tolist() == ["UADM(50)", "UADM(25)-G"]
    assert main["pixels/fid"].notna().all()
    assert "Nothing to be done" in finished.planned("all")


def test_each_job_asked_for_what_its_rule_needs(finished):
    jobs = finished.jobs()
    assert Counter(job["rule"] for job in jobs) == {rule: count for rule, (count, _) in WANTED.items()}
    for job in jobs:
        on_gpu = job["rule"] != "prepare_dataset"
        assert job["Partition"] == ("gpu" if on_gpu else "cpu"), job
        assert job.get("TresPerJob") == ("gres:gpu:1" if on_gpu else None), job
        assert int(job["CPUs/Task"]) == WANTED[job["rule"]][1], job
        assert (job["MinMemoryNode"], job["TimeLimit"]) == ("12000M", MINUTES.get(job["rule"], "01:00:00")), job
        assert job["JobState"] == "COMPLETED", job


def test_what_takes_seconds_ran_beside_snakemake(finished):
    ran = set(re.findall(r"^localrule (\w+):", finished.said, re.MULTILINE))
    assert ran == {"freeze_settings", "choose_scale", "make_table", "plot_figure", "all"}
