"""Projects of other rows and values than the digits', and what is said of those that cannot be."""

from pathlib import Path

import pytest
import yaml
from tiny import REPO

from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.errors import ConfigError

DIGITS = yaml.safe_load((REPO / "config/digits/config.yaml").read_text())
DIGITS["runs"] = str(REPO / DIGITS["runs"])
DIGITS["ablations"] = {}
DIGITS["sweep"] = {"scales": [1, 4, 16], "num_images": 120, "seed": 1, "best": {"minimise": "pixels/fid"}}
DIGITS["classifiers"] = {name: DIGITS["classifiers"][name] for name in ("ce", "ect", "clean")}

HEADER = ["run", "denoiser", "classifier", "sampler", "steps", "guidance", "scale", "seed", "num_images"]
ROW = dict(zip(HEADER, ["UADM(25)-G", "uadm", "ce", "ddim", "ddim25", "constant", "4", "0", "10"], strict=True))
UNGUIDED = {**ROW, "run": "UADM(25)", "classifier": "", "guidance": "none", "scale": ""}
EDS = {**ROW, "run": "UADM(25)-G+EDS", "guidance": "entropy"}
PUBLISHED = "https://example.org/adm/classifier.pt"


def write_rows(table: Path, *rows: dict) -> None:
    """A table of these rows, with the optional columns that one of them has."""
    columns = list(dict.fromkeys([*HEADER, *(column for row in rows for column in row)]))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    table.write_text("".join("\t".join(line) + "\n" for line in lines))


def load(table: Path, *rows: dict, **changes) -> Project:
    """The digits with another table, of these rows or of those it has; "a__b" changes the value at a.b."""
    if rows:
        write_rows(table, *rows)
    values = {**DIGITS, "runs": str(table)}
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = values
        for parent in parents:
            place[parent] = place = dict(place[parent])  # aliases of the YAML file stay apart
        place[key] = value
    return load_project(values, "config.yaml")


def refusal(table: Path, *rows: dict, **changes) -> str:
    """The one line that such a project is refused with."""
    with pytest.raises(ConfigError) as caught:
        load(table, *rows, **changes)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def published(entry: dict, source: str = PUBLISHED, **checkpoint) -> dict:
    """An entry of a network whose weights are there already, in place of its training."""
    kept = {key: value for key, value in entry.items() if key != "training"}
    return kept | {"checkpoint": {"source": source, **checkpoint}}
