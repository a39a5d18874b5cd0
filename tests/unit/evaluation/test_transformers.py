"""DINOv2 and CLIP: random weights in the formats of the published files, against timm's own forward pass."""

import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from vit_standin import random_network, small, write_clip, write_dinov2

from eddpm.config.schema import SpaceConfig
from eddpm.config.spaces import TRANSFORMERS, space_of
from eddpm.errors import ArtifactError, EddpmError
from eddpm.evaluation.extractors import open_space
from eddpm.evaluation.transformers import NETWORKS
from eddpm.io.files import save_model, sha256

timm = pytest.importorskip("timm")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
OPENAI = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def opened(space, path, digest=None):
    return open_space(SpaceConfig(name=space, weights_sha256=digest or sha256(path)), path, "cpu")


def inputs(size, mean, std):
    resized = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in IMAGES]
    x = (np.stack(resized) / 255 - mean) / std
    return torch.from_numpy(x).permute(0, 3, 1, 2).float()


def cubic(t):
    """The weights of Keys' kernel with a = -3/4, as torch has it."""
    t = np.abs(t)
    inner, outer = 1.25 * t**3 - 2.25 * t**2 + 1, -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0))


def on_16_patches(position):
    """DINOv2's position embeddings for 224 pixels by matrices: 37 patches a side to 16, as if they were 16.1."""
    source = (np.arange(16) + 0.5) * 37 / 16.1 - 0.5
    weights = np.zeros((16, 37))
    for row, x in enumerate(source):
        for k in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            weights[row, min(max(k, 0), 36)] += cubic(x - k)
    patches = position[0, 1:].numpy().reshape(37, 37, -1)
    patches = np.einsum("ia,jb,abd->ijd", weights, weights, patches).reshape(1, 256, -1)
    return torch.cat([position[:, :1], torch.from_numpy(patches).float()], dim=1)


def at_224(name, state):
    """Timm's own class tokens of IMAGES."""
    with torch.device("meta"):
        network = timm.create_model(name, img_size=224, num_classes=0).eval()
    network.load_state_dict({**state, "pos_embed": on_16_patches(state["pos_embed"])}, assign=True)
    with torch.no_grad():
        return network(inputs(224, *IMAGENET)).numpy()


@pytest.mark.parametrize("whole", [True, False])
def test_dinov2_is_timms_class_token_with_the_positions_of_its_own_code(tmp_path, monkeypatch, whole):
    name, space = ("vit_base_patch14_dinov2", "dinov2-b") if whole else ("vit_large_patch14_dinov2", "dinov2")
    if not whole:  # ViT-L/14 is too large for a test
        small(monkeypatch)
    network = random_network(name, img_size=518, num_classes=0)
    path = write_dinov2(tmp_path / "weights.pth", network)
    extract, expected = opened(space, path), at_224(name, network.state_dict())
    found = extract(IMAGES)
    assert np.abs(found.pooled - expected).max() < 1e-5 * np.abs(expected).max()
    assert (found.spatial, found.probabilities) == (None, None)
    assert (extract.name, extract.identity) == (
        space,
        {"weights": sha256(path), "resize": "bicubic to 224"},
    )


def test_a_file_of_timms_serves_and_grey_images_are_seen_as_rgb(tmp_path, monkeypatch):
    small(monkeypatch)
    network = random_network("vit_large_patch14_dinov2", img_size=518, num_classes=0)
    published = opened("dinov2", write_dinov2(tmp_path / "weights.pth", network))
    save_model(tmp_path / "again.safetensors", network.state_dict())
    again = opened("dinov2", tmp_path / "again.safetensors")
    grey = IMAGES[..., :1]
    assert np.array_equal(again(grey).pooled, published(grey.repeat(3, axis=3)).pooled)


def test_clip_is_timms_embedding_of_length_one(tmp_path, monkeypatch):
    small(monkeypatch)
    network = random_network("vit_large_patch14_clip_quickgelu_336.openai", num_classes=768)
    path = write_clip(tmp_path / "clip.pt", network)
    with torch.no_grad():
        expected = network(inputs(336, *OPENAI)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = opened("clip", path)(IMAGES).pooled
    assert np.abs(expected[0] - expected[1]).max() > 1e-4  # the images differ
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("space", TRANSFORMERS)
def test_the_network_is_the_published_one_and_gives_the_numbers_of_its_row(space):
    name, size, outputs = NETWORKS[space]
    with torch.device("meta"):
        network = timm.create_model(name, img_size=size, num_classes=outputs)
    depth, width, heads = {"dinov2": (24, 1024, 16), "dinov2-b": (12, 768, 12), "clip": (24, 1024, 16)}[space]
    assert (len(network.blocks), network.embed_dim, network.blocks[0].attn.num_heads) == (depth, width, heads)
    assert network.patch_embed.patch_size == (14, 14)
    assert space_of(space).numbers == (outputs or width)


def test_another_file_is_refused_in_one_line_before_it_is_loaded(tmp_path, monkeypatch):
    small(monkeypatch)
    source = space_of("dinov2").download.source
    missing, other = tmp_path / "none.pth", tmp_path / "other.pth"
    torch.save({"cls_token": torch.zeros(1, 1, 24)}, other)
    for path, digest, words in (
        (missing, "0" * 64, f"does not exist; fetch {source} into {tmp_path}"),
        (other, None, "not the network of dinov2 ('pos_embed'); fetch"),
        (other, "0" * 64, f"has SHA-256 {sha256(other)}, not 0000"),
        (write_dinov2(tmp_path / "b.pth", random_network("vit_base_patch14_dinov2")), None, "not the network of clip"),
    ):
        with pytest.raises(ArtifactError, match=rf"^{re.escape(f'{path}: {words}')}[^\n]*$"):
            opened("clip" if "clip" in words else "dinov2", path, digest)


def test_without_timm_an_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(EddpmError, match=r"^dinov2: [^\n]*timm.*pip install 'eddpm\[dinov2\]'$"):
        opened("dinov2", tmp_path / "none.pth", "0" * 64)
