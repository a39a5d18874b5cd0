"""The networks of a run: pairs of denoisers, the evaluations of each network, and the bounds of x0 after guidance."""

import numpy as np
import pytest
import torch

from eddpm.guidance.rule import Pair
from eddpm.guidance.rules.constant import Constant
from eddpm.guidance.rules.interval import Interval
from eddpm.guidance.rules.none import Unguided
from eddpm.stages import sampler

INDEX = np.arange(3)


class Neighbour(Pair):
    """The other denoiser is the run's own, asked for the next class."""

    def labels(self, y, num_classes, draws):
        return (y + 1) % num_classes


class Loose(Pair):
    """The other denoiser is asked for a class that it draws for each image."""

    def labels(self, y, num_classes, draws):
        return draws(num_classes)


@pytest.fixture
def sample(tiny, monkeypatch):
    """Images of the class-conditional denoiser, before they become bytes, and the evaluations of the networks."""

    def sample(index=INDEX, **changes):
        unguided = {"classifier": None, "guidance": (Unguided(),), "scale": 0.0}
        config = tiny.project.sample("cadm25-g").model_copy(update=unguided | changes)
        images, to_uint8 = [], sampler.to_uint8
        weights = tiny.weights["ce"] if config.classifier else None
        with monkeypatch.context() as patch:
            patch.setattr(sampler, "to_uint8", lambda x: images.append(x.clone()) or to_uint8(x))
            made = sampler.GuidedSampler(config, tiny.weights["cadm"], weights).sample(index)
        return images[0], dict(zip(sampler.COSTS, made["cost"].tolist(), strict=True))

    return sample


@pytest.mark.parametrize("sampling", [{}, {"sampler": "ddpm", "steps": "10"}])
def test_a_pair_of_denoisers_is_one_of_them_at_scale_0_and_the_other_at_scale_1(sample, monkeypatch, sampling):
    steps = 10 if sampling else 25
    pair = {"guidance": (Neighbour(),), **sampling}
    plain, cost = sample(**sampling)
    assert cost == {"denoiser": steps, "classifier_forward": 0, "classifier_backward": 0}
    own, cost = sample(**pair, scale=1.0)
    assert cost == {"denoiser": 2 * steps, "classifier_forward": 0, "classifier_backward": 0}
    torch.testing.assert_close(own, plain, rtol=0, atol=1e-4)
    labels = sampler.image_labels
    monkeypatch.setattr(sampler, "image_labels", lambda *arguments: (labels(*arguments) + 1) % 10)
    other, _ = sample(**sampling)
    monkeypatch.undo()
    torch.testing.assert_close(sample(**pair, scale=0.0)[0], other, rtol=0, atol=1e-3)
    assert not torch.allclose(other, plain, atol=1e-2)


def test_what_a_pair_draws_belongs_to_the_image_whatever_its_batch(sample):
    pair = {"guidance": (Loose(),), "scale": 3.0}
    together, _ = sample(**pair)
    alone = torch.cat([sample(INDEX[i : i + 1], **pair)[0] for i in INDEX])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    assert not torch.allclose(together, sample(guidance=(Neighbour(),), scale=3.0)[0], atol=1e-2)


def test_the_classifier_is_evaluated_at_guided_steps_alone_and_those_of_scale_0_too(tiny, sample):
    guided = {"classifier": tiny.project.encoder("ce"), "scale": 2.0}
    for rules, evaluations in (
        ((Constant(),), 25),
        ((Constant(timesteps=(0, 40)),), 2),
        ((Constant(), Interval(timesteps=(1, 39))), 0),
        ((Constant(timesteps=(0, 400)), Interval(timesteps=(400, 999))), 1),
    ):
        _, cost = sample(**guided, guidance=rules)
        assert cost == {"denoiser": 25, "classifier_forward": evaluations, "classifier_backward": evaluations}


def test_an_interval_of_no_steps_is_no_guidance_and_one_of_all_is_the_rule_itself(tiny, sample):
    guided = {"classifier": tiny.project.encoder("ce"), "scale": 50.0}
    constant, _ = sample(**guided, guidance=(Constant(),))
    for timesteps, wanted in (((0, 999), constant), ((1, 39), sample()[0])):
        assert torch.equal(sample(**guided, guidance=(Constant(), Interval(timesteps=timesteps)))[0], wanted)
    assert not torch.equal(constant, sample()[0])


def test_each_bound_of_x0_after_guidance_gives_images_of_its_own_and_none_without_guidance(tiny, sample):
    guided = {"classifier": tiny.project.encoder("ce"), "guidance": (Constant(),), "scale": 1e3}
    for changes, are_same in ((guided, False), ({}, True)):
        plain, clipped, thresholded = (sample(**changes, guided_x0=bound)[0] for bound in sampler.BOUNDS)
        for one, other in ((plain, clipped), (plain, thresholded), (clipped, thresholded)):
            assert torch.equal(one, other) == are_same
