"""Data sets as people have them, prepared by the stage."""

import contextlib
import io
import os
from pathlib import Path
from unittest.mock import patch

from pictures import config_of, prepare
from zoo.cases import House
from zoo.data_files import FILES
from zoo.data_folders import FOLDERS
from zoo.data_images import IMAGES
from zoo.data_packed import PACKED


def run(folder: Path, source: str | None = None, **settings) -> str:
    """Prepare the data set `source`, or else the one named `images`, in the home folder; what the log says."""
    source = source or next((path.name for path in folder.glob("images*")), "images")
    settings["source"] = source if source[0] in "~$" else str(folder / source)
    if "validation_source" in settings:
        settings["validation_source"] = str(folder / settings["validation_source"])
    said = io.StringIO()
    with contextlib.redirect_stderr(said), patch.dict(os.environ, HOME=str(folder)):
        prepare(folder / "prepared", config_of(**settings))
    return said.getvalue()


DATASETS = (
    House("Data sets: folders and classes", run, FOLDERS),
    House("Data sets: other files among the images", run, FILES),
    House("Data sets: images", run, IMAGES),
    House("Data sets: archives and arrays", run, PACKED),
)
