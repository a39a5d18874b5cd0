"""Layers where the published code's outputs say nothing (test_unet, test_encoder): addition, and half precision."""

import re

import pytest
import torch
from torch import nn

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.layers import GroupNorm, ResidualBlock, set_trunk_dtype
from eddpm.models.unet import UNet


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """The same module with no parameter left at zero."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.requires_grad_(False)


def test_group_norm_survives_half_precision_inputs_whose_squares_overflow():
    x = 3000 * torch.randn(2, 64, 4, 4)
    normalised = GroupNorm(64)(x.half())
    assert normalised.dtype == torch.float16
    assert torch.allclose(normalised.float(), GroupNorm(64)(x), atol=5e-3)


def test_addition_happens_before_the_norm_which_removes_a_common_offset():
    block = randomised(ResidualBlock(32, 32, 16, scale_shift=False))
    block.emb_layers[1].weight.zero_()
    x, emb = torch.randn(1, 32, 4, 4), torch.randn(1, 16)
    before = block(x, emb)
    block.emb_layers[1].bias += 3.0
    assert torch.allclose(block(x, emb), before, atol=1e-4)
    block.emb_layers[1].bias += torch.randn(32)  # one channel per group: still removed
    assert torch.allclose(block(x, emb), before, atol=1e-4)


CONVOLUTION = re.compile(
    r"(input_blocks\.0\.0|in_layers\.2|out_layers\.3|skip_connection|qkv|proj_out|\.op|\.conv)\.(weight|bias)$"
)
SMALL = {"image_size": 8, "image_channels": 1, "channel_mult": (1, 2), "attention_resolutions": (4,)}
SMALL_UNET = UNetConfig(**SMALL, num_channels=32, num_res_blocks=1, num_classes=3, resblock_updown=False)
SMALL_ENCODER = EncoderConfig(**SMALL, classifier_width=32, num_head_channels=32, num_classes=3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("network", [UNet(SMALL_UNET), EncoderClassifier(SMALL_ENCODER)])
def test_autocast_is_for_the_block_convolutions_and_for_nothing_else_as_in_a_cast_trunk(network, dtype):
    randomised(network)
    arguments = [torch.randn(2, 1, 8, 8), torch.tensor([3, 500])]
    if isinstance(network, UNet):
        arguments.append(torch.tensor([0, 2]))
    computed = {}
    hooks = [
        module.register_forward_hook(lambda module, args, output, name=name: computed.update({name: output.dtype}))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    with torch.autocast("cpu", dtype=dtype):
        output = network(*arguments)
    for hook in hooks:
        hook.remove()
    for name, found in computed.items():
        assert found == (dtype if CONVOLUTION.search(f"{name}.weight") else torch.float32), name
    full = network(*arguments)
    assert 0 < (output - full).abs().max() < 0.1 * full.abs().max()
    set_trunk_dtype(network, dtype)
    torch.testing.assert_close(output, network(*arguments))
    set_trunk_dtype(network, torch.float32)
