"""A file that cannot be written for want of space or rights is one line, whatever library writes it."""

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from eddpm.errors import ArtifactError, ConfigError, writing


def of_library(text: str, cause: Exception | None = None) -> Exception:
    """A library's error, which hides that of the operating system in its text or its cause."""
    error = RuntimeError(text)
    error.__cause__ = cause
    return error


def raised(error: Exception, path: Path) -> BaseException:
    with pytest.raises(BaseException) as caught, writing(path):  # noqa: PT011, any
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason", "way_out"),
    [
        (OSError(errno.ENOSPC, "full"), "No space left on device", "make room there"),
        (OSError(errno.EDQUOT, "quota"), "Disk quota exceeded", "raise the quota"),
        (OSError(errno.EROFS, "ro"), "Read-only file system", "change its permissions, or work in another folder"),
        (PermissionError(errno.EACCES, "no", "out/.a.npz.tmp"), "Permission denied", "change its permissions"),
        (OSError(errno.EIO, "fails"), "Input/output error", "have it checked"),
        (OSError(errno.ESTALE, "gone"), "Stale file handle", "the network file system fails"),
        (NotADirectoryError(errno.ENOTDIR, "no", "out"), "Not a directory", "give another path"),
        (SafetensorError("I/O error: No space left (os error 28)"), "No space left on device", "make room there"),
        (
            of_library("shm: No space left on device (28)"),
            "No space left on device",
            "make room there",
        ),
        (of_library("unexpected pos 704", OSError(errno.ENOSPC, "full")), "No space left on device", "make room there"),
    ],
)
def test_an_error_of_writing_is_one_line_with_the_file_the_reason_and_the_way_out(error, reason, way_out):
    found = raised(error, Path("out/a.npz"))
    assert isinstance(found, ArtifactError)
    assert str(found).startswith(f"out/a.npz: cannot be written ({reason}); ")
    assert way_out in str(found)
    assert len(str(found).splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "no", "elsewhere/image.png"),  # read meanwhile
        FileNotFoundError(errno.ENOENT, "none", "out/a.npz"),
        ConnectionResetError(errno.ECONNRESET, "gone"),
        ConfigError("a mistake"),
        ValueError("a bug"),
        of_library("shape mismatch (28)"),
        of_library("a bug", ValueError("behind it")),
    ],
)
def test_other_errors_are_left_as_they_are(error):
    assert raised(error, Path("out/a.npz")) is error


def test_a_mistake_is_told_in_one_line_whatever_it_quotes():
    assert str(ArtifactError("a\nb\u2028c\x1bd\ud800: é")) == "a\\nb\\u2028c\\x1bd\\ud800: é"
