"""Weights within checkpoints: which are taken where there are several. tests/zoo has a row for each wrapping."""

import pytest
import torch
from zoo.weights import OTHER, RIGHT, optimiser, renamed

from eddpm.errors import ArtifactError
from eddpm.models.weights import find_weights, shapes

WANTED = shapes(RIGHT)


def taken(state: dict):
    """The weights that were found; a network could load them."""
    found = find_weights(state, WANTED, "some.pt")
    assert found.fit
    assert found.tensors.keys() == RIGHT.keys()
    return found


@pytest.mark.parametrize("name", ["ema_0.9999", "modelEma", "average", "swa_model"])
@pytest.mark.parametrize("first", [True, False])
def test_a_moving_average_is_taken_before_the_last_weights_in_whatever_order(name, first):
    pair = [(name, RIGHT), ("model", OTHER)]
    found = taken(dict(pair if first else pair[::-1]))
    assert all(torch.equal(found.tensors[key], RIGHT[key]) for key in RIGHT)
    assert found.notes == [f"takes the weights under '{name}', a moving average, not those under 'model'"]


def test_a_word_that_holds_the_letters_is_no_moving_average():
    with pytest.raises(ArtifactError, match="in several places, under 'semantic', under 'model'; save those"):
        find_weights({"semantic": RIGHT, "model": OTHER}, WANTED, "some.pt")


def test_an_average_of_another_network_leaves_the_weights_that_fit():
    found = taken({"model": RIGHT, "ema": {"conv.weight": torch.ones(2)}})
    assert found.notes == ["takes the weights under 'model'", "leaves ema"]


def test_an_unfinished_training_of_ours_gives_its_moving_average():
    trainer = {
        "network": OTHER,
        "average": {"n_averaged": torch.tensor(3)} | renamed("module."),
        "optimiser": optimiser(),
    }
    found = taken({"identity": {"settings": {"a": 1}}, "trainer": trainer | {"step": 3}})
    assert found.place == "trainer.average.module."


def test_a_number_that_may_be_a_parameter_is_no_counter():
    found = find_weights(RIGHT | {"logit_scale": torch.tensor(4.6)}, WANTED, "some.pt")
    assert not found.fit
    assert "logit_scale" in found.tensors


def test_weights_within_another_network_are_found_and_the_rest_is_told():
    rest = {f"vae.{k}": torch.ones(1) for k in range(4)} | {"betas": torch.ones(4)}
    found = taken({"state_dict": renamed("model.diffusion_model.") | rest, "epoch": 2})
    assert found.notes == [
        "takes the weights under 'state_dict.model.diffusion_model'",
        "leaves state_dict.vae.0, state_dict.vae.1, state_dict.vae.2 and 3 more",
    ]
