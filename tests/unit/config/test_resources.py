"""The cost of sampling, against the published times that it is made from."""

import pytest

from eddpm.config.resources import image_seconds, job_minutes, shard_size


@pytest.mark.parametrize(
    ("steps", "guided", "per_second"), [("250", True, 0.07), ("250", False, 0.12), ("ddim25", True, 0.7)]
)
def test_published_speeds_are_images_per_second_over_steps(steps, guided, per_second):
    assert 1 / image_seconds(None, 1000, steps, guided) == pytest.approx(per_second, rel=0.01)


@pytest.mark.parametrize(
    ("minutes", "seconds", "num_images", "size"), [(60, 7, 50_000, 514), (60, 10, 100, 100), (1, 100, 50_000, 1)]
)
def test_a_shard_takes_at_most_the_minutes_it_may_and_has_an_image(minutes, seconds, num_images, size):
    assert shard_size(minutes, seconds, num_images) == size


@pytest.mark.parametrize(
    ("hours", "minutes"), [(0, [10, 20, 40]), (1, [100, 200, 400]), (4, [370, 720, 720]), (10, [910, 910, 910])]
)
def test_a_retry_asks_for_twice_the_time_but_for_half_a_day_at_most_or_what_the_first_did(hours, minutes):
    assert [job_minutes(hours * 3600, attempt) for attempt in (1, 2, 3)] == minutes
