"""Published files: linked or fetched, and taken only with the right bytes."""

import http.server
import os
import threading

import pytest

from eddpm.errors import ArtifactError
from eddpm.io.files import sha256
from eddpm.stages import fetch as stage
from eddpm.stages.fetch import fetch_asset

PUBLISHED = b"\0published"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "elsewhere/weights.pt"
    path.parent.mkdir()
    path.write_bytes(PUBLISHED)
    return path


@pytest.fixture
def asset(tmp_path):
    return tmp_path / "resources/assets/weights.pt"


@pytest.fixture(params=["path", "url"])
def name(request):
    """How a source is given."""
    return str if request.param == "path" else lambda path: path.as_uri()


def test_a_local_file_is_linked_and_stays_where_it_is_already(source, asset):
    for _ in range(2):  # again, over the link
        fetch_asset(str(source), sha256(source), asset)
        assert asset.is_symlink()
        assert asset.read_bytes() == PUBLISHED
    fetch_asset(str(source), sha256(source), source)
    assert not source.is_symlink()
    assert source.read_bytes() == PUBLISHED


def test_with_the_right_checksum_a_file_comes_and_nothing_is_recorded(source, asset, name):
    fetch_asset(name(source), sha256(source), asset)
    assert asset.read_bytes() == PUBLISHED
    assert asset.is_symlink() == (name is str)
    assert list(asset.parent.iterdir()) == [asset]


def test_other_bytes_are_refused_and_leave_nothing(source, asset, name):
    with pytest.raises(ArtifactError, match=f"has SHA-256 {sha256(source)}, not {'0' * 64}"):
        fetch_asset(name(source), "0" * 64, asset)
    assert not list(asset.parent.glob("*"))


def test_a_missing_file_is_named_with_its_place_and_leaves_no_record(tmp_path, asset):
    with pytest.raises(ArtifactError, match=r"nowhere\.pt: does not exist; give the path of weights\.pt"):
        fetch_asset("nowhere.pt", None, asset)
    with pytest.raises(ArtifactError, match=rf"cannot be fetched \(No such file .* put it .* {asset}, or"):
        fetch_asset((tmp_path / "nowhere.pt").as_uri(), None, asset)
    assert not list(tmp_path.rglob("*.sha256"))


def test_a_folder_is_named_with_the_files_in_it(source, asset):
    with pytest.raises(ArtifactError, match=r"elsewhere: is a folder; name a file in it: weights\.pt$"):
        fetch_asset(str(source.parent), None, asset)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("a web page", b"\n<!DOCTYPE html><html><title>Sign in</title>"),
        ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"),
        ("empty", b""),
        ("text that begins 'Entry not found'", b"Entry not found"),
    ],
)
@pytest.mark.parametrize("pinned", [False, True])
def test_impostors_are_refused_and_never_recorded(source, asset, name, kind, content, pinned):
    source.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        fetch_asset(name(source), sha256(source) if pinned else None, asset)
    assert str(caught.value).startswith(f"{name(source)}: is {kind}")
    assert not list(asset.parent.glob("*"))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_fetched_file_follows_the_umask_and_a_linked_one_stays_as_it_was(source, tmp_path, umask, mode):
    source.chmod(0o444)
    before = os.umask(umask)
    try:
        fetch_asset(source.as_uri(), None, tmp_path / "assets/fetched.pt")
        fetch_asset(str(source), None, tmp_path / "assets/linked.pt")
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "assets").iterdir()}
    records = dict.fromkeys(("fetched.pt.sha256", "linked.pt.sha256"), oct(mode))
    assert modes == {"fetched.pt": oct(mode), "linked.pt": oct(0o444)} | records


# By HTTP ----------------------------------------------------------------------------------------------------------

LARGE = b"\0" + os.urandom(2**20 - 1)


