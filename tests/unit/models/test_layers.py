"""Each layer against its formula written out, a symmetry or a limit."""

import math
import re

import pytest
import torch
from torch import Tensor, nn

from eddpm.config.schema import EncoderConfig, UNetConfig
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.layers import (
    AttentionBlock,
    AttentionPool,
    GroupNorm,
    ResidualBlock,
    resample,
    set_trunk_dtype,
    timestep_embedding,
)
from eddpm.models.unet import UNet


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """The same module with no parameter left at zero."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.requires_grad_(False)


def softmax_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of one head, position by position: all (T, d) -> (T, d)."""
    rows = []
    for one_query in query:
        scores = torch.stack([(one_query @ one_key) / math.sqrt(len(one_query)) for one_key in key])
        weights = scores.exp() / scores.exp().sum()
        rows.append(sum(weight * one_value for weight, one_value in zip(weights, value, strict=True)))
    return torch.stack(rows)


# Norm and embedding


def test_group_norm_leaves_each_of_32_groups_with_mean_0_and_variance_1():
    groups = GroupNorm(64)(5 + 3 * torch.randn(2, 64, 8, 8)).unflatten(1, (32, 2)).flatten(2)
    assert torch.allclose(groups.mean(dim=2), torch.zeros(2, 32), atol=1e-5)
    assert torch.allclose(groups.var(dim=2, unbiased=False), torch.ones(2, 32), atol=1e-4)


def test_group_norm_survives_half_precision_inputs_whose_squares_overflow():
    x = 3000 * torch.randn(2, 64, 4, 4)
    normalised = GroupNorm(64)(x.half())
    assert normalised.dtype == torch.float16
    assert torch.allclose(normalised.float(), GroupNorm(64)(x), atol=5e-3)


def test_timestep_embedding_has_cosines_then_sines_of_falling_frequency():
    embedding = timestep_embedding(torch.tensor([0, 7, 999]), 8)
    for row, t in zip(embedding, [0, 7, 999], strict=True):
        phases = [t / 10_000 ** (k / 4) for k in range(4)]
        wanted = [math.cos(phase) for phase in phases] + [math.sin(phase) for phase in phases]
        assert row.tolist() == pytest.approx(wanted, abs=2e-4)


# Residual block


@pytest.mark.parametrize("direction", [None, "up", "down"])
@pytest.mark.parametrize("scale_shift", [True, False])
def test_new_residual_block_only_changes_the_resolution(direction, scale_shift):
    x = torch.randn(2, 32, 4, 4)
    block = ResidualBlock(32, 32, 16, scale_shift=scale_shift, direction=direction)
    wanted = {
        None: x,
        "up": x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3),
        "down": (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4,
    }[direction]
    assert torch.allclose(block(x, torch.randn(2, 16)), wanted, atol=1e-6)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_residual_branch_is_resampled_between_its_activation_and_its_first_convolution(direction):
    block = randomised(ResidualBlock(32, 64, 16, scale_shift=True, direction=direction))
    plain = ResidualBlock(32, 64, 16, scale_shift=True)
    plain.load_state_dict(block.state_dict())
    # Instead of the block, resample what the plain block's convolutions see.
    plain.in_layers[1].register_forward_hook(lambda module, args, activated: resample(activated, direction))
    plain.skip_connection.register_forward_pre_hook(lambda module, args: (resample(args[0], direction),))
    x, emb = torch.randn(2, 32, 4, 4), torch.randn(2, 16)
    assert torch.allclose(block(x, emb), plain(x, emb), atol=1e-5)


def test_scale_of_minus_one_leaves_the_shift_alone():
    block = randomised(ResidualBlock(32, 32, 16, scale_shift=True))
    block.emb_layers[1].weight.zero_()
    block.emb_layers[1].bias[:32] = -1
    emb = torch.randn(1, 16)
    branches = [block(x, emb) - x for x in torch.randn(2, 1, 32, 4, 4)]
    assert torch.allclose(*branches, atol=1e-5)
    assert branches[0].abs().max() > 0.1


def test_addition_happens_before_the_norm_which_removes_a_common_offset():
    block = randomised(ResidualBlock(32, 32, 16, scale_shift=False))
    block.emb_layers[1].weight.zero_()
    x, emb = torch.randn(1, 32, 4, 4), torch.randn(1, 16)
    before = block(x, emb)
    block.emb_layers[1].bias += 3.0
    assert torch.allclose(block(x, emb), before, atol=1e-4)
    block.emb_layers[1].bias += torch.randn(32)  # one channel per group: still removed
    assert torch.allclose(block(x, emb), before, atol=1e-4)


# Attention


