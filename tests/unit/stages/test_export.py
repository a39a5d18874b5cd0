"""One file of a run's shards, as OpenAI's evaluator reads it."""

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.stages.export import export_npz


def shard(path, start, stop, size=4, channels=3, **changes):
    index = np.arange(start, stop)
    images = np.broadcast_to(index[:, None, None, None], (len(index), size, size, channels)).astype(np.uint8)
    write_npz(path, **{"arr_0": images, "arr_1": index % 10, "index": index} | changes)
    return path


@pytest.mark.parametrize("channels", [3, 1])
def test_shards_are_joined_by_image_number_with_grey_repeated_since_the_evaluator_reads_colour(tmp_path, channels):
    shards = [shard(tmp_path / "b.npz", 5, 12, channels=channels), shard(tmp_path / "a.npz", 0, 5, channels=channels)]
    export_npz(shards, tmp_path / "all.npz")
    found = read_npz(tmp_path / "all.npz")
    assert set(found) == {"arr_0", "arr_1"}
    assert (found["arr_0"].dtype, found["arr_0"].shape) == (np.uint8, (12, 4, 4, 3))
    assert (found["arr_0"] == np.arange(12)[:, None, None, None]).all()
    assert found["arr_1"].tolist() == [i % 10 for i in range(12)]


@pytest.mark.parametrize(("ranges", "wrong"), [([(0, 4), (5, 8)], 4), ([(0, 4), (3, 8)], 4), ([(1, 4)], 0)])
def test_missing_and_repeated_images_are_refused(tmp_path, ranges, wrong):
    shards = [shard(tmp_path / f"{k}.npz", *bounds) for k, bounds in enumerate(ranges)]
    with pytest.raises(ArtifactError, match=rf"where {wrong} should come"):
        export_npz(shards, tmp_path / "all.npz")
    assert not (tmp_path / "all.npz").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"index": np.arange(3)}, "do not go together"),
        ({"index": np.array(list("01"))}, "do not go together"),
        ({"arr_1": np.arange(2.0)}, "not one integer label"),
        ({"arr_0": np.zeros((2, 8, 8, 3), np.uint8)}, r"images are \(8, 8, 3\)"),
    ],
)
def test_shards_that_do_not_go_together_are_refused_by_name(tmp_path, wrong, words):
    shards = [shard(tmp_path / "a.npz", 0, 2), shard(tmp_path / "b.npz", 2, 4, **wrong)]
    with pytest.raises(ArtifactError, match=rf"^[^\n]*b\.npz: [^\n]*{words}[^\n]*$"):
        export_npz(shards, tmp_path / "all.npz")
    assert not (tmp_path / "all.npz").exists()
