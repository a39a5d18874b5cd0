"""All houses of the zoo, in the order of docs/files.md."""

from zoo.checkpoints import CHECKPOINTS
from zoo.datasets import DATASETS

HOUSES = (*DATASETS, CHECKPOINTS)
