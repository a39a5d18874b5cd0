"""Row j of step k is the same image, crop and flip in any process, and epochs leave nothing out."""

import math
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from pictures import CIFAR10, config_of, prepare

from eddpm.config.schema import TrainingConfig
from eddpm.data import loader
from eddpm.data.loader import batch_indices, labelled_batches, training_batches
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError


def training(**values) -> TrainingConfig:
    return TrainingConfig(**{"iterations": 6, "batch_size": 12, "lr": 1.0, **values})


def read(
    store, config: TrainingConfig, first_step: int = 0, rows: range | None = None, workers: int = 0, drop: float = 0.0
) -> list:
    """The batches, as arrays."""
    rows = range(config.batch_size) if rows is None else rows
    batches = training_batches(store, config, first_step, rows, workers, drop)
    return [(images.numpy().copy(), labels.numpy().copy()) for images, labels in batches]


def same(found: list, wanted: list) -> None:
    for (images, labels), (wanted_images, wanted_labels) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(images, wanted_images)
        np.testing.assert_array_equal(labels, wanted_labels)


AUGMENTED = {"random_crop": True, "random_flip": True}
EACH = pytest.mark.parametrize("values", [{}, {"random_flip": True}, {"random_crop": True}, AUGMENTED])


@pytest.mark.parametrize(("batch_size", "total"), [(4, 10), (7, 3), (1, 5)])
def test_every_epoch_sees_every_image_once(batch_size, total):
    steps = math.lcm(batch_size, total) // batch_size * 3
    seen = np.concatenate([batch_indices(7, step, batch_size, total) for step in range(steps)])
    for epoch in seen.reshape(-1, total):
        assert sorted(epoch) == list(range(total))


def test_the_place_of_an_image_in_the_order_is_uniform():
    places = np.array([np.flatnonzero(batch_indices(0, epoch, 10, 10) == 3)[0] for epoch in range(2000)])
    counts = np.bincount(places, minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-squared, 9 degrees of freedom: exceeded once in 1000


def test_an_epoch_of_batches_holds_every_image_of_the_store_with_its_label(photographs):
    batches = read(photographs.store, training(iterations=5, batch_size=80))
    found = np.concatenate([images for images, _ in batches]).reshape(400, -1)
    wanted = photographs.store.read(np.arange(400)).reshape(400, -1)
    place, wanted_place = (np.lexsort(images.T) for images in (found, wanted))
    np.testing.assert_array_equal(found[place], wanted[wanted_place])
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels[place], photographs.store.labels[wanted_place])


@EACH
@pytest.mark.parametrize("ranks", [2, 3, 12])
def test_processes_that_share_the_rows_read_what_one_would(photographs, values, ranks):
    config = training(**values)
    each = 12 // ranks
    parts = [read(photographs.store, config, rows=range(rank * each, (rank + 1) * each)) for rank in range(ranks)]
    together = [tuple(map(np.concatenate, zip(*step, strict=True))) for step in zip(*parts, strict=True)]
    same(together, read(photographs.store, config))


@EACH
def test_a_restart_reads_what_would_have_come(photographs, values):
    wanted = read(photographs.store, training(iterations=40, **values))  # more than an epoch
    for first_step in (1, 33, 39):
        same(read(photographs.store, training(iterations=40, **values), first_step), wanted[first_step:])
    assert read(photographs.store, training(iterations=40), 40) == []


@EACH
def test_processes_that_read_ahead_change_nothing_and_use_none_of_torchs_own_random_numbers(photographs, values):
    before = torch.get_rng_state()
    same(read(photographs.store, training(**values), workers=2), read(photographs.store, training(**values)))
    assert torch.equal(torch.get_rng_state(), before)


@EACH
def test_dropped_labels_are_those_of_their_rows_in_every_process_reader_and_restart(photographs, values):
    config = training(**values)
    whole = read(photographs.store, config, 0, range(12), 0, 0.4)
    dropped = np.array([labels == len(photographs.store.classes) for _, labels in whole])
    assert 0 < dropped.sum() < dropped.size
    for (images, labels), (plain_images, plain_labels), drop in zip(
        whole, read(photographs.store, config), dropped, strict=True
    ):
        np.testing.assert_array_equal(images, plain_images)
        np.testing.assert_array_equal(labels[~drop], plain_labels[~drop])
    same(read(photographs.store, config, 0, range(12), 2, 0.4), whole)
    same(read(photographs.store, config, 3, range(12), 0, 0.4), whole[3:])
    same(read(photographs.store, config, 0, range(5, 9), 0, 0.4), [(x[5:9], y[5:9]) for x, y in whole])


