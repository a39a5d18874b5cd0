"""Published files: linked or fetched, and taken only with the right bytes."""

import http.client
import http.server
import os
import threading
import urllib.error

import pytest

from eddpm.errors import ArtifactError
from eddpm.io.files import sha256
from eddpm.stages import fetch as stage
from eddpm.stages.fetch import fetch_asset


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "elsewhere/weights.pt"
    path.parent.mkdir()
    path.write_bytes(b"\0published")
    return path


def test_a_local_file_is_linked_and_not_copied(source, tmp_path):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(str(source), sha256(source), asset)
    assert asset.is_symlink()
    assert asset.read_bytes() == b"\0published"
    fetch_asset(str(source), sha256(source), asset)  # again, over the link
    assert asset.read_bytes() == b"\0published"


def test_a_file_in_its_place_already_stays(source):
    fetch_asset(str(source), sha256(source), source)
    assert not source.is_symlink()
    assert source.read_bytes() == b"\0published"


def test_a_url_is_fetched(source, tmp_path):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(source.as_uri(), sha256(source), asset)
    assert not asset.is_symlink()
    assert asset.read_bytes() == b"\0published"


@pytest.mark.parametrize("as_url", [False, True])
def test_other_bytes_are_refused_and_leave_nothing(source, tmp_path, as_url):
    asset = tmp_path / "resources/assets/weights.pt"
    with pytest.raises(ArtifactError, match="SHA-256"):
        fetch_asset(source.as_uri() if as_url else str(source), "0" * 64, asset)
    assert not asset.exists()
    assert not list(asset.parent.glob("*")) if asset.parent.exists() else True


