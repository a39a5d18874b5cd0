"""Kills of every kind while shards are sampled: each ends with the images of a run without faults."""

import os
import re
import signal

from cluster.clone import SHARD_SIZE, SHARDS, Clone, wait_until

HIT = CANCELLED, KILLED, TIMED_OUT = SHARDS[:3]


def freeze(clone: Clone, batches: dict[str, int]) -> dict[str, int]:
    """Halt the sampling of each shard once it has more batches than are given for it; the halted processes.

    They are as ones that hang; and whatever hits them then, hits them between the first image and the last.
    """
    frozen = {}

    def all_are() -> bool:
        assert clone.driver.poll() is None, clone.said[-5000:]
        for shard in batches.keys() - frozen.keys():
            if clone.batches(shard) > batches[shard]:
                frozen[shard] = clone.sampler(shard)
                os.kill(frozen[shard], signal.SIGSTOP)
        return len(frozen) == len(batches)

    wait_until(all_are, pause=0.02)
    return frozen


def freeze_retries(clone: Clone, *shards: str) -> dict[str, int]:
    wait_until(lambda: all(len(clone.shard_jobs(shard)) == 2 for shard in shards))
    return freeze(clone, {shard: clone.batches(shard) for shard in shards})


def restarted(clone: Clone, shard: str) -> bool:
    (job,) = clone.shard_jobs(shard)
    return (job["Restarts"], job["JobState"]) == ("1", "RUNNING")


def to_sample(clone: Clone, shard: str) -> int:
    """How many images the last attempt at a shard had still to sample."""
    log = (clone.folder / f"logs/digits/sample_shard/{shard}.log").read_text()
    return int(re.search(rf"(\d+) of {SHARD_SIZE} images to sample", log)[1])


def test_faults_change_no_image(clean, slurm, tmp_path):
    clone = Clone(tmp_path / "clone", slurm)
    clone.check_out()
    clone.copy_networks(clean)
    targets = [clone.samples(shard).relative_to(clone.folder) for shard in HIT]

    # Three shards are sampled, each on a GPU of its own.
    clone.start(*targets)
    frozen = freeze(clone, dict.fromkeys(HIT, 2))
    first = {shard: clone.shard_jobs(shard)[0] for shard in HIT}
    assert len({job["GRES"] for job in first.values()}) == 3
    assert {job["Partition"] for job in first.values()} == {"cpu"}  # Slurm's default, since the profile names none

    # One is queued again by Slurm itself, as are the jobs of a node that is lost, and goes on.
    slurm.run("scontrol", "requeue", first[KILLED]["JobId"])
    wait_until(lambda: restarted(clone, KILLED))
    frozen |= freeze(clone, {KILLED: clone.batches(KILLED)})
    assert 0 < to_sample(clone, KILLED) < SHARD_SIZE - 2

    # All are hit. The time limit is brought forward, for it counts in minutes; not to this very second, which may have
    # passed when Slurm reads of it.
    remaining = {CANCELLED: SHARD_SIZE - clone.batches(CANCELLED)}
    slurm.run("scontrol", "update", f"JobId={first[TIMED_OUT]['JobId']}", "EndTime=now+5")
    slurm.run("scancel", first[CANCELLED]["JobId"])
    os.kill(frozen[KILLED], signal.SIGKILL)

    # All three are tried again when the driver is killed. One then ends well, two hang.
    frozen = freeze_retries(clone, CANCELLED, KILLED) | freeze_retries(clone, TIMED_OUT)
    remaining |= {shard: SHARD_SIZE - clone.batches(shard) for shard in (KILLED, TIMED_OUT)}
    clone.driver.kill()
    clone.driver.wait()
    os.kill(frozen[CANCELLED], signal.SIGCONT)
    wait_until(lambda: clone.shard_jobs(CANCELLED)[1]["JobState"] == "COMPLETED")

    # The same command again.
    clone.start(*targets)
    clone.finish()

    jobs = {shard: clone.shard_jobs(shard) for shard in HIT}
    assert {shard: [job["JobState"] for job in jobs[shard]] for shard in HIT} == {
        CANCELLED: ["CANCELLED", "COMPLETED"],
        KILLED: ["FAILED", "CANCELLED", "COMPLETED"],  # the second of each three: by the second driver
        TIMED_OUT: ["TIMEOUT", "CANCELLED", "COMPLETED"],
    }
    for shard in HIT:
        failed, retry = first[shard], jobs[shard][1]
        assert (failed["MinMemoryNode"], failed["TimeLimit"]) == ("12000M", "00:11:00")
        assert (retry["MinMemoryNode"], retry["TimeLimit"]) == ("24000M", "00:22:00")
        # Slurm lets a halted process run on before it stops it, which may be another image.
        assert 0 < to_sample(clone, shard) <= remaining[shard]
        slurm_log = f"logs/slurm/rule_sample_shard/{failed['wildcards']}/{failed['JobId']}.log"
        assert (clone.folder / slurm_log).exists()
        assert slurm_log in clone.said
    assert "Nothing to be done" in clone.planned(*targets)

    clean.finish()
    for shard in HIT:
        assert clone.samples(shard).read_bytes() == clean.samples(shard).read_bytes()
    for run in {clone.samples(shard).parent.relative_to(clone.folder) for shard in HIT}:
        assert sorted(os.listdir(clone.folder / run)) == sorted(os.listdir(clean.folder / run))
