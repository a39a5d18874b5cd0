"""Random weights of vision transformers in the formats of the published files, at a size that tests can bear."""

import warnings
from functools import partial
from pathlib import Path

import torch
from torch import nn

SMALL = {"depth": 2, "embed_dim": 24, "num_heads": 2}


def small(monkeypatch):
    """Networks by their names are small from here on: two blocks of 24 numbers."""
    import timm

    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **SMALL))


def random_network(name: str, **how) -> nn.Module:
    """A network of timm's with random weights, of which none is as it was initialised."""
    import timm

    with torch.device("meta"):  # timm's own weights would take seconds
        network = timm.create_model(name, **how).eval()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return network


def write_dinov2(path: Path, network: nn.Module) -> Path:
    """The file of DINOv2's authors: tensors by name, with the token of its training."""
    width = network.pos_embed.shape[2]
    torch.save({"mask_token": torch.zeros(1, width), **network.state_dict()}, path)
    return path


class Block(nn.Module):
    """A block of CLIP's image tower, for its names."""

    def __init__(self, width: int):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 2)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})


class Tower(nn.Module):
    def __init__(self, width: int, depth: int, outputs: int, patches: int):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(patches + 1, width))
        self.proj = nn.Parameter(torch.empty(width, outputs))
        self.conv1 = nn.Conv2d(3, width, 14, 14, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(Block(width) for _ in range(depth))})


class Clip(nn.Module):
    """The names of OpenAI's file; of the text's tower, one tensor."""

    def __init__(self, **how):
        super().__init__()
        self.visual, self.logit_scale = Tower(**how), nn.Parameter(torch.ones([]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


NAMES = (  # CLIP's and timm's
    ("transformer.resblocks.", "blocks."),
    ("ln_pre", "norm_pre"),
    ("ln_post", "norm"),
    ("ln_", "norm"),
    ("in_proj_", "qkv."),
    ("out_proj", "proj"),
    ("c_fc", "fc1"),
    ("c_proj", "fc2"),
    ("conv1", "patch_embed.proj"),
    ("positional_embedding", "pos_embed"),
    ("class_embedding", "cls_token"),
)


def write_clip(path: Path, network: nn.Module) -> Path:
    """OpenAI's file: a TorchScript in half precision. The network's weights become those of the file."""
    outputs, width = network.head.weight.shape
    clip = Clip(width=width, depth=len(network.blocks), outputs=outputs, patches=network.pos_embed.shape[1] - 1)
    own, state = network.half().float().state_dict(), clip.visual.state_dict()
    for name in state:
        timms = name
        for theirs, here in NAMES:
            timms = timms.replace(theirs, here)
        state[name] = own["head.weight"].T if name == "proj" else own[timms].reshape(state[name].shape)
    clip.visual.load_state_dict(state)
    network.head.bias.data.zero_()
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch's, of its own format
        torch.jit.script(clip.half()).save(str(path))
    return path
