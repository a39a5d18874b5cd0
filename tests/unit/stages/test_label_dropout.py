"""A denoiser trained with label dropout: its last class is none, and a pair may ask for that."""

import numpy as np
import pytest
import torch
from projects import DIGITS, ROW, load, published, refusal
from tiny import tiny_project, tiny_values, write_settings

import eddpm
from eddpm.config.frozen import frozen_text
from eddpm.config.methods import RULES
from eddpm.config.samples import SampleConfig
from eddpm.errors import ArtifactError
from eddpm.guidance.rule import Pair
from eddpm.io.arrays import read_npz
from eddpm.io.files import save_model
from eddpm.models.build import build_denoiser, load_weights_file
from eddpm.stages.sample import sample_shard

CADM = DIGITS["denoisers"]["cadm"]
CELLS = {"run": "CFG", "denoiser": "cadm", "classifier": "", "guidance": "cfg", "scale": "2"}


class NoClass(Pair):
    """The other denoiser, or the run's own, is asked for no class."""

    asks_for_no_class = True

    name: str | None = None

    @property
    def other(self):
        return self.name


class SameClass(NoClass):
    asks_for_no_class = False


@pytest.fixture
def rules(monkeypatch):
    """Pairs that ask for no class, and for the run's class."""
    for name, rule in (("no_class", NoClass), ("same_class", SameClass)):
        monkeypatch.setattr(rule, "rule", classmethod(lambda cls, name=name: name))
        monkeypatch.setitem(RULES, name, rule)


@pytest.fixture
def dropping():
    """The tiny project whose conditional denoiser is trained with label dropout."""
    denoisers = tiny_values()["denoisers"]
    denoisers["cadm"]["label_dropout"] = 0.5
    return tiny_project(denoisers=denoisers)


# Settings ---------------------------------------------------------------------------------------------------------


def test_only_a_denoiser_with_label_dropout_has_it_in_its_settings_and_a_class_more(dropping):
    plain, config = tiny_project().train_denoiser("cadm"), dropping.train_denoiser("cadm")
    assert "label_dropout" not in frozen_text(plain)
    assert (plain.network.num_classes, config.network.num_classes) == (10, 11)
    changed = frozen_text(config).replace("label_dropout: 0.5\n", "").replace("num_classes: 11", "num_classes: 10")
    assert changed == frozen_text(plain)


@pytest.mark.parametrize(
    ("denoiser", "value", "message"),
    [
        ("uadm", 0.1, "denoisers.uadm: label_dropout 0.1 needs labels; set class_cond: true"),
        ("cadm", 1, "denoisers.cadm.label_dropout: value 1: input should be less than 1"),
        ("cadm", -0.1, "denoisers.cadm.label_dropout: value -0.1: input should be greater than or equal to 0"),
    ],
)
def test_label_dropout_that_cannot_be_is_refused(tmp_path, denoiser, value, message):
    table = tmp_path / "runs.tsv"
    assert message in refusal(table, ROW, **{f"denoisers__{denoiser}__label_dropout": value})


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("cells", "rule", "message"),
    [
        (
            {},
            "no_class",
            "guidance by no_class asks its denoiser for no class, which it has not learned; train",
        ),
        ({}, {"rule": "no_class", "name": "cadm"}, "guidance by no_class asks the other denoiser for no class"),
        ({"denoiser": "uadm"}, "no_class", "guidance by no_class needs a denoiser that knows the classes"),
        ({"denoiser": "uadm"}, "same_class", "guidance by same_class needs a denoiser that knows the classes"),
        ({"denoiser": "uadm"}, {"rule": "same_class", "name": "cadm"}, "guidance by same_class needs a denoiser that"),
    ],
)
def test_a_pair_that_asks_a_denoiser_what_it_has_not_learned_is_refused(tmp_path, cells, rule, message):
    table = tmp_path / "runs.tsv"
    rule = {"rule": rule} if isinstance(rule, str) else rule
    found = refusal(table, {**ROW, **CELLS, **cells}, guidance={"cfg": rule})
    assert found.startswith(f"{table} row 'CFG': {message}")


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({}, {"rule": "no_class", "name": "uadm"}),
        ({}, {"rule": "no_class", "name": "dropping"}),
        ({"denoiser": "dropping"}, {"rule": "no_class"}),
        ({"denoiser": "published"}, {"rule": "no_class"}),
        ({"denoiser": "uadm"}, {"rule": "same_class", "name": "smaller"}),
    ],
)
def test_a_pair_that_asks_what_its_denoisers_know_is_accepted(tmp_path, cells, rule):
    others = {
        "dropping": {**CADM, "label_dropout": 0.1},
        "published": published({**CADM, "label_dropout": 0.1}),
        "smaller": DIGITS["denoisers"]["uadm"],
    }
    denoisers = DIGITS["denoisers"] | others
    project = load(tmp_path / "runs.tsv", {**ROW, **CELLS, **cells}, guidance={"cfg": rule}, denoisers=denoisers)
    assert project.sample("cfg").is_guided


