"""The page of the family lists every rule with its parameters and their defaults."""

import re
from pathlib import Path

from eddpm.config.methods import RULES
from eddpm.guidance.rule import Rule

PAGE = (Path(__file__).parents[3] / "docs/guidance.md").read_text()


def test_every_rule_has_a_row_with_its_parameters_and_their_defaults():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE, re.MULTILINE))
    assert rows.keys() >= RULES.keys()
    for name, rule in RULES.items():
        for parameter, field in rule.model_fields.items():
            if parameter in Rule.model_fields and not field.is_required():
                continue
            assert f"`{parameter}`" in rows[name], (name, parameter)
            if isinstance(field.default, int | float):
                assert f"({field.default:g})" in rows[name], (name, parameter)


def test_the_rule_of_the_page_is_the_one_that_is_tested():
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    tested = (Path(__file__).parents[2] / "data/rules/early.py").read_text()
    body = lambda text: text[text.index("from eddpm") :].strip()  # noqa: E731
    assert body(tested) in [body(snippet) for snippet in snippets]
