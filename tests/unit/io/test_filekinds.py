"""Files that are not of the kind that their name promises."""

import os

import pytest
from refusals import refusal

from eddpm.io.filekinds import impostor, refuse_impostor

PAGE = b'\xef\xbb\xbf\n<!-- saved -->\n<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title>'


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "is empty"),
        (PAGE, "is a web page"),
        ("\ufeff<html>\n<body>".encode("utf-16-le"), "is a web page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "is a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s1--ab.png\n", "is a git-annex pointer"),
        (("a" + "é" * 600).encode()[:1024], "is text that begins"),  # with a character cut in two at the end
        (b"Entry not found", "is text that begins 'Entry not found'"),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"\x80\x02}q\x00.", None),
    ],
)
def test_what_is_no_data_is_told_by_its_first_bytes(start, reason):
    found = impostor(start)
    assert (found is None) if reason is None else found.startswith(reason)


def test_text_is_data_where_text_is_wanted():
    assert impostor(b"run\tsource\n", text=True) is None
    assert "web page" in impostor(PAGE, text=True)


@pytest.mark.parametrize(
    ("make", "told"),
    [(lambda path: path.symlink_to("gone"), "is a link to a file that does not exist"), (os.mkfifo, "is a pipe")],
)
def test_a_path_without_a_file_is_named(tmp_path, make, told):
    make(tmp_path / "x")
    assert refusal(refuse_impostor, tmp_path / "x").startswith(told)
