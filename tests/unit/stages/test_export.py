"""One file of a run's shards, as OpenAI's evaluator reads it."""

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.export import export_npz


def shard(path, start, stop, size=4, channels=3):
    index = np.arange(start, stop)
    images = np.broadcast_to(index[:, None, None, None], (len(index), size, size, channels)).astype(np.uint8)
    write_samples(path, Samples(images, index % 10, {"index": index}))
    return path


def test_shards_are_joined_by_image_number(tmp_path):
    shards = [shard(tmp_path / "b.npz", 5, 12), shard(tmp_path / "a.npz", 0, 5)]
    export_npz(shards, tmp_path / "all.npz")
    found = read_npz(tmp_path / "all.npz")
    assert set(found) == {"arr_0", "arr_1"}
    assert found["arr_0"].dtype == np.uint8
    assert found["arr_0"].shape == (12, 4, 4, 3)
    assert found["arr_0"][:, 0, 0, 0].tolist() == list(range(12))
    assert found["arr_1"].tolist() == [i % 10 for i in range(12)]


def test_grey_images_are_repeated_since_the_evaluator_reads_colour(tmp_path):
    export_npz([shard(tmp_path / "a.npz", 0, 3, channels=1)], tmp_path / "all.npz")
    images = read_npz(tmp_path / "all.npz")["arr_0"]
    assert images.shape == (3, 4, 4, 3)
    assert (images == images[..., :1]).all()


@pytest.mark.parametrize(("ranges", "wrong"), [([(0, 4), (5, 8)], 4), ([(0, 4), (3, 8)], 4), ([(1, 4)], 0)])
def test_missing_and_repeated_images_are_refused(tmp_path, ranges, wrong):
    shards = [shard(tmp_path / f"{k}.npz", *bounds) for k, bounds in enumerate(ranges)]
    with pytest.raises(ArtifactError, match=rf"where {wrong} should come"):
        export_npz(shards, tmp_path / "all.npz")
    assert not (tmp_path / "all.npz").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"index": np.arange(6)}, "do not go together"),
        ({"arr_1": np.arange(6)}, "do not go together"),
        ({"index": np.arange(4.0)}, "do not go together"),
        ({"index": np.array(list("0123"))}, "do not go together"),
        ({"index": np.array(3)}, "do not go together"),
        ({"arr_1": np.arange(4.0)}, "not one integer label"),
        ({"arr_0": np.zeros((4, 4, 4, 4), np.uint8)}, "drop alpha"),
        ({"arr_0": np.zeros((4, 3, 8, 8), np.uint8)}, r"its axes are \(N, C, H, W\)"),
    ],
)
def test_shards_that_do_not_add_up_are_refused_by_name(tmp_path, wrong, words):
    arrays = {"arr_0": np.zeros((4, 4, 4, 3), np.uint8), "arr_1": np.arange(4), "index": np.arange(4)}
    write_npz(tmp_path / "a.npz", **arrays | wrong)
    with pytest.raises(ArtifactError, match=rf"^[^\n]*a\.npz: [^\n]*{words}[^\n]*$"):
        export_npz([tmp_path / "a.npz"], tmp_path / "all.npz")
    assert not (tmp_path / "all.npz").exists()


def test_shards_of_other_image_sizes_are_refused_by_name(tmp_path):
    shards = [shard(tmp_path / "a.npz", 0, 2), shard(tmp_path / "b.npz", 2, 4, size=8)]
    with pytest.raises(ArtifactError, match=r"b\.npz: images are \(8, 8, 3\)"):
        export_npz(shards, tmp_path / "all.npz")
