"""One stage per rule of the workflow, and stages for a person. The parameters of a stage are the options of its verb
(cli.py): kinds of parameters that several stages have."""

from pathlib import Path
from typing import Annotated

OptionalFiles = Annotated[list[Path], {"nargs": "*", "default": []}]
Measured = Annotated[OptionalFiles, "the metrics.json of the runs that have one; the others are shown as missing"]
Caption = Annotated[str, {"default": ""}]
ProjectFile = Annotated[Path, "the project, such as config/digits/config.yaml"]
