"""Time and memory of jobs, against what they are made from."""

import pytest
from tiny import tiny_project, tiny_values

from eddpm import demand

SPEED = {"guided": 1, "unguided": 2}


def project(images: int = 60, **sampling):
    values = tiny_values()
    return tiny_project(
        sampling={"batch_size": 3, "speed": SPEED, **sampling}, sweep=values["sweep"] | {"num_images": images}
    )


def test_a_shard_asks_for_half_as_much_again_as_its_images_take_and_ten_minutes():
    tiny = project(shard_size=8)
    # 8 images of 25 steps: 200 s guided at one step a second, 100 s unguided
    assert demand.shard_minutes(tiny, "uadm25-g", "0000", 1) == round(1.5 * 200 / 60 + 10)
    assert demand.shard_minutes(tiny, "uadm25", "0000", 1) == round(1.5 * 100 / 60 + 10)
    assert demand.shard_minutes(tiny, "uadm25-g", "0000", 3) == 4 * demand.shard_minutes(tiny, "uadm25-g", "0000", 1)


def test_a_sweep_that_shares_a_job_asks_for_the_time_of_all_scales():
    tiny = project(shard_size=60)
    assert demand.sweep_minutes(tiny, "UADM(25)-G", 1) == round(1.5 * 2 * 60 * 25 / 60 + 10)


@pytest.mark.parametrize(("minutes", "shares"), [(51, True), (49, False), (24, False)])
def test_scales_share_a_job_only_where_all_of_them_fit_its_minutes(minutes, shares):
    tiny = project(target_minutes_per_shard=minutes)  # two scales of 25 minutes each
    assert tiny.sweep_shares_jobs is shares


def test_memory_grows_with_what_a_job_holds_and_doubles_on_each_attempt():
    tiny = project(shard_size=8)
    base = demand.sampling_megabytes(tiny, 0, 1)
    held = 10**6 * demand.image_bytes(tiny) / 1e6
    assert demand.sampling_megabytes(tiny, 10**6, 1) == pytest.approx(base + 2 * held, abs=1)
    held = 10**6 * demand.feature_bytes(tiny) / 1e6
    assert demand.measuring_megabytes(tiny, 10**6, 2) == pytest.approx(2 * (base + 2 * held), abs=2)
