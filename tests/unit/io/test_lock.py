"""A folder has one driver: hosts are played by names, and file systems without locks by a flock that fails."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest
from full_disk import room_for
from tiny import REPO

from eddpm.errors import ArtifactError, ConfigError
from eddpm.io import lock
from eddpm.io.lock import ALIVE, DirectoryLock


@pytest.fixture
def on(monkeypatch):
    """Makes this process one of another host, with locks or without."""

    def go(host: str, flock=lambda *_: None) -> None:
        monkeypatch.setattr(lock.socket, "gethostname", lambda: host)
        monkeypatch.setattr(lock.fcntl, "flock", flock)

    return go


def unsupported(*_):
    raise OSError("No locks available")


def age(folder, seconds: float) -> None:
    os.utime(folder / "driver.sign", (then := time.time() - seconds, then))


def test_a_second_process_of_the_same_host_is_refused_until_the_first_releases(tmp_path):
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
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"driver\.lock: cannot be written \(Not a directory\); give another path$"):
        DirectoryLock(tmp_path / "file")


def test_after_a_kill_the_same_host_goes_on_at_once_by_its_lock(tmp_path):
    """A killed process leaves its sign, and its lock ends."""
    killed = DirectoryLock(tmp_path)
    fcntl.flock(killed._lock, fcntl.LOCK_UN)
    DirectoryLock(tmp_path).release()


@pytest.mark.parametrize("flock", [lambda *_: None, unsupported], ids=["locks of one host alone", "no locks"])
def test_another_host_is_refused_by_the_sign_of_life_until_that_is_old(tmp_path, on, flock):
    on("login1", flock)
    first = DirectoryLock(tmp_path)
    on("login2", flock)
    with pytest.raises(ConfigError, match=f"on login1; wait for it.*forgotten after {ALIVE} s"):
        DirectoryLock(tmp_path)
    age(tmp_path, ALIVE + 5)
    DirectoryLock(tmp_path).release()
    first.release()


def test_without_locks_the_same_host_is_refused_by_the_sign_of_life(tmp_path, on):
    on("login1", unsupported)
    first = DirectoryLock(tmp_path)
    with pytest.raises(ConfigError, match="on login1"):
        DirectoryLock(tmp_path)
    first.release()
    DirectoryLock(tmp_path).release()


def test_the_sign_of_life_is_renewed_until_release(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    hold = DirectoryLock(tmp_path)
    age(tmp_path, 1000)
    deadline = time.monotonic() + 10
    while time.time() - (tmp_path / "driver.sign").stat().st_mtime > 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    hold.release()
    time.sleep(0.05)
    assert not (tmp_path / "driver.sign").exists()


HOLDER = """
import sys, time
from pathlib import Path
from eddpm.io.lock import DirectoryLock
hold = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=REPO,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_refused_with_the_host_and_folder_until_the_first_ends(tmp_path, holder):
    with pytest.raises(ConfigError) as caught:
        DirectoryLock(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path.parent}: another snakemake is at work here, on {lock.socket.gethostname()};")
    assert len(message.splitlines()) == 1
    holder.communicate()
    assert not (tmp_path / "driver.sign").exists()  # released at exit
    DirectoryLock(tmp_path).release()


def test_a_process_that_was_killed_leaves_its_sign_and_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "driver.sign").read_text() == lock.socket.gethostname()
    DirectoryLock(tmp_path).release()


def test_a_refused_process_leaves_the_holders_sign(tmp_path, on):
    on("login1", unsupported)
    first = DirectoryLock(tmp_path)
    on("login2", unsupported)
    with pytest.raises(ConfigError):
        DirectoryLock(tmp_path)
    assert (tmp_path / "driver.sign").read_text() == "login1"
    first.release()


def test_a_sign_that_was_removed_is_given_again(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    hold, deadline = DirectoryLock(tmp_path), time.monotonic() + 10
    (tmp_path / "driver.sign").unlink()
    while not (tmp_path / "driver.sign").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    hold.release()


def test_the_age_of_a_sign_is_told_by_the_clock_of_the_file_system(tmp_path, on, monkeypatch):
    """This host's clock, an hour off, has no say."""
    on("login1", unsupported)
    first = DirectoryLock(tmp_path)
    on("login2", unsupported)
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(ConfigError, match="on login1"):
        DirectoryLock(tmp_path)
    first.release()
