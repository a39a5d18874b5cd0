"""One stage per rule of the workflow, and stages for a person. The parameters of a stage are the options of its verb
(cli.py): kinds of parameters that several stages have."""

from collections.abc import Sized
from pathlib import Path
from typing import Annotated

from eddpm.errors import ConfigError

OptionalFiles = Annotated[list[Path], {"nargs": "*", "default": []}]
Measured = Annotated[OptionalFiles, "the metrics.json of the runs that have one; the others are shown as missing"]
Caption = Annotated[str, {"default": ""}]
ProjectFile = Annotated[Path, "the project, such as config/digits/config.yaml"]


def check_count(option: str, given: Sized, wanted: int, of: str) -> None:
    """ConfigError unless an option has one value for each of so many."""
    if len(given) != wanted:
        raise ConfigError(f"{option}: {len(given)} given for {wanted} {of}; name one for each")