# Training and sampling --------------------------------------------------------------------------------------------


def test_the_class_for_no_label_is_trained_and_the_file_alone_gives_the_denoiser_back(dropping, run, tmp_path):
    config = dropping.train_denoiser("cadm")
    weights, log = run("cadm", config=config)
    torch.manual_seed(config.training.seed)
    start = build_denoiser(config.network).label_emb.weight
    assert not torch.equal(weights["label_emb.weight"][10], start[10])
    assert log[-1]["step"] == 3
    network = eddpm.load(tmp_path / "out/model.safetensors")
    x = torch.zeros(1, 1, 8, 8)
    assert network(x, torch.tensor([5]), torch.tensor([10])).shape == x.shape
    load_weights_file(build_denoiser(config.network), tmp_path / "out/model.safetensors")
    plain = build_denoiser(tiny_project().unet("cadm"))
    with pytest.raises(ArtifactError, match=r"one class more, as label dropout gives it: set label_dropout$"):
        load_weights_file(plain, tmp_path / "out/model.safetensors")


@pytest.mark.usefixtures("rules")
def test_one_denoiser_guides_itself_from_no_class_at_0_to_its_class_at_1_and_beyond(dropping, tmp_path):
    unet = dropping.unet("cadm")
    network, weights = build_denoiser(unet), tmp_path / "weights.safetensors"
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_model(weights, network.state_dict())

    def sample(scale: float, guidance: str, y: int | None = None) -> dict[str, np.ndarray]:
        """Three images; where y is given, those of a denoiser that answers as for y to any class."""
        changes = {"classifier": None, "scale": scale, "guidance": {"rule": guidance}}
        values = dropping.sample("cadm25-g").model_dump() | changes
        settings, path = tmp_path / "settings.yaml", tmp_path / f"{guidance} {scale}.npz"
        write_settings(settings, SampleConfig(**values))
        used = weights
        if y is not None:
            state = network.state_dict()
            state["label_emb.weight"] = state["label_emb.weight"][y].expand(11, -1).contiguous()
            save_model(used := tmp_path / "constant.safetensors", state)
        sample_shard([settings], used, None, 3, 6, 3, [path])
        return read_npz(path)

    plain, unlabelled = sample(1, "none"), sample(0, "none", y=10)
    assert (plain["arr_0"] != unlabelled["arr_0"]).any()
    np.testing.assert_array_equal(sample(1, "no_class")["arr_0"], plain["arr_0"])
    assert abs(sample(0, "no_class")["arr_0"].astype(int) - unlabelled["arr_0"]).max() <= 1
    guided = sample(3, "no_class")
    assert (guided["arr_0"] != plain["arr_0"]).any()
    assert guided["cost"][:3].tolist() == [50, 0, 0]
