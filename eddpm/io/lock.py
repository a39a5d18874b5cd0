"""One Snakemake at a time in a folder, on whichever host.

A lock of the operating system ends with its process, but may be invisible from another host, or not exist at all. So
the holder also gives a sign of life: a file whose time it renews. The file server's clock tells the age of the sign,
so that hosts whose clocks differ agree. A process is refused while another holds the lock, or the sign is fresh,
unless the lock is free and the sign is of this very host: then its process was killed. No library does both: locks
alone fail on such file systems, and lock files of libraries outlive a killed process.
"""

import atexit
import contextlib
import fcntl
import os
import socket
import threading
from pathlib import Path

from eddpm.errors import ArtifactError, ConfigError, writing
from eddpm.io.files import write_text

BEAT = 15  # seconds between two signs of life
ALIVE = 90  # seconds for which a sign of life holds: caches of a shared file system may show an old time for a minute


class DirectoryLock:
    """A folder held for this process until `release`, or its end.

    Raises ConfigError where another process holds it, and ArtifactError where nothing can be written there.
    """

    def __init__(self, folder: Path):
        self._folder, self._sign = folder, folder / "driver.sign"
        with writing(folder / "driver.lock"):
            self._lock = open(folder / "driver.lock", "wb")  # noqa: SIM115, freed with this object
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            raise self._refusal() from None
        except OSError:  # no locks on this file system
            locked = False
        if self._age() < ALIVE and not (locked and self._holder() == socket.gethostname()):
            raise self._refusal()
        self._give_sign()
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        atexit.register(self.release)

    def release(self) -> None:
        if not self._released.is_set():
            self._released.set()
            self._beating.join()  # or it might give one more sign
            self._sign.unlink(missing_ok=True)
            self._lock.close()

    def _give_sign(self) -> None:
        write_text(self._sign, socket.gethostname())  # whole: on a full disk, an empty one would name no host

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with contextlib.suppress(
                OSError, ArtifactError
            ):  # a file system that is away for a moment: the next one will do
                self._give_sign()

    def _age(self) -> float:
        """Seconds since the last sign of life, by the clock of the file system; infinite without one."""
        try:
            with open(self._sign, "rb") as sign:  # opened, so that a shared file system looks again
                last = os.fstat(sign.fileno()).st_mtime
        except FileNotFoundError:
            return float("inf")
        os.utime(self._lock.name)
        return os.stat(self._lock.name).st_mtime - last

    def _holder(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._sign.read_text(encoding="utf-8")
        return ""

    def _refusal(self) -> ConfigError:
        holder = self._holder() or socket.gethostname()
        return ConfigError(
            f"{self._folder.parent.absolute()}: another snakemake is at work here, on {holder}; wait for it, or stop it"
            f" there (one that was killed is forgotten after {ALIVE} s)"
        )
