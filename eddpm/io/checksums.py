"""SHA-256 of files, kept in a table: a file is read again once its size, inode or a time of its status has changed.

A copy under an old date, an edit that keeps the size, or another file moved into place are seen. Bits that a disk loses
without a trace in the status are not.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, sha256, write_json

logger = logging.getLogger(__name__)


class Checksums:
    """The files of a table. Paths are kept as they are given."""

    def __init__(self, table: Path):
        """Reads the table, if there is one; the files of a damaged one are taken as they are now, which is logged."""
        self._table, self._rows = table, {}  # path -> [SHA-256, *status]
        if table.exists():
            try:
                self._rows = _rows(read_json(table))
            except (ArtifactError, TypeError, ValueError):
                logger.info(f"{table}: is damaged; the files that it lists are taken as they are now")
        self._read = {path: [*row] for path, row in self._rows.items()}

    @property
    def renewed(self) -> bool:
        """True if the table in the file is another by now."""
        return self._rows != self._read

    def __iter__(self) -> Iterator[str]:
        """The files that are recorded."""
        return iter(self._rows)

    def digest(self, path: str | Path) -> str:
        """The SHA-256 of a file, which is read where it is not in the table as it is now."""
        row, status = self._rows.get(str(path)), _status(path)
        if row is None or row[1:] != status:
            row = self._rows[str(path)] = [sha256(path), *status]
        return row[0]

    def changed(self) -> dict[str, str]:
        """The files that hold other bytes than when they were recorded: path -> SHA-256 in the table.

        Files that are gone do not count; one that was only touched is recorded anew.
        """
        found = {}
        for path, row in self._rows.items():
            try:
                status = _status(path)
                if row[1:] != status and sha256(path) != row[0]:
                    found[path] = row[0]
                else:
                    row[1:] = status
            except OSError:  # gone or unreadable: the job that needs it tells
                continue
        return found

    def recorded_time(self, path: str) -> int:
        """The mtime that a recorded file had, in nanoseconds."""
        return self._rows[path][3]

    def record(self, path: str | Path, digest: str | None = None) -> None:
        """Take a file as it is now, with its SHA-256 where it is known."""
        if digest is None:
            self.digest(path)
        else:
            self._rows[str(path)] = [digest, *_status(path)]

    def forget(self, paths: Iterable[str | Path]) -> None:
        for path in paths:
            self._rows.pop(str(path), None)

    def save(self) -> None:
        """Write the table, without files that are gone."""
        write_json(self._table, {path: row for path, row in sorted(self._rows.items()) if os.path.exists(path)})


def _rows(values: dict) -> dict[str, list]:
    """The rows of a table. Raises TypeError or ValueError where it is none."""
    return {path: [str(digest), *map(int, (a, b, c, d))] for path, (digest, a, b, c, d) in values.items()}


def _status(path: str | Path) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
