"""A folder has one driver: hosts are played by names, and file systems without locks by a flock that fails."""

import fcntl
import os
import time

import pytest

from eddpm import driver
from eddpm.driver import ALIVE, Hold
from eddpm.errors import ConfigError


@pytest.fixture
def on(monkeypatch):
    """Makes this process one of another host, with locks or without."""

    def go(host: str, flock=lambda *_: None) -> None:
        monkeypatch.setattr(driver.socket, "gethostname", lambda: host)
        monkeypatch.setattr(driver.fcntl, "flock", flock)

    return go


def unsupported(*_):
    raise OSError("No locks available")


def age(folder, seconds: float) -> None:
    os.utime(folder / "driver.sign", (then := time.time() - seconds, then))


def test_a_second_process_of_the_same_host_is_refused_until_the_first_releases(tmp_path):
    first = Hold(tmp_path)
    with pytest.raises(ConfigError, match="another snakemake is at work here, on "):
        Hold(tmp_path)
    first.release()
    first.release()
    Hold(tmp_path).release()
    assert not (tmp_path / "driver.sign").exists()


def test_after_a_kill_the_same_host_goes_on_at_once_by_its_lock(tmp_path):
    """A killed process leaves its sign, and its lock ends."""
    killed = Hold(tmp_path)
    fcntl.flock(killed._lock, fcntl.LOCK_UN)
    Hold(tmp_path).release()


@pytest.mark.parametrize("flock", [lambda *_: None, unsupported], ids=["locks of one host alone", "no locks"])
def test_another_host_is_refused_by_the_sign_of_life_until_that_is_old(tmp_path, on, flock):
    on("login1", flock)
    first = Hold(tmp_path)
    on("login2", flock)
    with pytest.raises(ConfigError, match=f"on login1; wait for it.*forgotten after {ALIVE} s"):
        Hold(tmp_path)
    age(tmp_path, ALIVE + 5)
    Hold(tmp_path).release()
    first.release()


def test_without_locks_the_same_host_is_refused_by_the_sign_of_life(tmp_path, on):
    on("login1", unsupported)
    first = Hold(tmp_path)
    with pytest.raises(ConfigError, match="on login1"):
        Hold(tmp_path)
    first.release()
    Hold(tmp_path).release()


def test_the_sign_of_life_is_renewed_until_release(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.01)
    hold = Hold(tmp_path)
    age(tmp_path, 1000)
    deadline = time.monotonic() + 10
    while time.time() - (tmp_path / "driver.sign").stat().st_mtime > 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    hold.release()
    time.sleep(0.05)
    assert not (tmp_path / "driver.sign").exists()
