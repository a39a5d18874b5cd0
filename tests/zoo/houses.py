"""All houses of the zoo, in the order of docs/files.md."""

from zoo.checkpoints import CHECKPOINTS
from zoo.datasets import DATASETS
from zoo.evaluation import SAMPLES
from zoo.references import PROJECT_REFERENCES, REFERENCES

HOUSES = (*DATASETS, SAMPLES, REFERENCES, PROJECT_REFERENCES, CHECKPOINTS)
