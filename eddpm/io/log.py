"""Log lines and progress bars, for the person at the terminal or the log file of a job."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

EVERY = 60  # seconds from a line of progress to the next


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


def followed(batches: Iterable, total: int, unit: str) -> Iterator[Any]:
    """The batches, with the time that is left: a bar on a terminal, a line a minute in a log file."""
    done, start = 0, time.monotonic()
    last = start
    with progress(total=total, unit=unit) as bar:
        for batch in batches:
            yield batch
            done, now = done + len(batch), time.monotonic()
            bar.update(len(batch))
            if bar.disable and done < total and now - last >= EVERY:
                left, last = (now - start) * (total - done) / done, now
                logger.info(f"{done:,} of {total:,} {unit}s, about {tqdm.format_interval(left)} left")
