"""Methods of guidance, and mistakes in them: one line, with place, value and remedy, when the project is read."""

import pytest
from projects import ROW, load, refusal

from eddpm.config.methods import RULES
from eddpm.guidance.rule import Pair, Rule


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"rule": "entrpy"}, "unknown rule 'entrpy'; known: "),
        ({"rule": ["entropy"]}, "unknown rule ['entropy']; known: "),
        ({"entropy_classes": 9}, "write {rule: NAME, ...}, NAME being one of "),
        ("entropy", "value 'entropy': write {rule: NAME, ...}, or a list of such rules"),
        ([], "value []: a method needs a rule; name one"),
        (["entropy"], "value ['entropy']: write {rule: NAME, ...}, NAME being one of "),
        (
            {"rule": "entropy", "entropy_clases": 9},
            "entropy: entropy_clases: unknown key; did you mean 'entropy_classes'?",
        ),
        ({"rule": "entropy", "entropy_classes": 1}, "entropy: entropy_classes: value 1: input should be greater than"),
        ({"rule": "entropy", "eds_timesteps": "0-499"}, "entropy: eds_timesteps: value '0-499': write the lowest and"),
        ({"rule": "interval"}, "interval: timesteps: missing; add this key"),
        (
            [{"rule": "entropy"}, {"rule": "interval", "timestep": 9}],
            "timestep: unknown key; did you mean 'timesteps'?",
        ),
    ],
)
def test_a_method_that_cannot_be_is_refused_with_its_name_used_or_not(table, method, message):
    line = refusal(table, ROW, guidance__mine=method)
    assert line.startswith("config.yaml: guidance.mine: ")
    assert message in line


class Tilted(Rule):
    """A rule with a cotangent of its own."""

    def cotangent(self, answer, state):
        return answer.residual


class Other(Pair):
    """A rule of two denoisers."""


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["tilted", "tilted"], "more than one has a cotangent of its own; combine one at most"),
        (["entropy", "other"], "some are of a classifier, some of two denoisers; combine those of one kind"),
        (["other", "other"], "2 of them name a second denoiser; one has to"),
    ],
)
def test_rules_that_do_not_go_together_are_refused_with_their_method(table, monkeypatch, rules, message):
    monkeypatch.setitem(RULES, "tilted", Tilted)
    monkeypatch.setitem(RULES, "other", Other)
    line = refusal(table, ROW, guidance__mine=[{"rule": name} for name in rules])
    assert line.startswith("config.yaml: guidance.mine: ")
    assert line.endswith(message)
    assert load(table, ROW, guidance__mine=[{"rule": rules[0]}, {"rule": "interval", "timesteps": [0, 9]}])


def test_a_method_has_the_name_of_no_rule_but_its_own(table):
    for name in ("none", "entropy"):
        message = f"config.yaml: guidance.{name}: is the name of a rule that it has not; rename it"
        assert refusal(table, ROW, **{f"guidance__{name}": {"rule": "constant"}}) == message
    assert load(table, ROW, guidance__entropy={"rule": "entropy", "entropy_classes": 9})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance": "esd"}, "guidance 'esd' is no method of `guidance`, and no rule; known: eds-1000, eds-"),
        (
            {"guidance": "interval"},
            "guidance 'interval' needs parameters, as a method of `guidance` has them (interval: ",
        ),
        ({"guidance": "mine"}, "guidance: timesteps [500, 1000] lie beyond the last timestep; end them at 999"),
    ],
)
def test_a_row_with_guidance_that_the_project_lacks_is_named_and_so_is_an_ablation(table, changes, message):
    mine = {"guidance__mine": {"rule": "interval", "timesteps": [500, 1000]}}
    assert refusal(table, {**ROW, **changes}, **mine).startswith(f"{table} row 'UADM(25)-G': {message}")
    ablations = {"x": {"rows": [ROW["run"]], "vary": {"guidance": [changes["guidance"]]}}}
    place = f"config.yaml: ablations.x: row 'UADM(25)-G with guidance {changes['guidance']}': "
    assert refusal(table, ROW, ablations=ablations, **mine).startswith(place + message)


def test_a_sweep_is_checked_as_the_table_where_that_has_scale_0(table):
    row = {**ROW, "steps": "25", "scale": "0"}
    assert refusal(table, row).startswith("config.yaml: sweep: row 'UADM(25)-G at 1': steps '25' keep t = 999, ")
    assert load(table, {**row, "guided_x0": "clipped"})
