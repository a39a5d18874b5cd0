"""The classifier: logits and gradients against the published code, the heads against their formulas."""

import pytest
import torch
from golden_cases import CASES, load_case, relative_error
from torch import Tensor

from eddpm.config.networks import EncoderConfig
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.layers import set_trunk_dtype


def config(**changes) -> EncoderConfig:
    settings = {"image_size": 8, "image_channels": 1, "channel_mult": (1, 2), "classifier_width": 32}
    settings |= {"classifier_depth": 1, "num_head_channels": 32, "num_classes": 10}
    return EncoderConfig(**settings | changes)


def target_log_prob(classifier: EncoderClassifier, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """Sum over the batch of log p(y | x_t)."""
    return classifier(x_t, t).log_softmax(dim=1).gather(1, y[:, None]).sum()


def guidance_gradient(classifier: EncoderClassifier, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
    x_t = x_t.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(x_t, t).log_softmax(dim=1).gather(1, y[:, None]).sum(), x_t)
    return gradient


@pytest.mark.parametrize("name", CASES)
def test_logits_and_gradient_are_those_of_the_published_code(name):
    case = load_case(name)
    x, t, y = (case.arrays[key] for key in ("x", "t", "y"))
    assert relative_error(case.classifier(x, t), case.arrays["cls_logits"]) < 1e-5
    assert relative_error(guidance_gradient(case.classifier, x, t, y), case.arrays["cls_grad"]) < 1e-5


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.01), (torch.bfloat16, 0.06)])
def test_half_precision_trunk_is_close_to_float32(dtype, bound):
    case = load_case("cond-ddpm-eds")
    x, t, y = (case.arrays[key] for key in ("x", "t", "y"))
    set_trunk_dtype(case.classifier, dtype)
    logits = case.classifier(x, t)
    assert logits.dtype == torch.float32
    assert 1e-5 < relative_error(logits, case.arrays["cls_logits"]) < bound  # below: it never left float32
    assert relative_error(guidance_gradient(case.classifier, x, t, y), case.arrays["cls_grad"]) < bound


def test_gradient_is_the_slope_of_the_log_probability():
    case = load_case("uncond-ddim-constant")
    classifier = case.classifier.double()
    x, t, y = case.arrays["x"].double(), case.arrays["t"], case.arrays["y"]
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradient = guidance_gradient(classifier, x, t, y)
    ahead = target_log_prob(classifier, x + 1e-5 * direction, t, y)
    behind = target_log_prob(classifier, x - 1e-5 * direction, t, y)
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-6)


def test_features_are_the_maps_that_their_names_say():
    case = load_case("uncond-ddim-eds")
    x, t = case.arrays["x"], case.arrays["t"]
    seen = {}
    case.classifier.middle_block.register_forward_hook(lambda module, args, output: seen.update(middle=output))
    features = case.classifier.features(x, t)
    assert torch.equal(features.spatial, seen["middle"][:, :7])
    assert features.spatial.shape == (4, 7, 8, 8)
    assert features.pooled.shape == (4, 64)
    assert torch.equal(features.logits, case.classifier(x, t))


@pytest.mark.parametrize(("pool", "last"), [("attention", "out.2.c_proj"), ("adaptive", "out.3")])
def test_logits_are_linear_in_the_pooled_features(pool, last):
    classifier = EncoderClassifier(config(classifier_pool=pool, num_classes=5))
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([0, 999])
    weight, bias = torch.randn(5, 64), torch.randn(5)
    ones = [1] * (1 if pool == "attention" else 2)
    state = {f"{last}.weight": weight.view(5, 64, *ones), f"{last}.bias": bias}
    assert not classifier.load_state_dict(state, strict=False).unexpected_keys
    features = classifier.features(x, t)
    assert torch.allclose(features.logits, features.pooled @ weight.T + bias, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 2, "image_channels": 3, "image_size": 12, "num_head_channels": None, "num_heads": 2},
        {"classifier_width": 64, "channel_mult": (0.5, 1, 2), "attention_resolutions": (4, 2)},
        {"classifier_pool": "adaptive", "use_scale_shift_norm": False, "resblock_updown": False},
    ],
)
def test_any_size_channels_and_classes(changes):
    classifier = EncoderClassifier(config(**changes))
    settings = classifier.config
    x_t = torch.randn(2, settings.image_channels, settings.image_size, settings.image_size)
    assert classifier(x_t, torch.tensor([0, 999])).shape == (2, settings.num_classes)


def test_logits_are_divided_by_the_temperature_of_their_noise_level_and_at_first_by_one():
    torch.manual_seed(0)
    plain, tempered = (EncoderClassifier(config(temperatures=levels)) for levels in (None, 3))
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x_t, t = torch.randn(6, 1, 8, 8), torch.tensor([0, 299, 300, 599, 600, 999])
    tempered.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(tempered(x_t, t), plain(x_t, t))
    temperatures = {"temperatures": torch.tensor([2.0, 4.0, 8.0]), "temperature_edges": torch.tensor([300, 600])}
    tempered.load_state_dict(plain.state_dict() | temperatures)
    divisors = torch.tensor([2.0, 2.0, 4.0, 4.0, 8.0, 8.0])[:, None]
    assert torch.equal(tempered(x_t, t), plain(x_t, t) / divisors)
    assert torch.equal(tempered(x_t, t.float()), plain(x_t, t) / divisors)  # a step may come as a float
    features, tempered_features = plain.features(x_t, t), tempered.features(x_t, t)
    assert torch.equal(tempered_features.logits, features.logits / divisors)
    assert torch.equal(tempered_features.pooled, features.pooled)
