"""Published files: linked or fetched, and taken only with the right bytes."""

import contextlib
import hashlib
import http.server
import os
import socket
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


def test_with_the_right_checksum_a_file_comes_and_nothing_is_recorded(source, asset, name):
    for _ in range(2):  # again, over what is there
        fetch_asset(name(source), sha256(source), asset)
        assert asset.read_bytes() == PUBLISHED
        assert asset.is_symlink() == (name is str)
        assert list(asset.parent.iterdir()) == [asset]
    fetch_asset(str(source), sha256(source), source)  # where it is already
    assert not source.is_symlink()
    assert source.read_bytes() == PUBLISHED


def test_other_bytes_are_refused_and_leave_nothing(source, asset, name):
    with pytest.raises(ArtifactError, match=f"has SHA-256 {sha256(source)}, not {'0' * 64}"):
        fetch_asset(name(source), "0" * 64, asset)
    assert not list(asset.parent.glob("*"))


def test_what_is_no_file_is_named_with_its_place_and_leaves_no_record(source, tmp_path, asset):
    with pytest.raises(ArtifactError, match=r"nowhere\.pt: does not exist; give the path of weights\.pt"):
        fetch_asset("nowhere.pt", None, asset)
    with pytest.raises(ArtifactError, match=rf"cannot be fetched \(No such file .* put it .* {asset}, or"):
        fetch_asset((tmp_path / "nowhere.pt").as_uri(), None, asset)
    with pytest.raises(ArtifactError, match=r"cannot be fetched \(No connection adapters"):
        fetch_asset("s3://a/b.pt", None, asset)
    with pytest.raises(ArtifactError, match=r"elsewhere: is a folder; name a file in it: weights\.pt$"):
        fetch_asset(str(source.parent), None, asset)
    assert not list(tmp_path.rglob("*.sha256"))


@pytest.mark.parametrize("pinned", [False, True])
def test_a_web_page_is_refused_with_the_address_of_its_file_and_never_recorded(source, asset, pinned):
    page = source.parent / "blob/weights.pt"
    page.parent.mkdir()
    page.write_bytes(b"\n<!DOCTYPE html><html><title>Sign in</title>")
    with pytest.raises(ArtifactError, match=r"is a web page, .*; write /resolve/ in place of /blob/$"):
        fetch_asset(page.as_uri(), sha256(page) if pinned else None, asset)
    with pytest.raises(ArtifactError, match=r"blob/weights\.pt: is a web page"):
        fetch_asset(str(page), sha256(page) if pinned else None, asset)
    assert not list(asset.parent.glob("*"))


def test_the_first_checksum_is_recorded_as_sha256sum_writes_it_and_holds_until_removed(source, asset, name, tmp_path):
    record, first = tmp_path / "records/weights.pt.sha256", sha256(source)
    record.parent.mkdir()
    record.touch()  # an empty one is none
    fetch_asset(name(source), None, asset, record)
    assert record.read_text() == f"{first}  weights.pt\n"
    assert list(asset.parent.iterdir()) == [asset]
    asset.unlink()
    fetch_asset(name(source), None, asset, record)
    assert asset.read_bytes() == PUBLISHED

    source.write_bytes(b"\0published again")
    with pytest.raises(ArtifactError, match=rf"not {first}; .* delete {record} to take this one"):
        fetch_asset(name(source), None, asset, record)
    fetch_asset(name(source), sha256(source), asset, record)  # one of the configuration counts more
    assert asset.read_bytes() == b"\0published again"
    assert record.read_text() == f"{first}  weights.pt\n"


# By HTTP ----------------------------------------------------------------------------------------------------------

LARGE = b"\0" + os.urandom(2**20 - 1)


class Server(http.server.ThreadingHTTPServer):
    """Gives LARGE with the ranges that are asked for, after some answers that go wrong."""

    url: str
    faults: list  # of the first answers: bytes after which one breaks off, or a status
    etag: str | None = '"1"'
    asked: list[str | None]  # the Range of each request
    shift = 0  # of the parts that come, from those that are asked for


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
        if resumed:
            self.send_header("Content-Range", f"bytes {start + server.shift}-{len(LARGE) - 1}/{len(LARGE)}")
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
        ([503], [None, None]),
        ([2**18, '"1"', 2**17, '"1"'], [None, "bytes=262144-", "bytes=393216-"]),
        ([2**18, '"2"'], [None, "bytes=262144-"]),  # another version meanwhile: it comes whole
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