class Server(http.server.ThreadingHTTPServer):
    """Gives LARGE with the ranges that are asked for, after some answers that go wrong."""

    url: str
    faults: list  # of the first answers: bytes after which one breaks off, or a status
    etag: str | None = '"1"'
    asked: list[str | None]  # the Range of each request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server: Server = self.server
        server.asked.append(self.headers["Range"])
        fault = server.faults.pop(0) if server.faults else len(LARGE)
        if fault in (404, 503):
            return self.send_error(fault)
        resumed = self.headers["If-Range"] == server.etag and self.headers["Range"]
        start = int(resumed.removeprefix("bytes=").removesuffix("-")) if resumed else 0
        self.send_response(206 if resumed else 200)
        self.send_header("Content-Length", str(len(LARGE) - start))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(LARGE[start : start + fault])
        if server.faults:
            server.etag = server.faults.pop(0)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(stage, "PAUSES", (0, 0, 0, None))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.url, server.faults, server.asked = f"http://127.0.0.1:{server.server_port}/weights.pt", [], []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        ([], [None]),
        ([503], [None, None]),
        ([2**18, '"1"', 2**17, '"1"'], [None, "bytes=262144-", "bytes=393216-"]),
        ([2**18, '"2"'], [None, "bytes=262144-"]),  # another version meanwhile: it comes whole
        ([2**18, None], [None, "bytes=262144-"]),
    ],
)
def test_a_download_goes_on_where_it_broke_off(server, asset, faults, asked):
    server.faults = faults
    fetch_asset(server.url, None, asset)
    assert asset.read_bytes() == LARGE
    assert server.asked == asked


@pytest.mark.parametrize(
    ("faults", "attempts", "reason"),
    [([503] * 4, 4, "503 "), ([404], 1, "404 "), ([9, '"1"'] * 4, 4, "IncompleteRead|bytes came")],
)
def test_a_failed_download_is_one_line_and_leaves_neither_file_nor_record(server, asset, faults, attempts, reason):
    server.faults = faults
    with pytest.raises(ArtifactError, match=rf"cannot be fetched \(.*({reason})[^\n]+ put it [^\n]+ {asset}, or"):
        fetch_asset(server.url, None, asset)
    assert len(server.asked) == attempts
    assert not list(asset.parent.iterdir())


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:1/a.pt", "Connection refused"), ("s3://a/b.pt", "No connection adapters .*")]
)
def test_an_address_without_a_server_is_one_line(asset, monkeypatch, url, reason):
    monkeypatch.setattr(stage, "PAUSES", (0, None))
    with pytest.raises(ArtifactError, match=rf"{url}: cannot be fetched \({reason}\)"):
        fetch_asset(url, None, asset)


def test_a_server_that_falls_silent_is_not_waited_for_without_end(asset, monkeypatch):
    monkeypatch.setattr(stage, "PAUSES", (None,))
    monkeypatch.setattr(stage, "TIMEOUT", 0.2)
    with (
        http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent,  # accepts, and never answers
        pytest.raises(ArtifactError, match=r"cannot be fetched \(timed out\)"),
    ):
        fetch_asset(f"http://127.0.0.1:{silent.server_port}/weights.pt", None, asset)


def test_a_page_about_a_file_is_named_with_the_address_of_the_file(asset, monkeypatch):
    monkeypatch.setattr(stage, "_receive", lambda url, path: path.write_bytes(b"<!doctype html>"))
    with pytest.raises(ArtifactError, match=r"is a web page, .*; write /resolve/ in place of /blob/$"):
        fetch_asset("https://huggingface.co/a/b/blob/main/weights.pt", None, asset)


# Without a checksum -----------------------------------------------------------------------------------------------


def test_the_first_checksum_is_recorded_as_sha256sum_writes_it_and_holds_until_removed(source, asset, name, capsys):
    record, first = asset.with_name("weights.pt.sha256"), sha256(source)
    fetch_asset(name(source), None, asset)
    assert record.read_text() == f"{first}  weights.pt\n"
    assert f"{asset}: SHA-256 {first}, recorded in weights.pt.sha256" in capsys.readouterr().err
    asset.unlink()
    fetch_asset(name(source), None, asset)
    assert asset.read_bytes() == PUBLISHED

    source.write_bytes(b"\0published again")
    with pytest.raises(ArtifactError, match=rf"not {first}; .* delete {record} to take this one"):
        fetch_asset(name(source), None, asset)
    fetch_asset(name(source), sha256(source), asset)  # one of the configuration counts more
    assert asset.read_bytes() == b"\0published again"
    assert record.read_text() == f"{first}  weights.pt\n"
    record.unlink()
    fetch_asset(name(source), None, asset)
    assert record.read_text() == f"{sha256(source)}  weights.pt\n"


def test_a_record_may_lie_elsewhere_and_an_empty_one_is_none(source, asset, tmp_path):
    record = tmp_path / "records/weights.pt.sha256"
    record.parent.mkdir()
    record.touch()
    fetch_asset(str(source), None, asset, record)
    assert record.read_text() == f"{sha256(source)}  weights.pt\n"
    assert list(asset.parent.iterdir()) == [asset]
    source.write_bytes(b"\0another")
    with pytest.raises(ArtifactError, match=f"or delete {record} to take this one"):
        fetch_asset(str(source), None, asset, record)
