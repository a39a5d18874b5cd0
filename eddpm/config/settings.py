"""Settings: typed, strict and frozen, read from YAML; a mistake is one line with place, key, value and remedy."""

import codecs
import csv
import difflib
import io
import re
import reprlib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eddpm.config.userpaths import one_line, why_absent
from eddpm.errors import ConfigError, reason_of
from eddpm.io.filekinds import HEAD, impostor, unreadable
from eddpm.io.names import shown


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# Bytes of a command and its environment that Linux takes (execve(2), at its usual stack of 8 MiB).
COMMAND = 2**21
FILE_NAME = 255  # bytes of a file's name

# Kinds of values.
Positive = Annotated[int, Field(gt=0, lt=2**63)]  # as arrays have it, in 64 bits
TwoOrMore = Annotated[Positive, Field(ge=2)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=120)]  # some files are called by two of them
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

AnySettings = TypeVar("AnySettings", bound=Settings)

LARGEST_YAML = 2**18  # bytes; it takes some seconds to read as many
LARGEST_TABLE = 2**24
SHORT = reprlib.Repr()  # of a value in a message: an alias in YAML may stand for millions
SHORT.maxlevel, SHORT.maxstring, SHORT.maxlong, SHORT.maxother = 2, 200, 200, 200
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
    message, value = error["msg"].removeprefix("Value error, "), shown(SHORT.repr(error["input"]))
    if error["type"] == "extra_forbidden":
        known = _known_keys(cls, error["loc"][:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"unknown key; did you mean '{close[0]}'?" if close else f"unknown key; known: {', '.join(known)}"
    if error["type"] == "missing":
        return "missing; add this key"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return message  # about several keys, which it names
    if error["type"] == "string_type" and isinstance(error["input"], int | float | date):
        kind = "date" if isinstance(error["input"], date) else "number"
        return f"value {value}: is a {kind}, and should be text; put it in quotes"
    message = message[0].lower() + message[1:]
    if error["type"] == "int_parsing":
        message += "; write it in digits alone, as 20000"
    for name, as_in_yaml in (("tuple", "list"), ("dictionary", "mapping")):
        message = message.replace(name, as_in_yaml)
    return f"value {value}: {message}"


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
    """`values` with `changes` in their place, mapping within mapping, and without what is changed to null (RFC 7396).

    Both stay as they are.
    """
    if not isinstance(changes, dict):
        return changes
    before = values if isinstance(values, dict) else {}
    after = before | {key: merged(before.get(key), change) for key, change in changes.items()}
    return {key: value for key, value in after.items() if value is not None or key not in changes}


def in_order(values: dict[str, Any], first: Iterable[str]) -> dict[str, Any]:
    """The same values, those of the keys `first` first."""
    return {key: values[key] for key in dict.fromkeys((*first, *values)) if key in values}


def read_text(path: Path, most: int) -> str:
    """A text that a user has written: UTF-8, or UTF-16 with a mark at its start, as spreadsheets save text in Unicode.

    Raises ConfigError where that is missing, larger than `most` bytes, or another kind of file, or of another encoding.
    """
    if reason := unreadable(path, most):
        raise ConfigError(f"{path}: {reason}")
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = f"{reason_of(error)}{why_absent(str(path))}"
        raise ConfigError(f"{path}: cannot be read ({reason}); give a path from the working directory") from None
    if data and (reason := impostor(data[:HEAD], text=True)):
        raise ConfigError(f"{path}: {reason}")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: byte {data[error.start]:#x} in line {line} is no UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise ConfigError(f"{path}: is no text, or of an unknown encoding; save it as UTF-8")
    return text


def read_table(path: Path, remedy: str, **dialect: Any) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """The header of a tab-separated table that a user has written, and its rows, each with its place for messages.

    `dialect` is for the csv module. Raises ConfigError as `read_text` does, with the remedy where cells cannot be told
    apart, and at a row of another length than the header.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, LARGEST_TABLE), newline=""), delimiter="\t", **dialect)
    try:
        rows = [(f"{path} line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise ConfigError(f"{path}: cannot be read ({error}); {remedy}") from None
    return list(reader.fieldnames or []), map(_whole_row, rows)


def _whole_row(row: tuple[str, dict]) -> tuple[str, dict[str, str]]:
    where, cells = row
    if None in cells or None in cells.values():
        raise ConfigError(f"{where}: has more or fewer cells than the header; separate them by tabs")
    for column, cell in cells.items():
        try:
            one_line(cell)
        except ValueError as error:
            raise ConfigError(f"{where}: {column}: value {shown(repr(cell))}: {error}") from None
    return row


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice; YAML would take the last one without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node, seen = super().compose_mapping_node(anchor), {}
        for key, _ in node.value:
            first = seen.setdefault((key.tag, str(key.value)), key)
            if first is not key and not key.tag.endswith(":merge"):
                lines = f"{first.start_mark.line + 1} and {key.start_mark.line + 1}"
                raise ValueError(f"key '{key.value}' is there twice, in lines {lines}: drop one")
        return node


def read_yaml(path: Path) -> dict:
    """A mapping that a user has written. Raises ConfigError on anything else, and on a key that comes twice."""
    text = read_text(path, LARGEST_YAML)
    try:
        values = yaml.load(text, _Loader)
    # Others than YAML's: a key twice, a date that is none, a tag that does not fit, lists a thousand deep.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        remedy = "indent by spaces, not tabs" if r"'\t'" in reason else "mend the file"
        raise ConfigError(f"{path}: not valid YAML ({reason}); {remedy}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, not key: value pairs; see config/README.md")
    return values
