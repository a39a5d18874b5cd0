"""Data sets as people have them, prepared by the stage."""

import contextlib
import io
from pathlib import Path

from pictures import config_of, prepare, save_classes
from zoo.cases import Case, House


def run(folder: Path, **settings) -> str:
    """Prepare the data set `source` (the folder `images` unless an option names another); what the log says."""
    source = folder / settings.pop("source", "images")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        prepare(folder / "prepared", config_of(source, **settings))
    return said.getvalue()


DATASETS = House(
    "Data sets",
    run,
    (
        Case(
            "a folder of images for each class",
            lambda folder: save_classes(folder / "images", {"cats": 5, "dogs": 5}),
            "taken",
            ("8 train images of 2 classes",),
        ),
        Case(
            "a path that does not exist",
            lambda folder: None,
            "refused",
            ("does not exist",),
        ),
    ),
)
