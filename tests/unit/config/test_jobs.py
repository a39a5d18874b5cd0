"""Jobs that sample: their runs, and the time to ask for."""

import pytest
from tiny import tiny_project, tiny_values

from eddpm.config.jobs import sampling_job

SPEED = {"guided": 1, "unguided": 2}  # 25 steps: 25 s for a guided image, 12.5 s for another


def project(sweep_images: int = 60, **sampling):
    sweep = tiny_values()["sweep"] | {"num_images": sweep_images}
    return tiny_project(sampling={"batch_size": 3, "speed": SPEED, **sampling}, sweep=sweep)


@pytest.mark.parametrize(
    ("run", "shard", "seconds"),
    [("uadm25-g", "0000", 300 * 25), ("uadm25", "0000", 300 * 12.5), ("uadm25-g", "0003", 100 * 25)],
)
def test_a_shard_takes_the_time_of_its_own_images(run, shard, seconds):
    job = sampling_job(project(shard_size=300), run, shard)  # of 1000 images
    assert (job.runs, job.seconds) == ([run], seconds)
    assert job.log == f"logs/digits/sample_shard/{run}/{shard}.log"
    assert job.minutes(1) == round(1.5 * seconds / 60 + 10)
    assert job.minutes(2) == 2 * job.minutes(1)


def test_all_scales_of_a_small_sweep_share_a_job():
    job = sampling_job(project(shard_size=60), "uadm25-g-at-4", "0000")
    assert job.runs == ["uadm25-g-at-1", "uadm25-g-at-4"]
    assert job.seconds == 2 * 60 * 25
    assert job.benchmark == "benchmarks/digits/sample_sweep/uadm25-g.tsv"


@pytest.mark.parametrize(("minutes", "shares"), [(51, True), (49, False), (24, False)])
def test_scales_share_a_job_only_where_all_of_them_fit_its_minutes(minutes, shares):
    job = sampling_job(project(target_minutes_per_shard=minutes), "uadm25-g-at-1", "0000")  # 25 minutes each
    assert (len(job.runs) == 2) is shares
