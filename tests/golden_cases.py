"""What the published code computed: small networks, their outputs, and guided trajectories (tests/golden/*.npz).

    case = load_case("cond-ddpm-eds")
    case.unet(case.arrays["x"], case.arrays["t"], case.label) ~ case.arrays["unet_out"]

The arrays, with B = 4 images of shape (3, 16, 16) and `steps` of the respaced schedule:

x, t, y                           inputs; t are original steps of 1000, y are classes
unet_out, cls_logits, cls_grad    the denoiser at (x, t[, y]); logits; gradient at x of log p(y | x, t)
q_noise, q_sample                 q_sample of x clamped to [-1, 1] at t with that noise, on the full schedule
timestep_map, betas               (steps,): the respaced schedule (betas in float64)
x_T, noises                       start of the trajectory; (steps, B, ...): the noise drawn by step k, 0 the first taken
trajectory                        (steps, B, ...): the state after each step
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.models.build import build_classifier, build_denoiser, load_weights
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.unet import UNet

GOLDEN = Path(__file__).parent / "golden"
CASES = ("cond-ddpm-cosine-heads", "cond-ddpm-eds", "uncond-ddim-constant", "uncond-ddim-eds")


@dataclass(frozen=True)
class GoldenCase:
    """One case: settings, networks with their weights (eval mode, no gradients for parameters), arrays by name."""

    name: str
    cfg: dict[str, Any]  # by ADM's names: schedule, respacing, sampler, scale, eds, learn_sigma, steps, unet, cls
    unet_config: UNetConfig
    encoder_config: EncoderConfig
    unet: UNet
    classifier: EncoderClassifier
    arrays: dict[str, Tensor]

    @property
    def label(self) -> Tensor | None:
        """The classes y (B,) to give to the denoiser: none where it is unconditional."""
        return None if self.unet_config.num_classes is None else self.arrays["y"]


def load_case(name: str) -> GoldenCase:
    """The case of that name, one of CASES; networks and arrays are the caller's to change."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as stored:
        cfg = json.loads(str(stored["cfg"]))
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files if "/" not in key and key != "cfg"}
        weights = {prefix: _weights(stored, prefix) for prefix in ("sd_unet", "sd_cls")}

    unet_config, encoder_config = _unet_config(cfg["unet"], cfg["learn_sigma"]), _encoder_config(cfg["cls"])
    unet, classifier = build_denoiser(unet_config, frozen=True), build_classifier(encoder_config, frozen=True)
    load_weights(unet, weights["sd_unet"], f"{name}: sd_unet")
    load_weights(classifier, weights["sd_cls"], f"{name}: sd_cls")
    return GoldenCase(name, cfg, unet_config, encoder_config, unet, classifier, arrays)


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Largest deviation, as a share of the largest magnitude that is wanted."""
    assert found.shape == wanted.shape, f"{tuple(found.shape)} is not {tuple(wanted.shape)}"
    return float((found - wanted).abs().max() / wanted.abs().max())


def _weights(stored: np.lib.npyio.NpzFile, prefix: str) -> dict[str, Tensor]:
    """Float32 weights of one network; they are stored as multiples of 1/64 (vectors) or 1/256 (all others)."""
    steps = {key.removeprefix(f"{prefix}/"): stored[key] for key in stored.files if key.startswith(f"{prefix}/")}
    return {key: torch.from_numpy(step).float() / (64 if step.ndim == 1 else 256) for key, step in steps.items()}


def _network_settings(args: dict[str, Any]) -> dict[str, Any]:
    """What both networks share, from ADM's constructor arguments: there -1 is no head width, and attention is placed
    by downsampling factors instead of pixels."""
    head_channels = args["num_head_channels"]
    return {
        "image_size": args["image_size"],
        "image_channels": args["in_channels"],
        "channel_mult": tuple(args["channel_mult"]),
        "attention_resolutions": tuple(args["image_size"] // factor for factor in args["attention_resolutions"]),
        "num_heads": args.get("num_heads", 1),
        "num_head_channels": None if head_channels == -1 else head_channels,
        "use_scale_shift_norm": args["use_scale_shift_norm"],
        "resblock_updown": args["resblock_updown"],
        "use_new_attention_order": args.get("use_new_attention_order", False),
    }


def _unet_config(args: dict[str, Any], learn_sigma: bool) -> UNetConfig:
    assert args["out_channels"] == args["in_channels"] * (1 + learn_sigma)
    return UNetConfig(
        **_network_settings(args),
        num_channels=args["model_channels"],
        num_res_blocks=args["num_res_blocks"],
        num_classes=args["num_classes"],
        learn_sigma=learn_sigma,
    )


def _encoder_config(args: dict[str, Any]) -> EncoderConfig:
    return EncoderConfig(
        **_network_settings(args),
        classifier_width=args["model_channels"],
        classifier_depth=args["num_res_blocks"],
        classifier_pool=args["pool"],
        num_classes=args["out_channels"],
    )
