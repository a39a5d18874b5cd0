"""What a project needs from outside: where each file comes from and lies, and what only the user can bring."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from projects import DIGITS, PUBLISHED, ROW, load, published, write_rows

from eddpm.config import spaces
from eddpm.config.assets import (
    FOLDER,
    asset_file,
    assets,
    check_files,
    check_reference,
    downloads,
    file_of,
    missing_files,
    weights_file,
)
from eddpm.config.project import Project
from eddpm.errors import ArtifactError
from eddpm.io.arrays import write_npz
from eddpm.io.files import sha256

FILE = "resources/assets/classifier.pt"
INCEPTION = "resources/assets/inception-2015-12-05.pt"


@pytest.fixture
def project(table, tmp_path, monkeypatch):
    """Makes a project whose classifier ce is there already; it is at work in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(source: str = PUBLISHED, **changes) -> Project:
        write_rows(table, ROW)
        return load(table, classifiers__ce=published(DIGITS["classifiers"]["ce"], source), **changes)

    return make


def touch(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"\0weights")


def test_the_digits_need_nothing_from_outside(table):
    write_rows(table, ROW)
    assert assets(load(table)) == missing_files(load(table)) == downloads(load(table)) == []


def test_each_file_is_named_with_its_key_its_place_and_its_checksum(project):
    found = assets(
        project(
            denoisers__uadm=published(DIGITS["denoisers"]["uadm"], "nets/unet.pt", sha256="a" * 64),
            evaluation__reference="https://example.org/ref.npz",
            evaluation__spaces=["inception"],
            sweep__best={"minimise": "inception/fid"},
        )
    )
    assert [(asset.key, asset.file, asset.source, asset.sha256, asset.is_remote) for asset in found] == [
        ("denoisers.uadm.checkpoint", "resources/assets/unet.pt", "nets/unet.pt", "a" * 64, False),
        ("classifiers.ce.checkpoint", FILE, PUBLISHED, None, True),
        ("evaluation.reference", "resources/assets/ref.npz", "https://example.org/ref.npz", None, True),
        ("evaluation.inception", INCEPTION, spaces.INCEPTION.source, spaces.INCEPTION.sha256, True),
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://example.org/a/net+0.1.pt", "net+0.1.pt"),
        ("https://example.org/a/net.pt?download=1#top", "net.pt"),
        ("file:///a/net.pt", "net.pt"),
        ("a/net.pt", "net.pt"),
        ("/a/my net?#1.pt", "my net?#1.pt"),
    ],
)
def test_a_file_keeps_its_name_and_leaves_what_else_a_url_says(source, name):
    assert asset_file(source) == f"resources/assets/{name}"


HUB = "https://huggingface.co/{}/resolve/main/model.safetensors"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (HUB.format("a/net"), HUB.format("b/net")),
        ("https://example.org/get?id=1", "https://example.org/get?id=2"),
        ("https://example.org/net.pt", "https://example.org/net.pt?download=true"),
        ("nets/a/model.pt", "nets/b/model.pt"),
        ("nets/model.pt", "https://example.org/model.pt"),
        ("https://example.org/a/Model.pt", "https://example.org/b/model.pt"),  # one file on some file systems
        ("https://example.org/a/", "https://example.org/b/a"),
        ("https://example.org", "https://example.org/?id=1"),
        ("nets/my%20net.pt", "nets/b/my%20net.pt"),
    ],
)
def test_two_sources_of_one_file_name_lie_apart_in_whatever_order(project, first, second):
    entry, files = DIGITS["classifiers"]["ect"], {}
    for one, other in ((first, second), (second, first)):
        made = project(one, classifiers__ect=published(entry, other))
        found = {asset.source: asset.file for asset in assets(made)}
        assert len({file.lower() for file in found.values()}) == 2
        assert weights_file(made, "classifiers", "ce") == found[one]
        assert weights_file(made, "classifiers", "ect") == found[other]
        files = files or found
        assert found == files


def test_names_that_clash_keep_their_ends_and_the_others_all(project):
    reference = "https://example.org/ref.npz"
    classifiers = published(DIGITS["classifiers"]["ect"], HUB.format("b/net"))
    made = project(HUB.format("a/net"), classifiers__ect=classifiers, evaluation__reference=reference)
    assert [re.sub(r"[0-9a-f]{8}", "DIGEST", asset.file) for asset in assets(made)] == [
        f"{FOLDER}/DIGEST-model.safetensors",
        f"{FOLDER}/DIGEST-model.safetensors",
        f"{FOLDER}/ref.npz",
    ]
    assert file_of(made, "evaluation.reference") == f"{FOLDER}/ref.npz"


