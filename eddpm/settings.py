"""Settings: typed, strict and frozen, read from YAML; a mistake is one line with place, key, value and remedy."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from eddpm.errors import ConfigError


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnySettings = TypeVar("AnySettings", bound=Settings)

_MARK = re.compile(r"\[.*\]|constrained-float")  # pydantic's own, and tags of unions, within the path to a value


def parse_settings(cls: type[AnySettings], values: Any, place: str) -> AnySettings:
    """Check plain `values` against `cls`. Raises ConfigError with the first mistake: place, key, value, remedy."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        # A misspelled key is also a missing one: unknown keys come first.
        first = min(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"] if not _MARK.fullmatch(str(part)))
        raise ConfigError(": ".join(filter(None, (place, key, _explain(first, cls))))) from None


def _explain(error: dict, cls: type[Settings]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = _known_keys(cls, error["loc"][:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"unknown key; did you mean '{close[0]}'?" if close else f"unknown key; known: {', '.join(known)}"
    if error["type"] == "missing":
        return "missing; add this key"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return message  # about several keys, which it names
    if error["type"] == "string_type" and isinstance(error["input"], int | float):
        return f"value {error['input']!r}: is a number, and should be text; put it in quotes"
    message = message[0].lower() + message[1:]
    for name, as_in_yaml in (("tuple", "list"), ("dictionary", "mapping")):
        message = message.replace(name, as_in_yaml)
    return f"value {error['input']!r}: {message}"


def _known_keys(cls: type[Settings], path: tuple) -> list[str]:
    """The keys of the settings class that sits at `path` below `cls`."""
    parts = iter(path)
    for field in parts:
        annotation = cls.model_fields[field].annotation
        if get_origin(annotation) in (dict, tuple):
            next(parts)  # the entry's own name or number
        cls = _settings_in(annotation)
    return list(cls.model_fields)


def _settings_in(annotation: Any) -> type[Settings] | None:
    """The settings class within dict[...], tuple[...] or a union."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next(filter(None, map(_settings_in, get_args(annotation))), None)


def load_settings(cls: type[AnySettings], path: Path) -> AnySettings:
    """Read a settings file (YAML) strictly."""
    return parse_settings(cls, read_yaml(path), str(path))


def merged(values: Any, changes: Any) -> Any:
    """`values` with `changes` in their place, mapping within mapping; both stay as they are."""
    if not (isinstance(values, dict) and isinstance(changes, dict)):
        return changes
    return values | {key: merged(values.get(key), change) for key, change in changes.items()}


def read_yaml(path: Path) -> dict:
    try:
        values = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no text, or a date that is none
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend the file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, not key: value pairs; see config/README.md")
    return values