def test_a_missing_file_is_named_with_what_belongs_there(tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere\.pt: does not exist; give the path of weights\.pt"):
        fetch_asset("nowhere.pt", "0" * 64, tmp_path / "weights.pt")


@pytest.mark.parametrize("error", [http.client.RemoteDisconnected("closed"), ConnectionResetError("reset")])
def test_a_broken_connection_is_one_line(tmp_path, monkeypatch, error):
    def broken(url, *_, **__):
        raise error

    monkeypatch.setattr(stage, "urlretrieve", broken)
    with pytest.raises(ArtifactError, match=f"cannot be fetched .{error}"):
        fetch_asset("https://example.org/weights.pt", "0" * 64, tmp_path / "weights.pt")


@pytest.fixture
def cut_short():
    """The URL of a server that announces more bytes than it sends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(bytes(40_000))

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/weights.pt"
        server.shutdown()


def test_a_download_that_breaks_off_is_refused_and_leaves_neither_file_nor_record(cut_short, tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot be fetched .*40000 out of 100000 bytes"):
        fetch_asset(cut_short, None, tmp_path / "assets/weights.pt")
    assert list((tmp_path / "assets").iterdir()) == []


def test_without_network_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    def offline(url, *_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(stage, "urlretrieve", offline)
    asset = tmp_path / "resources/assets/weights.pt"
    with pytest.raises(ArtifactError) as caught:
        fetch_asset("https://example.org/weights.pt", "0" * 64, asset)
    assert "https://example.org/weights.pt: cannot be fetched (Name or service not known)" in str(caught.value)
    assert str(asset) in str(caught.value)
    assert not asset.exists()


IMPOSTORS = {
    "a web page": b"\n<!DOCTYPE html><html><title>Sign in</title>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
    "empty": b"",
    "text that begins 'Entry not found'": b"Entry not found",
}


@pytest.mark.parametrize("kind", IMPOSTORS)
@pytest.mark.parametrize("as_url", [False, True])
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("name", ["weights.pt", "ref.npz"])
def test_what_is_no_file_of_data_is_refused_and_never_recorded(tmp_path, kind, as_url, pinned, name):
    source, asset = tmp_path / name, tmp_path / "assets" / name
    source.write_bytes(IMPOSTORS[kind])
    place = source.as_uri() if as_url else str(source)
    with pytest.raises(ArtifactError) as caught:
        fetch_asset(place, sha256(source) if pinned else None, asset)
    assert str(caught.value).startswith(f"{place}: is {kind}")
    assert not list(tmp_path.glob("assets/*"))


def test_a_page_about_a_file_is_named_with_the_address_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "urlretrieve", lambda url, path, _: path.write_bytes(b"<!doctype html>"))
    with pytest.raises(ArtifactError, match=r"is a web page, .*; write /resolve/ in place of /blob/$"):
        fetch_asset("https://huggingface.co/a/b/blob/main/weights.pt", None, tmp_path / "weights.pt")


def test_a_folder_is_named_with_the_files_in_it(source, tmp_path):
    with pytest.raises(ArtifactError, match=r"elsewhere: is a folder; name a file in it: weights\.pt$"):
        fetch_asset(str(source.parent), None, tmp_path / "weights.pt")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_what_is_fetched_follows_the_umask_and_what_is_linked_to_stays_as_it_was(source, tmp_path, umask, mode):
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


# Without a checksum -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["path", "url"])
def name(request):
    """How a source is given."""
    return str if request.param == "path" else lambda path: path.as_uri()


def test_the_first_file_is_taken_and_its_checksum_recorded_as_sha256sum_writes_it(source, tmp_path, name, capsys):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(name(source), None, asset)
    record = asset.with_name("weights.pt.sha256")
    assert record.read_text() == f"{sha256(source)}  weights.pt\n"
    assert f"{asset}: SHA-256 {sha256(source)}, recorded in weights.pt.sha256" in capsys.readouterr().err
    asset.unlink()
    fetch_asset(name(source), None, asset)
    assert asset.read_bytes() == b"\0published"


def test_other_bytes_than_the_recorded_are_refused_until_the_record_is_removed(source, tmp_path, name):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(name(source), None, asset)
    record, first = asset.with_name("weights.pt.sha256"), sha256(source)
    source.write_bytes(b"\0published again")
    with pytest.raises(ArtifactError, match=rf"not {first}; .* delete {record} to take this one"):
        fetch_asset(name(source), None, asset)
    assert record.read_text().split() == [first, "weights.pt"]
    record.unlink()
    fetch_asset(name(source), None, asset)
    assert record.read_text().split() == [sha256(source), "weights.pt"] != [first, "weights.pt"]


def test_a_checksum_of_the_configuration_counts_more_than_the_recorded_one(source, tmp_path, name):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(name(source), None, asset)
    before = asset.with_name("weights.pt.sha256").read_text()
    source.write_bytes(b"\0published again")
    fetch_asset(name(source), sha256(source), asset)
    assert asset.read_bytes() == b"\0published again"
    assert asset.with_name("weights.pt.sha256").read_text() == before


def test_with_a_checksum_nothing_is_recorded(source, tmp_path, name):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(name(source), sha256(source), asset)
    assert list(asset.parent.iterdir()) == [asset]


def test_what_cannot_be_brought_leaves_no_record(tmp_path):
    asset = tmp_path / "resources/assets/weights.pt"
    for missing in (str(tmp_path / "nowhere.pt"), (tmp_path / "nowhere.pt").as_uri()):
        with pytest.raises(ArtifactError, match=r"does not exist|cannot be fetched"):
            fetch_asset(missing, None, asset)
    assert not list(tmp_path.rglob("*.sha256"))


def test_an_empty_record_is_none(source, tmp_path):
    asset = tmp_path / "weights.pt"
    (tmp_path / "weights.pt.sha256").touch()
    fetch_asset(str(source), None, asset)
    assert (tmp_path / "weights.pt.sha256").read_text().startswith(sha256(source))


def test_a_record_may_lie_elsewhere_and_holds_there(source, tmp_path):
    asset, record = tmp_path / "stored/weights.pt", tmp_path / "resources/assets/weights.pt.sha256"
    fetch_asset(str(source), None, asset, record)
    assert record.read_text() == f"{sha256(source)}  weights.pt\n"
    assert list(asset.parent.iterdir()) == [asset]
    source.write_bytes(b"\0another")
    with pytest.raises(ArtifactError, match=f"or delete {record} to take this one"):
        fetch_asset(str(source), None, asset, record)