@pytest.mark.parametrize("source", ["https://example.org", "https://example.org/?id=1", "..", "/"])
def test_a_source_without_a_name_has_a_digest_for_one(source):
    assert re.fullmatch(rf"{FOLDER}/[0-9a-f]{{8}}", asset_file(source))


def test_nothing_shares_its_name_with_the_inception_network(project):
    url = f"https://example.org/{Path(INCEPTION).name}"
    made = project(
        evaluation__reference=url, evaluation__spaces=["inception"], sweep__best={"minimise": "inception/fid"}
    )
    kept = {asset.key: asset.file for asset in assets(made)}
    assert kept["evaluation.inception"] == INCEPTION
    assert re.fullmatch(rf"{FOLDER}/[0-9a-f]{{8}}-{Path(INCEPTION).name}", kept["evaluation.reference"])


def test_published_weights_are_an_asset_and_those_made_from_them_a_result(project):
    made = project()
    assert weights_file(made, "classifiers", "ce") == FILE == asset_file(PUBLISHED)
    tempered = weights_file(made, "classifiers", "ce+temperature")
    assert tempered == "results/digits/classifiers/ce+temperature/model.safetensors"
    assert weights_file(made, "classifiers", "ect") == "results/digits/classifiers/ect/model.safetensors"
    assert weights_file(made, "denoisers", "uadm") == "results/digits/denoisers/uadm/model.safetensors"


# Missing files ----------------------------------------------------------------------------------------------------


def test_a_source_that_is_not_there_is_listed_and_lets_the_project_load(table):
    write_rows(table, ROW)
    project = load(table, dataset__source="/no/such.zip", dataset__validation_source="/no/such/folder")
    first, second = missing_files(project)
    assert first.message == (
        "dataset.source: '/no/such.zip' does not exist; put your images there, or name another folder, zip or npz"
    )
    assert second.message.startswith("dataset.validation_source: '/no/such/folder' does not exist")
    assert first.output == second.output == "resources/datasets/digits/dataset.json"
    assert missing_files(load(table)) == []
    assert missing_files(load(table, dataset__source=str(table.parent))) == []


def test_a_checkpoint_that_is_not_there_is_the_users_to_bring(project):
    made = project("nets/classifier.pt")
    (missing,) = missing_files(made)
    assert missing.message == (
        "classifiers.ce.checkpoint: 'nets/classifier.pt' does not exist; put the file there, or name another"
    )
    assert missing.output == FILE
    assert downloads(made) == []
    touch("nets/classifier.pt")
    assert missing_files(made) == []


def test_a_folder_is_no_checkpoint(project):
    Path("nets").mkdir()
    (missing,) = missing_files(project("nets"))
    assert missing.message == "classifiers.ce.checkpoint: 'nets' is a folder; name a file in it"
    touch("nets/a.pt")
    (missing,) = missing_files(project("nets"))
    assert missing.message.endswith("is a folder; name a file in it: a.pt")


def test_what_has_a_url_is_fetched_until_it_is_there(project):
    made = project()
    assert missing_files(made) == []
    assert downloads(made) == [f"{FILE}: will be fetched from {PUBLISHED}"]
    touch(FILE)
    assert downloads(made) == []


def test_a_file_that_two_networks_share_is_fetched_once(project):
    made = project(classifiers__ect=published(DIGITS["classifiers"]["ect"]))
    assert [asset.file for asset in assets(made)] == [FILE, FILE]
    assert downloads(made) == [f"{FILE}: will be fetched from {PUBLISHED}"]


def test_a_file_whose_link_leads_nowhere_is_not_there(project):
    Path(FILE).parent.mkdir(parents=True)
    Path(FILE).symlink_to("gone.pt")
    assert len(missing_files(project("gone.pt"))) == 1


def test_the_inception_network_is_fetched_only_where_a_space_needs_it(project):
    assert not any(INCEPTION in line for line in downloads(project()))
    with_space = project(evaluation__spaces=["classifier:clean", "pixels", "inception"])
    assert f"{INCEPTION}: will be fetched from {spaces.INCEPTION.source}" in downloads(with_space)


# Checksums --------------------------------------------------------------------------------------------------------


