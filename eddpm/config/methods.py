"""The rules that there are: one of each file in rules/."""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from eddpm.config.settings import SHORT, parse_settings
from eddpm.errors import ConfigError
from eddpm.guidance import rules
from eddpm.guidance.rule import Rule, combined
from eddpm.io.names import listed, shown


def _found() -> dict[str, type[Rule]]:
    """The rule that each file defines, by the name of the file."""
    found = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(rules.__path__)):
        module = import_module(f"{rules.__name__}.{name}")
        (found[name],) = (
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        )
    return found


RULES = _found()


def _as_rule(values: Any) -> Rule:
    if isinstance(values, Rule):
        return values
    if not isinstance(values, dict) or "rule" not in values:
        raise ValueError(f"write {{rule: NAME, ...}}, NAME being one of {listed(RULES, most=30)}")
    name = values["rule"]
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(f"unknown rule {shown(SHORT.repr(name))}; known: {listed(RULES, most=30)}")
    try:
        return parse_settings(RULES[name], {key: value for key, value in values.items() if key != "rule"}, name)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _as_method(values: Any) -> tuple[Rule, ...]:
    rules = [values] if isinstance(values, dict | Rule) else values
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise ValueError("write {rule: NAME, ...}, or a list of such rules")
    return combined([_as_rule(each) for each in rules])


# A guidance method: a rule with its parameters, or a list of rules that act together.
Method = Annotated[tuple[SerializeAsAny[Rule], ...], BeforeValidator(_as_method)]


def rules_of(method: str, methods: Mapping[str, tuple[Rule, ...]]) -> tuple[Rule, ...]:
    """The rules of a method by its name: one of a project's `methods`, or a rule that needs no parameters.

    Raises ConfigError where there is none of that name.
    """
    if method in methods:
        return methods[method]
    if method in RULES:
        try:
            return (parse_settings(RULES[method], {}, method),)
        except ConfigError as error:
            reason = f"needs parameters, as a method of `guidance` has them ({error})"
            raise ConfigError(f"guidance '{method}' {reason}") from None
    known = listed([*methods, *RULES], most=40)
    raise ConfigError(f"guidance {method!r} is no method of `guidance`, and no rule; known: {known}")
