"""Published files: linked or fetched, and taken only with the right bytes."""

import http.client
import urllib.error

import pytest
import torch

from eddpm.artifacts import sha256
from eddpm.errors import ArtifactError
from eddpm.stages.assets import fetch_asset


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "elsewhere/weights.pt"
    path.parent.mkdir()
    path.write_bytes(b"published")
    return path


def test_a_local_file_is_linked_and_not_copied(source, tmp_path):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(str(source), sha256(source), asset)
    assert asset.is_symlink()
    assert asset.read_bytes() == b"published"
    fetch_asset(str(source), sha256(source), asset)  # again, over the link
    assert asset.read_bytes() == b"published"


def test_a_file_in_its_place_already_stays(source):
    fetch_asset(str(source), sha256(source), source)
    assert not source.is_symlink()
    assert source.read_bytes() == b"published"


def test_a_url_is_fetched(source, tmp_path):
    asset = tmp_path / "resources/assets/weights.pt"
    fetch_asset(source.as_uri(), sha256(source), asset)
    assert not asset.is_symlink()
    assert asset.read_bytes() == b"published"


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

    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(ArtifactError, match=f"cannot be fetched .{error}"):
        fetch_asset("https://example.org/weights.pt", "0" * 64, tmp_path / "weights.pt")


def test_without_network_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    def offline(url, *_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    asset = tmp_path / "resources/assets/weights.pt"
    with pytest.raises(ArtifactError) as caught:
        fetch_asset("https://example.org/weights.pt", "0" * 64, asset)
    assert "https://example.org/weights.pt: cannot be fetched (Name or service not known)" in str(caught.value)
    assert str(asset) in str(caught.value)
    assert not asset.exists()