@pytest.mark.parametrize("new_order", [True, False])
def test_attention_block_is_softmax_attention_of_each_head(new_order):
    channels, num_heads, width = 32, 4, 8
    block = randomised(AttentionBlock(channels, num_heads, new_order=new_order))
    x = torch.randn(2, channels, 2, 3)
    for found, image in zip(block(x), x, strict=True):
        tokens = block.norm(image[None].flatten(2))[0].T
        qkv = tokens @ block.qkv.weight[:, :, 0].T + block.qkv.bias
        attended = []
        for head in range(num_heads):
            if new_order:
                starts = [part * channels + head * width for part in range(3)]
            else:
                starts = [(3 * head + part) * width for part in range(3)]
            attended.append(softmax_attention(*(qkv[:, start : start + width] for start in starts)))
        projected = torch.cat(attended, dim=1) @ block.proj_out.weight[:, :, 0].T + block.proj_out.bias
        assert torch.allclose(found, image + projected.T.reshape(image.shape), atol=1e-5)


def test_attention_pool_is_what_the_mean_position_attends_to():
    channels, num_heads, width = 16, 2, 8
    pool = randomised(AttentionPool(3, channels, num_heads, 5))
    x = torch.randn(1, channels, 3, 3)
    positions = x[0].flatten(1).T
    tokens = torch.cat([positions.mean(dim=0, keepdim=True), positions]) + pool.positional_embedding.T
    query, key, value = (tokens @ pool.qkv_proj.weight[:, :, 0].T + pool.qkv_proj.bias).split(channels, dim=1)
    heads = [slice(head * width, (head + 1) * width) for head in range(num_heads)]
    attended = torch.cat([softmax_attention(query[:, h], key[:, h], value[:, h]) for h in heads], dim=1)
    wanted = pool.c_proj.weight[:, :, 0] @ attended[0] + pool.c_proj.bias
    assert torch.allclose(pool(x)[0], wanted, atol=1e-5)


# Precision of the trunk

CONVOLUTION = re.compile(
    r"(input_blocks\.0\.0|in_layers\.2|out_layers\.3|skip_connection|qkv|proj_out|\.op|\.conv)\.(weight|bias)$"
)
SMALL = {"image_size": 8, "image_channels": 1, "channel_mult": (1, 2), "attention_resolutions": (4,)}
SMALL_UNET = UNetConfig(**SMALL, num_channels=32, num_res_blocks=1, num_classes=3, resblock_updown=False)
SMALL_ENCODER = EncoderConfig(**SMALL, classifier_width=32, num_head_channels=32, num_classes=3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("network", [UNet(SMALL_UNET), EncoderClassifier(SMALL_ENCODER)])
def test_autocast_is_for_the_block_convolutions_and_for_nothing_else(network, dtype, monkeypatch):
    randomised(network)
    computed, normed, heads = {}, set(), []
    hooks = [
        module.register_forward_hook(lambda module, args, output, name=name: computed.update({name: output.dtype}))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    hooks.append(network.out.register_forward_hook(lambda module, args, output: heads.append((*args, output))))
    group_norm = nn.functional.group_norm

    def watch(x, *rest):
        normed.add(x.dtype)
        return group_norm(x, *rest)

    monkeypatch.setattr(nn.functional, "group_norm", watch)
    arguments = [torch.randn(2, 1, 8, 8), torch.tensor([3, 500])]
    if isinstance(network, UNet):
        arguments.append(torch.tensor([0, 2]))
    with torch.autocast("cpu", dtype=dtype):
        output = network(*arguments)
    for hook in hooks:
        hook.remove()

    half = {name for name, found in computed.items() if found == dtype}
    assert half == {name for name in computed if CONVOLUTION.search(f"{name}.weight")}
    assert {found for name, found in computed.items() if name not in half} == {torch.float32}
    assert normed == {torch.float32}
    ((before_head, after_head),) = heads
    assert before_head.dtype == output.dtype == torch.float32
    assert torch.equal(network.out(before_head), after_head)
    full = network(*arguments)
    assert 0 < (output - full).abs().max() < 0.1 * full.abs().max()


@pytest.mark.parametrize("network", [UNet(SMALL_UNET), EncoderClassifier(SMALL_ENCODER)])
def test_autocast_computes_as_a_cast_trunk_does(network):
    randomised(network)
    arguments = [torch.randn(2, 1, 8, 8), torch.tensor([3, 500])]
    if isinstance(network, UNet):
        arguments.append(torch.tensor([0, 2]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(*arguments)
    set_trunk_dtype(network, torch.bfloat16)
    torch.testing.assert_close(output, network(*arguments))
