"""One word for a rule, its verb and its stage function."""

import re

from tiny import REPO

from eddpm.cli import VERBS

# Verbs without a rule: for files from outside the pipeline, and for its progress.
FOR_A_PERSON = {"evaluate", "measure-speed", "status", "tables"}


def test_each_rule_runs_the_verb_of_its_name_and_each_verb_has_one():
    text = "".join(path.read_text() for path in (REPO / "workflow/rules").glob("*.smk"))
    commands = dict(re.findall(r"^([A-Z]+) = \(\n(.*?)^\)", text, re.DOTALL | re.MULTILINE))  # of several rules
    text = re.sub(r"^ +([A-Z]+)$", lambda name: commands[name[1]], text, flags=re.MULTILINE)
    rules = dict(
        re.findall(r"^ *rule (\w+):(?:(?!^ *rule ).)*?python -m eddpm ([\w-]+)", text, re.DOTALL | re.MULTILINE)
    )
    assert {rule.replace("_", "-"): verb for rule, verb in rules.items()} == {verb: verb for verb in rules.values()}
    assert set(rules.values()) == VERBS.keys() - FOR_A_PERSON
