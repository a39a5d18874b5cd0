"""Kills of every kind while shards are sampled: each ends with the images of a run without faults."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

from cluster.clone import SHARD_SIZE, SHARDS, Clone

CANCELLED, KILLED, TIMED_OUT, LEFT_ALONE = SHARDS
HIT = (CANCELLED, KILLED, TIMED_OUT)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def freeze(clone: Clone, driver: subprocess.Popen, batches: dict[str, int]) -> dict[str, int]:
    """Halt the sampling of each shard once it has more batches than are given for it; the halted processes.

    They are as ones that hang; and whatever hits them then, hits them between the first image and the last.
    """
    frozen = {}

    def all_are() -> bool:
        assert driver.poll() is None, clone.said[-5000:]
        for shard in batches.keys() - frozen.keys():
            if clone.batches(shard) > batches[shard]:
                frozen[shard] = clone.sampler(shard)
                os.kill(frozen[shard], signal.SIGSTOP)
        return len(frozen) == len(batches)

    wait_until(all_are)
    return frozen


def test_faults_change_no_image(finished, tmp_path):
    clone = finished.copy_unsampled(tmp_path / "clone")

    # Four shards are sampled, each on a GPU of its own, when the driver is killed. One then ends well, three hang.
    driver = clone.start()
    frozen = freeze(clone, driver, dict.fromkeys(SHARDS, 2))
    assert {clone.shard_jobs(shard)[0]["GRES"] for shard in SHARDS} == {f"gpu:1(IDX:{n})" for n in range(4)}
    driver.kill()
    driver.wait()
    os.kill(frozen[LEFT_ALONE], signal.SIGCONT)
    wait_until(lambda: clone.shard_jobs(LEFT_ALONE)[0]["JobState"] == "COMPLETED")

    # The same command again, and in it the other faults. The time limit is brought forward, for it counts in minutes.
    driver = clone.start()
    wait_until(lambda: all(len(clone.shard_jobs(shard)) == 2 for shard in HIT))
    frozen = freeze(clone, driver, {shard: clone.batches(shard) for shard in HIT})
    remaining = {shard: SHARD_SIZE - clone.batches(shard) for shard in HIT}
    clone.slurm.run("scancel", clone.shard_jobs(CANCELLED)[-1]["JobId"])
    os.kill(frozen[KILLED], signal.SIGKILL)
    clone.slurm.run("scontrol", "update", f"JobId={clone.shard_jobs(TIMED_OUT)[-1]['JobId']}", "EndTime=now")
    clone.finish(driver)

    jobs = {shard: clone.shard_jobs(shard) for shard in SHARDS}
    assert {shard: [job["JobState"] for job in jobs[shard]] for shard in SHARDS} == {
        CANCELLED: ["CANCELLED", "CANCELLED", "COMPLETED"],  # the first of each three: by the second driver
        KILLED: ["CANCELLED", "FAILED", "COMPLETED"],
        TIMED_OUT: ["CANCELLED", "TIMEOUT", "COMPLETED"],
        LEFT_ALONE: ["COMPLETED"],
    }
    for shard in HIT:
        first, failed, retry = jobs[shard]
        assert (first["MinMemoryNode"], first["TimeLimit"]) == ("8000M", "00:11:00")
        assert (retry["MinMemoryNode"], retry["TimeLimit"]) == ("16000M", "00:22:00")
        log = (clone.folder / f"logs/digits/sample_shard/{shard}.log").read_text()
        # Slurm lets a halted process run on before it stops it, which may be another image.
        assert 0 < int(re.search(rf"(\d+) of {SHARD_SIZE} images to sample", log)[1]) <= remaining[shard]
        slurm_log = f"logs/slurm/rule_sample_shard/{failed['wildcards']}/{failed['JobId']}.log"
        assert (clone.folder / slurm_log).exists()
        assert slurm_log in clone.said

    for shard in SHARDS:
        assert clone.samples(shard).read_bytes() == finished.samples(shard).read_bytes()
        assert len(list(clone.samples(shard).parent.iterdir())) == len(list(finished.samples(shard).parent.iterdir()))
        metrics, wanted = (json.loads(one.metrics(shard).read_text())["metrics"] for one in (clone, finished))
        assert metrics == wanted
    assert "Nothing to be done" in clone.planned()
