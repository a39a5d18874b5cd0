"""The denoiser: against the published code's outputs, and the properties that hold for any weights."""

import pytest
import torch
from golden_cases import CASES, load_case, relative_error

from eddpm.config.networks import UNetConfig
from eddpm.models.layers import set_trunk_dtype
from eddpm.models.unet import UNet


def config(**changes) -> UNetConfig:
    settings = {"image_size": 8, "image_channels": 1, "channel_mult": (1, 2), "num_channels": 32, "num_res_blocks": 1}
    return UNetConfig(**settings | changes)


def randomised(network: UNet) -> UNet:
    """The same network with the branches and outputs that start at zero switched on."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("name", CASES)
def test_output_is_that_of_the_published_code(name):
    case = load_case(name)
    output = case.unet(case.arrays["x"], case.arrays["t"], case.label)
    assert relative_error(output, case.arrays["unet_out"]) < 1e-5


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.01), (torch.bfloat16, 0.05)])
def test_half_precision_trunk_is_close_to_float32(dtype, bound):
    case = load_case("cond-ddpm-eds")
    set_trunk_dtype(case.unet, dtype)
    output = case.unet(case.arrays["x"], case.arrays["t"], case.label)
    assert output.dtype == torch.float32
    assert 1e-4 < relative_error(output, case.arrays["unet_out"]) < bound  # below: it never left float32


def test_images_of_a_batch_do_not_see_each_other():
    case = load_case("cond-ddpm-cosine-heads")
    x, t, y = case.arrays["x"], case.arrays["t"], case.arrays["y"]
    assert relative_error(case.unet(x[2:3], t[2:3], y[2:3]), case.unet(x, t, y)[2:3]) < 1e-5


@pytest.mark.parametrize(
    ("changes", "channels"),
    [
        ({"num_classes": 10, "attention_resolutions": (4,)}, 2),
        ({"image_size": 12, "channel_mult": (1,), "image_channels": 3, "learn_sigma": False}, 3),
        ({"num_channels": 64, "channel_mult": (0.5, 1, 2), "num_head_channels": 16, "num_res_blocks": 2}, 2),
    ],
)
def test_any_size_channels_and_classes(changes, channels):
    network = randomised(UNet(config(**changes)))
    size = network.config.image_size
    x_t = torch.randn(2, network.config.image_channels, size, size)
    y = torch.tensor([0, 9]) if network.config.num_classes else None
    output = network(x_t, torch.tensor([0, 999]), y)
    assert output.shape == (2, channels, size, size)
    assert output.std() > 0


def test_dropout_acts_in_training_mode_only():
    network = randomised(UNet(config(dropout=0.3)))
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([0, 999])
    without = UNet(config())
    without.load_state_dict(network.state_dict())
    assert torch.equal(network(x_t, t), without(x_t, t))
    network.train()
    assert not torch.equal(network(x_t, t), network(x_t, t))


def test_new_network_predicts_zero():
    assert UNet(config())(torch.randn(2, 1, 8, 8), torch.tensor([0, 999])).abs().max() == 0


@pytest.mark.parametrize(("num_classes", "y"), [(10, None), (None, torch.tensor([1, 2]))])
def test_classes_go_with_a_conditional_network_only(num_classes, y):
    with pytest.raises(AssertionError, match="num_classes"):
        UNet(config(num_classes=num_classes))(torch.randn(2, 1, 8, 8), torch.tensor([0, 1]), y)
