"""Weights within checkpoints: which are taken where there are several. tests/zoo has a row for each wrapping."""

import pytest
import torch
from zoo.weights import OTHER, RIGHT, renamed

from eddpm.errors import ArtifactError
from eddpm.models.weights import find_weights, shapes


def found(state: dict):
    return find_weights(state, shapes(RIGHT), "some.pt")


@pytest.mark.parametrize("name", ["ema_0.9999", "modelEma", "average", "swa_model"])
@pytest.mark.parametrize("first", [True, False])
def test_a_moving_average_is_taken_before_the_last_weights_in_whatever_order(name, first):
    pair = [(name, RIGHT), ("model", OTHER)]
    taken = found(dict(pair if first else pair[::-1]))
    assert taken.fit
    assert all(torch.equal(taken.tensors[key], RIGHT[key]) for key in RIGHT)
    assert taken.notes == [f"takes the weights under '{name}', a moving average, not those under 'model'"]


def test_a_word_that_holds_the_letters_and_an_average_of_another_network_are_no_moving_average():
    with pytest.raises(ArtifactError, match="in several places, under 'semantic', under 'model'; save those"):
        found({"semantic": RIGHT, "model": OTHER})
    taken = found({"model": RIGHT, "ema": {"conv.weight": torch.ones(2)}})
    assert taken.notes == ["takes the weights under 'model'", "leaves ema"]


def test_a_number_that_may_be_a_parameter_is_no_counter():
    taken = found(RIGHT | {"logit_scale": torch.tensor(4.6)})
    assert not taken.fit
    assert "logit_scale" in taken.tensors


def test_weights_within_another_network_are_found_and_the_rest_is_told():
    rest = {f"vae.{k}": torch.ones(1) for k in range(4)} | {"betas": torch.ones(4)}
    assert found({"state_dict": renamed("model.diffusion_model.") | rest, "epoch": 2}).notes == [
        "takes the weights under 'state_dict.model.diffusion_model'",
        "leaves state_dict.vae.0, state_dict.vae.1, state_dict.vae.2 and 3 more",
    ]
