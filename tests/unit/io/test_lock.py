"""A folder has one driver: hosts are played by names, and file systems without locks by a flock that fails."""

import os
import subprocess
import sys
import time

import pytest
from full_disk import room_for
from tiny import REPO

from eddpm.errors import ArtifactError, ConfigError
from eddpm.io import lock
from eddpm.io.lock import ALIVE, DirectoryLock


def test_a_folder_is_free_again_once_it_is_released(tmp_path):
    first = DirectoryLock(tmp_path)
    with pytest.raises(ConfigError, match="another snakemake is at work here, on "):
        DirectoryLock(tmp_path)
    first.release()
    first.release()
    DirectoryLock(tmp_path).release()
    assert not (tmp_path / "driver.sign").exists()


def test_a_folder_in_which_nothing_can_be_written_is_refused_in_one_line(tmp_path):
    with (
        room_for(0),
        pytest.raises(ArtifactError, match=r"driver\.sign: cannot be written \(File too large\); [^\n]+$"),
    ):
        DirectoryLock(tmp_path)
    assert not (tmp_path / "driver.sign").exists()  # an empty one would refuse the next driver
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"driver\.lock: cannot be written \(Not a directory\); give another path$"):
        DirectoryLock(tmp_path / "file")


def unsupported(*_):
    raise OSError("No locks available")


@pytest.mark.parametrize(
    ("flock", "host"),
    [(lambda *_: None, "login2"), (unsupported, "login2"), (unsupported, "login1")],
    ids=["locks of one host alone", "no locks", "no locks, on the same host"],
)
def test_another_driver_is_refused_by_the_sign_of_life_until_that_is_old(tmp_path, monkeypatch, flock, host):
    monkeypatch.setattr(lock.fcntl, "flock", flock)
    monkeypatch.setattr(lock.socket, "gethostname", lambda: "login1")
    first = DirectoryLock(tmp_path)
    monkeypatch.setattr(lock.socket, "gethostname", lambda: host)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 0)  # the clock of the file system counts, not this host's
        with pytest.raises(ConfigError, match=f"on login1; wait for it.*forgotten after {ALIVE} s"):
            DirectoryLock(tmp_path)
    assert (tmp_path / "driver.sign").read_text() == "login1"
    os.utime(tmp_path / "driver.sign", (time.time() - ALIVE - 5,) * 2)
    DirectoryLock(tmp_path).release()
    first.release()


def test_the_sign_of_life_is_renewed_until_release(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    hold, sign = DirectoryLock(tmp_path), tmp_path / "driver.sign"
    sign.unlink()
    deadline = time.monotonic() + 10
    while not sign.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    hold.release()
    time.sleep(0.05)
    assert not sign.exists()


HOLDER = """
import sys
from pathlib import Path
from eddpm.io.lock import DirectoryLock
hold = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_another_process_is_refused_until_the_first_ends_or_is_killed(tmp_path, killed):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPO, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError) as caught:
            DirectoryLock(tmp_path)
        here = f"{tmp_path.parent}: another snakemake is at work here, on {lock.socket.gethostname()};"
        assert str(caught.value).startswith(here)
        assert len(str(caught.value).splitlines()) == 1
        if killed:
            holder.kill()
        holder.communicate()
    assert (tmp_path / "driver.sign").exists() == killed  # else released at exit
    DirectoryLock(tmp_path).release()
