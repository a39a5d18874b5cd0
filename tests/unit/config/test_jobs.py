"""Jobs that sample: their runs, and the time to ask for, from the published speeds or a measured one."""

import pytest
from tiny import tiny_project, tiny_values

from eddpm.config.jobs import sampling_job
from eddpm.config.resources import image_seconds, job_minutes, shard_size

SPEED = {"guided": 1, "unguided": 2}  # 25 steps: 25 s for a guided image, 12.5 s for another


def job(run: str, shard: str = "0000", **sampling):
    """One of a project whose sweep has 60 images."""
    sweep = tiny_values()["sweep"] | {"num_images": 60}
    project = tiny_project(sampling={"batch_size": 3, "speed": SPEED, **sampling}, sweep=sweep)
    return sampling_job(project, run, shard)


@pytest.mark.parametrize(
    ("run", "shard", "seconds"),
    [("uadm25-g", "0000", 300 * 25), ("uadm25", "0000", 300 * 12.5), ("uadm25-g", "0003", 100 * 25)],
)
def test_a_shard_takes_the_time_of_its_own_images(run, shard, seconds):
    made = job(run, shard, shard_size=300)  # of 1000 images
    assert (made.runs, made.seconds) == ([run], seconds)
    assert made.minutes(2) == 2 * made.minutes(1) == 2 * round(1.5 * seconds / 60 + 10)


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        ({"shard_size": 60}, True),
        ({"target_minutes_per_shard": 51}, True),  # 25 minutes for each of two scales
        ({"target_minutes_per_shard": 49}, False),
    ],
)
def test_all_scales_of_a_sweep_share_a_job_where_they_fit_in_it(sampling, shares):
    made = job("uadm25-g-at-4", **sampling)
    assert made.runs == (["uadm25-g-at-1", "uadm25-g-at-4"] if shares else ["uadm25-g-at-4"])
    assert made.seconds == len(made.runs) * 60 * 25


def test_scales_of_a_method_share_a_job_by_the_grid_and_the_time_of_each_method():
    grids = {"UADM(25)-G": [1, 4], "UADM(25)-G+EDS": [4, 1], "CADM(25)-G": [1, 4], "CADM(25)-G+EDS": [1, 2, 4]}
    sweep = tiny_values()["sweep"] | {"num_images": 60, "scales": grids}
    sampling = {"batch_size": 3, "speed": SPEED, "target_minutes_per_shard": 51}  # two scales take 50
    project = tiny_project(sampling=sampling, sweep=sweep)
    assert project.shared_sweeps == {(1, 4): ["UADM(25)-G", "CADM(25)-G"], (4, 1): ["UADM(25)-G+EDS"]}
    assert sampling_job(project, "uadm25-g-eds-at-4", "0000").runs == ["uadm25-g-eds-at-1", "uadm25-g-eds-at-4"]
    assert sampling_job(project, "cadm25-g-eds-at-2", "0000").runs == ["cadm25-g-eds-at-2"]
    assert project.shared_runs == {run for run in project.sweep_runs if not run.startswith("cadm25-g-eds-at")}


@pytest.mark.parametrize(
    ("steps", "guided", "per_second"), [("250", True, 0.07), ("250", False, 0.12), ("ddim25", True, 0.7)]
)
def test_published_speeds_are_images_per_second_over_steps(steps, guided, per_second):
    assert 1 / image_seconds(None, 1000, steps, guided) == pytest.approx(per_second, rel=0.01)


def test_a_shard_takes_at_most_the_minutes_it_may_and_has_an_image():
    assert shard_size(60, 7, num_images=50_000) == 514
    assert shard_size(60, 10, num_images=100) == 100
    assert shard_size(1, 100, num_images=50_000) == 1


@pytest.mark.parametrize(
    ("hours", "minutes"), [(0, [10, 20, 40]), (1, [100, 200, 400]), (4, [370, 720, 720]), (10, [910, 910, 910])]
)
def test_a_retry_asks_for_twice_the_time_but_for_half_a_day_at_most_or_what_the_first_did(hours, minutes):
    assert [job_minutes(hours * 3600, attempt) for attempt in (1, 2, 3)] == minutes
