"""Files that are not of the kind that their name promises."""

import os

import pytest
from refusals import refusal

from eddpm.io.filekinds import impostor, refuse_impostor

PAGE = b'\xef\xbb\xbf\n<!-- saved -->\n<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title>'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "is empty"),
        (PAGE, "is a web page"),
        (b"<html>", "is a web page"),
        ("\ufeff<html>\n<body>".encode("utf-16-le"), "is a web page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (POINTER, "is a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s1--ab.png\n", "is a git-annex pointer"),
        ("a" + "é" * 600, "is text that begins"),  # with a character cut in two at the end
        (b"Entry not found", "is text that begins 'Entry not found'"),
        ('{"error": "Zugriff verweigert für ' + "x" * 2000, "is text that begins"),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"PK\x03\x04", None),
        (b"\x93NUMPY\x01\x00", None),
        (b"\x80\x02}q\x00.", None),
    ],
)
def test_what_is_no_data_is_told_by_its_first_bytes(start, reason):
    found = impostor(start.encode()[:1024] if isinstance(start, str) else start)
    assert (found is None) if reason is None else found.startswith(reason)


def test_text_is_data_where_text_is_wanted():
    assert impostor(b"run\tsource\n", text=True) is None
    assert "web page" in impostor(PAGE, text=True)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.symlink_to("gone"), "is a link to a file that does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is a pipe"),
    ],
)
def test_a_path_without_a_file_is_named(tmp_path, make, told):
    make(tmp_path / "x")
    assert refusal(refuse_impostor, tmp_path / "x").startswith(told)


def test_of_a_file_of_data_the_first_bytes_are_given(tmp_path):
    (tmp_path / "x").write_bytes(bytes(5000))
    assert refuse_impostor(tmp_path / "x") == bytes(1024)
