"""The table of checksums: when a file is read again, and which files count as changed."""

import os
from pathlib import Path

import pytest

from eddpm.io import checksums
from eddpm.io.checksums import Checksums
from eddpm.io.files import sha256


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def reads(monkeypatch):
    """The files that are read for their checksum."""
    seen = []
    monkeypatch.setattr(checksums, "sha256", lambda path: seen.append(Path(path)) or sha256(path))
    return seen


def recorded(table: Path, file: Path) -> Checksums:
    """The table, read from a file in which `file` was recorded."""
    Checksums(table).save()
    first = Checksums(table)
    first.record(file)
    first.save()
    return Checksums(table)


def test_a_file_that_is_as_it_was_is_read_once(file, tmp_path, reads):
    table = recorded(tmp_path / "table.json", file)
    assert table.digest(file) == sha256(file)
    assert not table.changed()
    assert reads == [file]


def copied_over(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"changed")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    os.replace(other, file)


def written_in_place(file: Path) -> None:
    times = file.stat()
    file.write_bytes(b"changed")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [copied_over, written_in_place, lambda file: file.write_bytes(b"")])
def test_other_bytes_are_seen_whatever_their_size_and_date(change, file, tmp_path):
    before, table = sha256(file), recorded(tmp_path / "table.json", file)
    change(file)
    assert table.changed() == {str(file): before}
    assert table.digest(file) == sha256(file)


def test_a_file_that_was_only_touched_is_not_changed_and_read_once_more(file, tmp_path, reads):
    table = recorded(tmp_path / "table.json", file)
    assert not table.renewed
    os.utime(file, (0, 0))
    assert not table.changed()
    assert table.renewed
    assert not table.changed()
    assert reads == [file, file]


def test_a_file_that_is_gone_is_not_changed_and_leaves_the_table(file, tmp_path):
    table = recorded(tmp_path / "table.json", file)
    file.unlink()
    assert not table.changed()
    table.save()
    assert (tmp_path / "table.json").read_text() == "{}\n"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', '{"a": []}', '{"a": ["0", "x", 1, 2, 3]}', '{"a": ["0", 1]}']
)
def test_a_damaged_table_is_an_empty_one_and_the_log_says_so(text, file, tmp_path, caplog):
    (tmp_path / "table.json").write_text(text)
    with caplog.at_level("INFO", "eddpm"):
        table = Checksums(tmp_path / "table.json")
    assert table.digest(file) == sha256(file)
    assert not table.changed()
    assert "table.json: is damaged" in caplog.text
