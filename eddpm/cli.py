"""The command line: verbs for a person, and one verb per rule of the workflow, with every path explicit.

The options of a verb are the parameters of its stage function: their types, defaults, and notes in `Annotated`. Exit 0,
or 2 with one line on stderr; 143 after SIGTERM, which leaves no half-written file.
"""

import argparse
import inspect
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from eddpm.errors import EddpmError, remedy

# verb -> module of eddpm.stages, summary
VERBS = {
    "evaluate": ("evaluate", "measure any images against any others"),
    "measure-speed": ("speed", "measure how fast the device at hand samples a run"),
    "status": ("status", "the progress of each run of a project, and what failed"),
    "tables": ("tables", "write the tables of what is measured so far, and print the first"),
    "prepare-dataset": ("prepare", "crop the images of a data set into shards for training and validation"),
    "train-denoiser": ("train", "train a denoiser"),
    "train-classifier": ("train", "train a classifier, noise-aware or clean, with or without ECT"),
    "measure-classifier": ("classifiers", "measure a classifier on validation images by noise level"),
    "fit-temperature": ("classifiers", "fit the temperatures that calibrate a trained classifier by noise level"),
    "sample-shard": ("sample", "sample images [start, stop) of a run, or of several with the same networks"),
    "choose-scale": ("scale", "complete a run's settings with the best scale of a sweep"),
    "fetch-asset": ("fetch", "fetch and check a published file"),
    "extract-references": ("references", "features and statistics of the reference images in every space"),
    "extract-features": ("features", "features of a shard of samples in every space"),
    "measure-samples": ("measure", "measure the samples of runs against the references"),
    "measure-memorisation": ("memorisation", "search samples of runs for copies of training images"),
    "export-npz": ("export", "join a run's shards into the file that OpenAI's evaluator reads"),
    "make-table": ("tables", "a table of measured runs as csv, markdown, LaTeX and HTML"),
    "match-methods": ("tables", "swept methods interpolated to the same strength, as csv, markdown, LaTeX and HTML"),
    "report-study": ("study", "the tables and figures of a study of guidance rules"),
    "compare-published": ("tables", "measured runs beside published numbers as csv, markdown, LaTeX and HTML"),
    "plot-figure": ("figures", "a figure as PNG and PDF"),
}


def stage_of(verb: str) -> Callable[..., None]:
    """The function behind a verb. Only its module is imported: most need torch, which takes seconds."""
    return getattr(import_module(f"eddpm.stages.{VERBS[verb][0]}"), verb.replace("-", "_"))


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser of all verbs; of the options, it knows those of `verb`."""
    parser = argparse.ArgumentParser(
        prog="eddpm", description="Entropy-driven classifier guidance, stage by stage.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name, (_, summary) in VERBS.items():
        subparser = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        if name == verb:
            for parameter in inspect.signature(stage_of(verb)).parameters.values():
                subparser.add_argument(f"--{parameter.name.replace('_', '-')}", **_option(parameter))
    return parser


def _option(parameter: inspect.Parameter) -> dict[str, Any]:
    """The arguments of argparse. A note of the parameter is its help, or a dict of such arguments."""
    kind, notes, how = parameter.annotation, [], {}
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
    is_optional = type(None) in get_args(kind)
    if is_optional:  # named without a value: None
        kind = get_args(kind)[0]
        how |= {"nargs": "?", "default": None}
    elif get_origin(kind) in (list, Sequence):
        kind = get_args(kind)[0]
        how["nargs"] = "+" if parameter.default else "*"
    if get_origin(kind) is Literal:
        how["choices"] = get_args(kind)
    else:
        read = _path if kind is Path else kind
        how["type"] = _or_none(read) if is_optional else read
    if parameter.default is not parameter.empty:
        how["default"] = parameter.default
    for note in notes:
        how |= {"help": note} if isinstance(note, str) else note
    return {"required": "default" not in how, **how}


def _path(text: str) -> Path:
    """`~` expanded: the shell leaves it alone in quotes and after "="."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path")
    return Path(os.path.expanduser(text))


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """None for `--option=`, as of an empty variable of a shell."""

    def read_or_none(text: str) -> Any:
        return read(text) if text else None

    read_or_none.__name__ = read.__name__  # as argparse calls it where the text cannot be read
    return read_or_none


def _parsed(argv: list[str], verb: str | None) -> dict[str, Any]:
    """The arguments of a verb. An option that is given twice is a mistake; argparse would take the last one."""
    parser = build_parser(verb)
    for option, count in Counter(each.partition("=")[0] for each in argv if each.startswith("--")).items():
        if count > 1:
            parser.error(f"{option} is given {count} times; keep one")
    arguments = vars(parser.parse_args(argv))
    del arguments["verb"]
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns 0, or 2 after one line about a mistake of the user's; bugs raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks an arrow of a table
    argv = sys.argv[1:] if argv is None else argv
    verb = argv[0] if argv else None
    try:
        from eddpm.io.log import show_log  # needs tqdm, which the library does without

        show_log()
        arguments = _parsed(argv, verb)
        with _ended_by_sigterm(verb):
            stage_of(verb)(**arguments)
        sys.stdout.flush()
    except EddpmError as error:
        print(f"eddpm {verb}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:  # of the library without the pipeline
        if (error.name or "eddpm").startswith("eddpm"):
            raise
        print(f"eddpm: needs {error.name}; pip install 'eddpm[pipeline]'", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"eddpm {verb}: the memory of this machine is too small for it; ask for more, or less", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as of `| head`
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
