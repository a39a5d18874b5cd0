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


def run(folder: Path, **settings) -> str:
    """Prepare the data set `source` (`images` unless an option names another) in the home folder; what the log says."""
    settings = {"source": "images"} | settings
    for key in {"source", "validation_source"} & settings.keys():
        if settings[key][0] not in "~$":
            settings[key] = str(folder / settings[key])
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
