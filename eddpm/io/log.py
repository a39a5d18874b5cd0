"""Log lines and progress bars, for the person at the terminal or the log file of a job."""

import logging
import sys
from collections.abc import Iterable

from tqdm import tqdm


class _Lines(logging.Handler):
    """One line of stderr for each record, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def show_log() -> None:
    """Print what eddpm logs, with the time, on stderr. A library that imports eddpm decides for itself."""
    lines = _Lines()
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    package = logging.getLogger("eddpm")
    package.handlers[:] = [lines]
    package.setLevel(logging.INFO)
    package.propagate = False


def progress(items: Iterable | None = None, **options) -> tqdm:
    """A progress bar on a terminal; silent in a log file."""
    return tqdm(items, disable=None, leave=False, dynamic_ncols=True, **options)