def test_a_server_that_falls_silent_is_not_waited_for_without_end(asset, monkeypatch):
    monkeypatch.setattr(stage, "PAUSES", (None,))
    monkeypatch.setattr(stage, "TIMEOUT", 0.2)
    with (
        http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent,  # accepts, and never answers
        pytest.raises(ArtifactError, match=r"cannot be fetched \(timed out\)"),
    ):
        fetch_asset(f"http://127.0.0.1:{silent.server_port}/weights.pt", None, asset)


# Answers that are not the file --------------------------------------------------------------------------------------


@pytest.fixture
def answering(monkeypatch):
    """A function that starts a server of one answer, as bytes, and returns its address."""
    monkeypatch.setattr(stage, "PAUSES", (0, None))
    listening = []

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(2**16)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://user:secret@127.0.0.1:{server.getsockname()[1]}/weights.pt?token=hidden#fragment"

    yield start
    for server in listening:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def answer(*headers: str, body: bytes = PUBLISHED, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode() + body


REFUSED = {
    "nothing": (answer("Content-Length: 0", body=b""), "is empty; bring the file again"),
    "nothing, in pieces": (answer("Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "is empty; bring the file again"),
    "less than announced": (answer("Content-Length: 99"), "cannot be fetched"),
    "pieces without an end": (answer("Transfer-Encoding: chunked", body=b"4\r\n\0abc\r\n"), "cannot be fetched"),
    "no length": (answer(), "its length is not announced; give its SHA-256"),
    "a length that is none": (answer("Content-Length: many"), "its length is not announced; give its SHA-256"),
    "packed": (answer("Content-Encoding: gzip", "Content-Length: 10"), "it comes packed as gzip"),
    "sent on to a file": (answer("Location: file:///etc/passwd", status="302 Found"), "No connection adapters"),
    "sent on and forbidden": (answer(status="403 No"), "403 Client Error"),
}


@pytest.mark.parametrize(("given", "reason"), REFUSED.values(), ids=REFUSED)
def test_an_answer_that_is_not_the_whole_file_is_refused_and_no_secret_is_told(answering, asset, capsys, given, reason):
    with pytest.raises(ArtifactError, match=reason) as caught:
        fetch_asset(answering(given), None, asset)
    said = f"{caught.value}{capsys.readouterr().err}"
    assert str(caught.value).startswith("http://***@127.0.0.1:")
    assert not [word for word in ("user", "secret", "token", "hidden", "fragment") if word in said]
    assert not list(asset.parent.glob("*"))


def test_a_file_of_no_announced_length_comes_where_its_checksum_is_known(answering, asset, capsys):
    fetch_asset(answering(answer()), hashlib.sha256(PUBLISHED).hexdigest(), asset)
    assert asset.read_bytes() == PUBLISHED
    assert "/weights.pt?***" in capsys.readouterr().err


def test_more_than_announced_is_left(answering, asset):
    fetch_asset(answering(answer(f"Content-Length: {len(PUBLISHED)}", body=PUBLISHED + b"more")), None, asset)
    assert asset.read_bytes() == PUBLISHED


def test_another_part_than_the_one_asked_for_is_refused(server, asset):
    server.faults, server.shift = [2**18, '"1"'], 5
    with pytest.raises(ArtifactError, match="another part of the file came than was asked for"):
        fetch_asset(server.url, None, asset)


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"no checksum  weights.pt", bytes(2000)])
def test_a_record_that_is_none_is_refused(source, asset, content):
    record = asset.with_name("weights.pt.sha256")
    record.parent.mkdir(parents=True)
    record.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"weights\.pt\.sha256: holds "):
        fetch_asset(str(source), None, asset)
    assert record.read_bytes() == content
