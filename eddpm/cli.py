"""The command line: one verb per rule of the workflow, every path explicit, and verbs for a person: `evaluate`, and
`measure-speed`, `plan`, `status` and `tables` of a project, below the working directory. Exit 0, or 2 with one line on
stderr; 143 after SIGTERM, which leaves no half-written file."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from eddpm.config.outputs import FIGURES
from eddpm.config.schema import INCEPTION_FILE
from eddpm.errors import EddpmError, remedy
from eddpm.io.log import show_log


def _path(text: str) -> Path:
    """As the shell would have it, which leaves `~` alone in quotes and after "="."""
    return Path(os.path.expanduser(text))


# verb -> module of eddpm.stages, help, {option: how argparse reads it}. An option is an argument of the stage function.
_PATH = {"type": _path, "required": True}
_PATHS = {"type": _path, "nargs": "+", "required": True}
_OPTIONAL_PATHS = {"type": _path, "nargs": "*", "default": []}
_RUNS = {"nargs": "+", "required": True, "help": "the name of each row, in order"}
_MEASURED = {**_OPTIONAL_PATHS, "help": "the metrics.json of the runs that have one; the others are shown as missing"}
_CONFIG = {**_PATH, "help": "the project, such as config/digits/config.yaml"}
_COUNT = {"type": int, "required": True}  # images
_NUMBER = {"type": int, "default": 1}
_TABLE = {"csv": _PATH, "md": _PATH, "tex": _PATH, "html": {"type": _path, "help": "a page that sorts by a click"}}
_TRAINING = {
    "settings": _PATH,
    "dataset": {**_PATH, "help": "dataset.json of prepared data"},
    "model": _PATH,
    "log": _PATH,
    "init-from": {"type": _path, "nargs": "?", "help": "a checkpoint to start from; named without a value: none"},
    "microbatch": {"type": int, "help": "images that a process computes at once (all of its share)"},
    "threads": {**_NUMBER, "help": "cores of this job: one for each process, the others read data (1)"},
}

VERBS: dict[str, tuple[str, str, dict[str, dict]]] = {
    "prepare-dataset": (
        "prepare",
        "crop the images of a data set and lay them down in shards for training and validation",
        {"settings": _PATH, "dataset": _PATH, "unreadable": _PATH, "workers": {**_NUMBER, "help": "processes (1)"}},
    ),
    "train-denoiser": ("train", "train a denoiser", _TRAINING),
    "train-classifier": ("train", "train a classifier, noise-aware or clean, with or without ECT", _TRAINING),
    "measure-classifier": (
        "classifiers",
        "measure a classifier on validation images by noise level",
        {"settings": _PATH, "dataset": _PATH, "classifier": _PATH, "levels": _PATH},
    ),
    "fit-temperature": (
        "classifiers",
        "fit the temperatures that temper a trained classifier by noise level",
        {"settings": _PATH, "dataset": _PATH, "classifier": _PATH, "model": _PATH},
    ),
    "sample-shard": (
        "sample",
        "sample images [start, stop) of a run",
        {
            "settings": _PATH,
            "denoiser": _PATH,
            "classifier": {"type": _path, "nargs": "?"},  # named without a value: an unguided run
            "start": _COUNT,
            "stop": _COUNT,
            "batch-size": _COUNT,
            "samples": _PATH,
        },
    ),
    "sample-sweep": (
        "scale",
        "sample a method at several scales",
        {
            "settings": _PATHS,
            "denoiser": _PATH,
            "classifier": _PATH,
            "stop": _COUNT,
            "batch-size": _COUNT,
            "samples": _PATHS,
        },
    ),
    "measure-sweep": (
        "scale",
        "measure the samples of several scales",
        {
            "settings": _PATH,
            "runs": _PATHS,
            "samples": _PATHS,
            "weights": _OPTIONAL_PATHS,
            "references": _PATHS,
            "metrics": _PATHS,
            "traces": _PATHS,
            "grids": _PATHS,
        },
    ),
    "choose-scale": (
        "scale",
        "complete a run's settings with the best scale of a sweep",
        {"settings": _PATH, "metrics": _PATHS, "run-settings": _PATH},
    ),
    "fetch-asset": (
        "fetch",
        "bring a published file here, and check it",
        {
            "source": {"type": os.path.expanduser, "required": True, "help": "a URL, or a path"},
            "digest": {"nargs": "?", "help": "SHA-256; named without a value: that of the first file to come"},
            "asset": _PATH,
            "record": {"type": Path, "help": "where the SHA-256 of the first file is recorded (ASSET.sha256)"},
        },
    ),
    "extract-references": (
        "features",
        "features and statistics of the training images, or of a reference batch, in every space",
        {"settings": _PATH, "dataset": _PATH, "weights": _OPTIONAL_PATHS, "references": _PATHS},
    ),
    "extract-features": (
        "features",
        "features of a shard of samples in every space",
        {"settings": _PATH, "samples": _PATH, "weights": _OPTIONAL_PATHS, "features": _PATH},
    ),
    "compute-metrics": (
        "measure",
        "measure a run's samples against the references",
        {
            "settings": _PATH,
            "run": _PATH,
            "samples": _PATHS,
            "features": _OPTIONAL_PATHS,
            "weights": _OPTIONAL_PATHS,
            "references": _PATHS,
            "metrics": _PATH,
            "trace": _PATH,
            "grid": _PATH,
        },
    ),
    "evaluate": (
        "measure",
        "measure any images against any others",
        {
            "samples": {**_PATH, "help": "an npz or npy, a folder or a zip of images, a folder of npz files"},
            "reference": {**_PATH, "help": "the same; or a dataset.json, or an npz of statistics (mu, sigma)"},
            "spaces": {
                "type": os.path.expanduser,
                "nargs": "+",
                "default": ["inception"],
                "help": "inception, efficientnet-lite0, pixels, or the folder of a trained classifier",
            },
            "weights": {
                "type": _path,
                "default": Path("resources/assets") / INCEPTION_FILE,
                "help": "the Inception network (%(default)s)",
            },
            "resize": {
                "choices": ["legacy_tensorflow", "clean"],
                "default": "legacy_tensorflow",
                "help": "how Inception is fed: as in ADM's evaluator (the default), or antialiased",
            },
            "nearest-neighbours": {"type": int, "default": 3, "help": "k of precision and recall (3)"},
            "replicates": {"type": int, "help": "for standard errors (50 up to 10 000 images, else 0)"},
        },
    ),
    "export-npz": (
        "export",
        "join a run's shards into the file that OpenAI's evaluator reads",
        {"samples": _PATHS, "exported": _PATH},
    ),
    "make-table": (
        "tables",
        "a table of measured runs as csv, markdown, LaTeX and HTML",
        {"runs": _RUNS, "metrics": _MEASURED, "caption": {"default": ""}, **_TABLE},
    ),
    "compare-published": (
        "tables",
        "measured runs beside published numbers as csv, markdown, LaTeX and HTML",
        {
            "runs": _RUNS,
            "metrics": _MEASURED,
            "published": {**_PATH, "help": "such as config/imagenet256/published.tsv"},
            "caption": {"default": ""},
            **_TABLE,
        },
    ),
    "plot-figure": (
        "figures",
        "a figure as PNG and PDF",
        {
            "figure": {"choices": list(FIGURES), "required": True},
            "inputs": _PATHS,
            "labels": {"nargs": "*", "default": []},
            "png": _PATH,
            "pdf": _PATH,
        },
    ),
    "measure-speed": (
        "speed",
        "measure how fast the device at hand samples a run",
        {"config": _CONFIG, "run": {"required": True, "help": "the folder of a guided run, such as uadm25-g"}},
    ),
    "plan": (
        "plan",
        "what remains to be done, and what it will take",
        {
            "config": _CONFIG,
            "targets": {"nargs": "+", "default": ["all"], "help": "as snakemake takes them (all)"},
        },
    ),
    "status": (
        "status",
        "how far each run is, and what failed",
        {
            "config": _CONFIG,
            "targets": {"nargs": "+", "default": ["all"], "help": "named ones: all, ablations, ablation_NAME (all)"},
        },
    ),
    "tables": ("tables", "write the tables of what is measured so far, and print the first", {"config": _CONFIG}),
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eddpm", description="Entropy-driven classifier guidance, stage by stage.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for verb, (_, summary, options) in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary)
        for option, how in options.items():
            subparser.add_argument(f"--{option}", **how)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns 0, or 2 after one line about a mistake of the user's; bugs raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks an arrow of a table
    show_log()
    arguments = vars(build_parser().parse_args(argv))
    verb = arguments.pop("verb")
    # Imported here, so that only the verbs that compute with torch wait for it.
    stage = getattr(import_module(f"eddpm.stages.{VERBS[verb][0]}"), verb.replace("-", "_"))
    try:
        with _ended_by_sigterm(verb):
            stage(**arguments)
        sys.stdout.flush()
    except EddpmError as error:
        print(f"eddpm {verb}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as of `| head`, which has seen enough
        _close_output()
    except OSError as error:  # of a file that no stage names, such as the log
        if not (way_out := remedy(error)):
            raise
        with suppress(OSError):
            place = error.filename or "standard output"
            print(f"eddpm {verb}: {place}: {os.strerror(error.errno)}; {way_out}", file=sys.stderr)
        if not error.filename:
            _close_output()
        return 2
    return 0


def _close_output() -> None:
    """Drop the output that is not printed yet: it would be an error when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _ended_by_sigterm(verb: str) -> Iterator[None]:
    """SIGTERM (a time limit, scancel) ends the block as an exception would: with its files in order."""
    first = os.getpid()

    def end(*_) -> None:
        if os.getpid() == first:  # not one that was forked off
            print(f"eddpm {verb}: stopped by SIGTERM; the same command goes on from what is finished", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
