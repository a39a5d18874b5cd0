"""The settings that lie beside outputs, and how they and samples are told apart."""

import pytest
from tiny import tiny_project

from eddpm.config.frozen import difference, frozen_parts, frozen_text, samples_identity
from eddpm.config.settings import load_settings


def test_frozen_settings_read_back_as_they_were(tmp_path):
    for settings in frozen_parts(tiny_project()).values():
        (tmp_path / "settings.yaml").write_text(frozen_text(settings))
        assert load_settings(type(settings), tmp_path / "settings.yaml") == settings


def test_every_run_and_every_network_that_is_made_here_has_its_settings():
    project = tiny_project()
    chosen = {f"runs/{run}/choice" for run in project.best_runs}
    assert frozen_parts(project).keys() == {
        *("dataset", "evaluation", "denoisers/uadm", "denoisers/cadm"),
        *(f"classifiers/{name}" for name in ("ce", "ect", "clean")),
        *(f"classifiers/{name}/levels" for name in ("ce", "ect")),
        *(f"runs/{run}" for run in project.all_runs.keys() - project.best_runs.keys()),
        *chosen,
    }


def test_samples_of_other_settings_or_weights_have_another_identity():
    project = tiny_project()
    one, other = (project.sample(run) for run in ("uadm25-g", "uadm25-g-eds"))
    identities = {
        samples_identity(settings, digests)
        for settings in (one, other)
        for digests in (["a", "b"], ["b", "a"], ["a"], ["ab"])
    }
    assert len(identities) == 8
    assert samples_identity(one, iter(["a", "b"])) in identities


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 3}}, "b.d 2, now 3"),
        ({"a": 1}, {"a": 1, "b": None}, "b absent, now None"),
        ({"a": 1, "b": 2}, {"a": 1}, "b 2, now absent"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a has changed"),
        ({"a": {"b": 1}}, {"a": None}, "a has changed"),
    ],
)
def test_a_difference_is_told_by_its_first_key(old, new, told):
    assert difference(old, new) == told
