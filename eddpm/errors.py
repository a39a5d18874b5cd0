"""Mistakes of the user. The command line prints the message as one line and exits with 2."""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


class EddpmError(Exception):
    """A mistake of the user's; the message names the place, the value and the remedy, in one line."""

    def __str__(self) -> str:
        """Line breaks and the like, which names and values within files may hold, as backslash escapes."""
        return escaped(super().__str__())


class ConfigError(EddpmError):
    """A configuration file, a runs table or a settings file that cannot be used."""


class ArtifactError(EddpmError):
    """A data set, checkpoint or sample file that is missing, damaged, of another kind than asked for, or unwritable."""


def escaped(text: str) -> str:
    """A text with line breaks, tabs and bytes that are no Unicode as backslash escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def reason_of(error: Exception) -> str:
    """The text of another's exception on one line, without the path that the message names anyway."""
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def first_line(error: Exception) -> str:
    """The first line of another's exception, whose text goes on with advice or a traceback."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


# Files that cannot be written or read -----------------------------------------------------------------------------

_NO_ROOM = "make room there, or raise the quota or limit, and give the same command again"
_NO_RIGHT = "change its permissions, or work in another folder"
_NO_DISK = "the disk or the network file system fails: have it checked, and give the same command again"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _NO_ROOM),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _NO_RIGHT),
    **dict.fromkeys((errno.EIO, errno.ESTALE), _NO_DISK),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG), "give another path"),
}


def writing(path: Path) -> AbstractContextManager[None]:
    """Within the block `path` is written, by whatever library. A full disk, or no right to, is an ArtifactError."""
    return _using(path, "written")


def reading(path: Path) -> AbstractContextManager[None]:
    """Within the block `path` is read, by whatever library. A disk that fails, or no right to, is an ArtifactError."""
    return _using(path, "read")


@contextmanager
def _using(path: Path, used: str) -> Iterator[None]:
    try:
        yield
    except EddpmError:
        raise
    except Exception as error:
        cause = _system_error(error)
        if cause and _is_about(cause, path):
            raise ArtifactError(f"{path}: cannot be {used} ({os.strerror(cause.errno)}); {remedy(cause)}") from None
        raise


def remedy(error: OSError) -> str | None:
    """The way out of an error of the operating system, if the user has one."""
    return _REMEDIES.get(error.errno)


def _system_error(error: BaseException | None) -> OSError | None:
    """The error of the operating system behind a library's: its cause, or a number in its text, as of torch."""
    while error:
        if isinstance(error, OSError) and remedy(error):
            return error
        for number in _REMEDIES:
            if f"(os error {number})" in str(error) or f"{os.strerror(number)} ({number})" in str(error):
                return OSError(number, "")
        error = error.__cause__ or error.__context__
    return None


def _is_about(error: OSError, path: Path) -> bool:
    """Not about a file elsewhere, which was read meanwhile."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if name is not None]
    return not names or any(name in path.parents or name.parent == path.parent for name in names)