def change(path: str, text: str) -> None:
    """A file that is written later than all before."""
    Path(path).write_bytes(b"\0" + text.encode())
    os.utime(path, (later := time.time() + 10, later))


def test_a_file_put_there_by_hand_is_recorded_and_then_has_to_stay(project):
    made = project()
    check_files(made)  # there is none yet
    touch(FILE)
    check_files(made)
    record = Path(f"{FILE}.sha256")
    assert record.read_text() == f"{sha256(Path(FILE))}  classifier.pt\n"
    change(FILE, "another")
    with pytest.raises(ArtifactError, match=rf"^{FILE}: has SHA-256 {sha256(Path(FILE))}, not the \w+ of {record}; "):
        check_files(made)
    record.unlink()
    check_files(made)


def test_a_file_is_read_once_until_it_changes(project, monkeypatch):
    made, read = project(), []
    monkeypatch.setattr("eddpm.io.files.sha256", lambda path: read.append(path) or sha256(path))
    touch(FILE)
    check_files(made)
    check_files(made)
    assert len(read) == 1
    os.utime(FILE, (later := time.time() + 10, later))
    check_files(made)
    assert len(read) == 2


def test_a_pinned_file_is_asked_for_its_checksum_wherever_it_came_from(project):
    made = project(evaluation__reference="https://example.org/ref.npz", evaluation__reference_sha256="a" * 64)
    touch("resources/assets/ref.npz")
    with pytest.raises(ArtifactError, match=r"^resources/assets/ref\.npz: .* not the a{64} of evaluation\.reference; "):
        check_files(made)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"", b"No"])
def test_what_is_no_file_of_weights_is_refused_and_never_recorded(project, content):
    touch(FILE)
    Path(FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"^{FILE}: is (a web page|a Git LFS pointer|empty|text that)"):
        check_files(project())
    assert not Path(f"{FILE}.sha256").exists()


def test_a_local_file_that_is_a_web_page_is_refused_before_it_is_linked_to(project):
    touch("nets/classifier.pt")
    Path("nets/classifier.pt").write_bytes(b"<html><body>Sign in</body></html>")
    with pytest.raises(ArtifactError, match=r"^nets/classifier\.pt: is a web page"):
        check_files(project("nets/classifier.pt"))


# The reference batch ----------------------------------------------------------------------------------------------


@pytest.fixture
def refused(project):
    """What is said of a reference batch at `source`; "" where it will do."""

    def check(source: str) -> str:
        try:
            check_reference(project(evaluation__reference=source))
        except ArtifactError as error:
            return str(error)
        return ""

    return check


@pytest.mark.parametrize("place", ["mine.npz", "resources/assets/mine.npz"])
@pytest.mark.parametrize(("shape", "good"), [((5, 8, 8, 1), True), ((5, 8, 8), True), ((5, 16, 16, 1), False)])
def test_a_reference_has_to_be_of_the_data_sets_size(refused, place, shape, good):
    write_npz(Path(place), arr_0=np.ones(shape, np.uint8))
    message = refused("mine.npz")
    assert (message == "") is good
    if not good:
        assert message.startswith(f"evaluation.reference: images of {place} are (16, 16, 1), those of the data set (8,")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"arr_0": np.ones((5, 8, 8, 3), np.uint8)}, "are (8, 8, 3), those of the data set (8, 8, 1)"),
        ({"arr_0": np.ones((5, 1, 8, 8), np.uint8)}, "its axes are (N, C, H, W)"),
        ({"arr_0": np.ones((5, 8, 8, 1))}, "127.5"),
        ({"mu": np.ones(4), "sigma": np.eye(4)}, "holds statistics (mu, sigma), no images"),
        ({"features": np.ones((5, 4))}, "has no array 'arr_0'"),
    ],
)
def test_a_reference_that_cannot_be_measured_against_is_refused_at_the_start(refused, arrays, words):
    write_npz(Path("mine.npz"), **arrays)
    message = refused("mine.npz")
    assert words in message
    assert len(message.splitlines()) == 1


def test_a_reference_that_is_to_come_is_not_looked_at(refused):
    assert refused("https://example.org/mine.npz") == refused("mine.npz") == ""


def test_of_a_reference_headers_alone_are_read(refused, monkeypatch):
    write_npz(Path("mine.npz"), arr_0=np.ones((5, 8, 8, 1), np.uint8), mu=np.ones(4), sigma=np.eye(4))
    monkeypatch.setattr(np.lib.format, "read_array", None)
    assert refused("mine.npz") == ""
