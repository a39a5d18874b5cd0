"""One word in five places: rule, verb and stage function."""

import re

from tiny import REPO

from eddpm.cli import VERBS

# Verbs without a rule: for files from outside the pipeline, and for what goes on in it.
FOR_A_PERSON = {"evaluate", "measure-speed", "status", "tables"}


def rules_with_verbs() -> dict[str, str]:
    text = "".join(path.read_text() for path in (REPO / "workflow/rules").glob("*.smk"))
    return dict(re.findall(r"^rule (\w+):.*?python -m eddpm ([\w-]+)", text, flags=re.DOTALL | re.MULTILINE))


def test_each_rule_runs_the_verb_of_its_name():
    rules = rules_with_verbs()
    rules.pop("freeze_settings", None)  # writes text, needs no verb
    assert {rule.replace("_", "-"): verb for rule, verb in rules.items()} == {verb: verb for verb in rules.values()}


def test_each_verb_has_a_rule_in_the_file_of_its_stage():
    for verb, (stage, _) in VERBS.items():
        if verb in FOR_A_PERSON:
            continue
        text = (REPO / f"workflow/rules/{stage}.smk").read_text()
        assert f"rule {verb.replace('-', '_')}:" in text, verb
