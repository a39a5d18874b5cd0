"""A study: several experiments, the parts, each of which is a project file with some changes."""

from pathlib import Path
from typing import Any

from eddpm.config.projectfile import find
from eddpm.config.settings import Name, Settings, merged, parse_settings, read_yaml
from eddpm.errors import ConfigError


class Study(Settings):
    """Changes to a project file: those that all parts have, and those of each part."""

    common: dict[str, Any]
    parts: dict[Name, dict[str, Any]]


def parts_of(values: dict[str, Any], file: str) -> dict[str, dict[str, Any]]:
    """The contents of each part's project file, by name: those of `values` as the study `file` changes them.

    The experiment of PART is EXPERIMENT-PART, its table of runs PART.tsv in the folder named after the file.
    """
    path = find(file)
    study = parse_settings(Study, read_yaml(path), str(path))
    found = {}
    for part, changes in study.parts.items():
        if taken := {"experiment", "runs", "study"} & (study.common | changes).keys():
            raise ConfigError(f"{path}: {part}: {min(taken)}: follows from the names of the part and the file; drop it")
        own = {"experiment": f"{values['experiment']}-{part}", "runs": str(Path(file).with_suffix("") / f"{part}.tsv")}
        found[part] = merged(merged(values, study.common), changes) | own
        found[part].pop("study", None)
    return found