def test_signals_to_the_whole_job_leave_the_readers_to_the_trainer(photographs):
    config, before = training(iterations=30, **AUGMENTED), set(multiprocessing.active_children())
    batches = training_batches(photographs.store, config, 0, range(12), 2)
    found = [next(batches), next(batches)]  # one of each reader: both are at work
    readers = set(multiprocessing.active_children()) - before
    assert len(readers) == 2
    for reader in readers:
        os.kill(reader.pid, signal.SIGTERM)
        os.kill(reader.pid, signal.SIGINT)
    found += batches
    same([(images.numpy(), labels.numpy()) for images, labels in found], read(photographs.store, config))
    del batches
    for reader in readers:
        reader.join(timeout=10)
        assert reader.exitcode == 0


# Crops and flips --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ramps(tmp_path_factory) -> Store:
    """Pictures whose bytes tell where they lie: brightness rises by 6 a pixel from left to right."""
    folder = tmp_path_factory.mktemp("ramps")
    images = np.tile(np.arange(40, dtype=np.uint8)[None, None, :, None] * 6, (40, 40, 1, 1))
    np.savez(folder / "ramps.npz", arr_0=images, arr_1=np.arange(40) % 2)
    config = config_of(folder / "ramps.npz", image_size=32, image_channels=1, validation_fraction=0.1, uncropped=True)
    return Store(prepare(folder, config), "train")


def rows_of(store: Store, **values) -> np.ndarray:
    """The middle row of 900 images."""
    batches = read(store, training(iterations=9, batch_size=100, **values))
    return np.concatenate([images for images, _ in batches])[:, 16, :, 0].astype(float)


@pytest.mark.parametrize("random_crop", [False, True])
def test_half_of_the_images_are_mirrored_and_the_others_are_not(ramps, random_crop):
    plain, flipped = (rows_of(ramps, random_crop=random_crop, random_flip=flip) for flip in (False, True))
    mirrored = flipped[:, 0] > flipped[:, -1]
    assert abs(mirrored.sum() - 450) < 3.3 * 15  # 15: the standard deviation
    np.testing.assert_array_equal(flipped[~mirrored], plain[~mirrored])
    np.testing.assert_array_equal(flipped[mirrored], plain[mirrored, ::-1])


def test_crops_are_of_every_scale_and_place_and_lie_within_the_image(ramps):
    rows = rows_of(ramps, random_crop=True)
    # To how many pixels the short side of a ramp was scaled: the more, the flatter it is.
    lengths = np.rint(6 * 40 / ((rows[:, 28] - rows[:, 3]) / 25)).astype(int)
    counts = np.bincount(lengths, minlength=41)[32:]
    assert len(counts) == 9
    assert ((counts - 100) ** 2 / 100).sum() < 26.1  # chi-squared, 8 degrees of freedom: exceeded once in 1000
    # Brightness 6x at position x of the picture, which is scaled: where the crop begins, from that of its 4th pixel.
    scale = lengths / 40
    left = np.rint(((rows[:, 3] / 6) + 0.5) * scale - 0.5 - 3).astype(int)
    assert left.min() == 0
    assert (left <= lengths - 32).all()
    assert set(left[lengths == 40]) == set(range(9))


def test_the_same_image_is_cropped_and_mirrored_otherwise_each_time(photographs):
    config = training(iterations=400, batch_size=2, seed=3, **AUGMENTED)
    index = np.concatenate([batch_indices(3, step, 2, 400) for step in range(400)])
    images = np.concatenate([images for images, _ in read(photographs.store, config)])
    differ = [(images[index == i][0] != images[index == i][1]).any() for i in range(400)]
    assert np.mean(differ) > 0.95


def test_random_crops_of_images_that_were_cropped_before_are_refused(tmp_path):
    store = Store(prepare(tmp_path, config_of(CIFAR10, num_classes=10)), "train")
    assert len(read(store, training(random_flip=True))) == 6
    with pytest.raises(ConfigError, match=r"^training\.random_crop: .* set dataset\.uncropped: true"):
        training_batches(store, training(random_crop=True), 0, range(12), 0)


def test_images_for_evaluation_come_in_order_a_few_at_a_time(photographs, monkeypatch):
    store = photographs.store
    height, width, _ = store.shape
    monkeypatch.setattr(loader, "PIXELS", 3 * height * width)
    numbers = np.array([5, 0, 7, 1, 2, 3, 6])
    batches = list(labelled_batches(store, numbers, torch.device("cpu")))
    assert [len(y) for _, y in batches] == [3, 3, 1]
    assert torch.cat([y for _, y in batches]).tolist() == store.labels[numbers].tolist()
    x0 = torch.cat([x0 for x0, _ in batches])
    assert torch.equal(((x0 + 1) * 127.5).round().permute(0, 2, 3, 1), torch.from_numpy(store.read(numbers)).float())


def test_no_room_for_what_is_read_ahead_is_one_line_and_no_endless_wait(photographs, monkeypatch):
    def no_room(_):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)
    told = r"^/dev/shm: cannot be written \(No space left on device\); make room there, [^\n]+$"
    with pytest.raises(ArtifactError, match=told):
        read(photographs.store, training(), workers=1)
