"""A verb is a stage function, an option is its argument, and a mistake is one line and exit 2."""

import errno
import inspect
import json
import os
import signal
import subprocess
import sys
from functools import wraps
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import tiny_project, tiny_values

from eddpm.cli import VERBS, build_parser, main, stage_of
from eddpm.io.arrays import write_npz
from eddpm.io.files import atomic, write_json
from eddpm.stages import tables

REPO = Path(__file__).parents[2]
DATASET = {"source": "digits", "image_size": 8, "image_channels": 1, "num_classes": 10}
METRICS = {
    "run": {"name": "A", "scale": 1.0, "seed": 0},
    "num_images": 2,
    "metrics": {"pixels/fid": 1.0},
    "standard_errors": {},
    "provenance": {"commit": "c", "torch": "t", "device": "d"},
}

COLUMNS = [
    f"{name}{of}" for name in ("entropy", "gradient_norm", "log10_scale", "guidance_norm") for of in ("", "_std")
]
TRACE = "\n".join(",".join(row) for row in (["t", *COLUMNS], ["9", *["0.5"] * 8], ["4", *["0.4"] * 8]))


def options(verb: str) -> list[str]:
    return [name.replace("_", "-") for name in inspect.signature(stage_of(verb)).parameters]


def command(verb: str, folder: Path, **changes: list[str]) -> list[str]:
    """A command with every option of the verb, naming files in `folder` that do not exist, but for `changes`."""
    values = {"start": ["0"], "stop": ["2"], "batch-size": ["2"], "caption": ["A caption"], "figure": ["fronts"]}
    values["labels"] = []
    values |= {"resize": ["clean"], "nearest-neighbours": ["3"], "replicates": ["2"]}
    values |= {"workers": ["1"], "microbatch": ["2"], "threads": ["1"]}
    argv = [verb]
    for option in options(verb):
        value = changes.get(option.replace("-", "_"), values.get(option, [str(folder / f"{option}.missing")]))
        argv += [f"--{option}", *value]
    return argv


def mistake(argv: list[str], capsys) -> str:
    """The one line that is printed about a mistake in the command."""
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"eddpm {argv[0]}: ")
    return lines[0].removeprefix(f"eddpm {argv[0]}: ")


# Verbs and options ------------------------------------------------------------------------------------------------


def test_every_public_function_of_a_stage_that_takes_settings_is_a_verb():
    stages = {stage for stage, _ in VERBS.values()}
    assert stages == {path.stem for path in (REPO / "eddpm/stages").glob("[a-z]*.py")}
    for stage in stages:
        module = import_module(f"eddpm.stages.{stage}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and "settings" in inspect.signature(function).parameters:
                assert name.startswith("_") or name.replace("_", "-") in VERBS


def test_a_path_is_read_as_a_path_and_a_list_as_a_list(tmp_path):
    arguments = build_parser("measure-samples").parse_args(
        command("measure-samples", tmp_path, samples=["a.npz", "b.npz"], weights=[], references=["r.npz"])
    )
    assert arguments.samples == [Path("a.npz"), Path("b.npz")]
    assert arguments.weights == []
    assert arguments.references == [Path("r.npz")]
    assert arguments.metrics == [tmp_path / "metrics.missing"]


@pytest.mark.parametrize("option", [[], ["--classifier"]])
def test_an_unguided_run_names_no_classifier_or_one_without_a_value(tmp_path, option):
    argv = command("sample-shard", tmp_path)
    place = argv.index("--classifier")
    parser = build_parser("sample-shard")
    assert parser.parse_args(argv[:place] + option + argv[place + 2 :]).classifier is None
    assert parser.parse_args(argv).classifier == tmp_path / "classifier.missing"


@pytest.mark.parametrize(
    ("verb", "left_out"),
    [
        ("evaluate", {"spaces", "weights", "resize", "nearest-neighbours", "replicates"}),
        ("prepare-dataset", {"workers"}),
        ("train-denoiser", {"init-from", "microbatch", "threads"}),
        ("sample-shard", {"classifier"}),
        ("extract-references", {"weights"}),
        ("make-table", {"metrics", "caption", "html"}),
        ("plot-figure", {"labels"}),
        ("status", {"targets"}),
        ("fetch-asset", {"digest", "record"}),
    ],
)
def test_an_option_that_may_not_be_left_out_is_named(verb, left_out, tmp_path, capsys):
    parser, argv = build_parser(verb), command(verb, tmp_path)
    for option in options(verb):
        place = argv.index(f"--{option}")
        rest = argv[:place] + argv[place + (1 if option == "labels" else 2) :]
        if option in left_out:
            parser.parse_args(rest)
            continue
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(rest)
        assert stop.value.code == 2
        assert f"required: --{option}" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_names_every_verb_or_option(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    names = VERBS if argv == ["--help"] else [f"--{option}" for option in options(argv[0])]
    for name in names:
        assert name in text


@pytest.mark.parametrize("argv", [[], ["smaple-shard"], ["sample-shard", "--zzz"]])
def test_a_command_that_does_not_parse_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: eddpm" in capsys.readouterr().err


# Running ----------------------------------------------------------------------------------------------------------


def test_a_verb_does_its_work_and_exits_with_0(tmp_path, capsys):
    write_json(tmp_path / "a.json", METRICS)
    outputs = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "tex")}
    options = [word for kind, path in outputs.items() for word in (f"--{kind}", str(path))]
    assert (
        main(["make-table", "--runs", "A", "--metrics", str(tmp_path / "a.json"), "--caption", "Table 1", *options])
        == 0
    )
    assert all(path.stat().st_size for path in outputs.values())
    assert "Table 1" in outputs["md"].read_text()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verb", VERBS)
def test_an_input_that_does_not_exist_is_one_line_naming_it_and_nothing_is_written(verb, tmp_path, capsys):
    inputs = ("settings", "metrics", "inputs", "source", "samples", "config")
    first = next(option for option in options(verb) if option in inputs)
    assert mistake(command(verb, tmp_path), capsys).startswith(f"{tmp_path / first}.missing: ")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_of_published_numbers_is_one_line(tmp_path, capsys):
    path = tmp_path / "published.tsv"
    path.write_text("run\tfid\n")
    argv = command("compare-published", tmp_path, metrics=[], published=[str(path)])
    assert mistake(argv, capsys).startswith(f"{path} line 1: column 'source' is unknown, missing or repeated")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if "settings" in options(verb)])
def test_settings_of_another_stage_are_one_line_naming_file_and_key(verb, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({"colour": "green"}))
    assert mistake(command(verb, tmp_path, settings=[str(path)]), capsys).startswith(f"{path}: colour: unknown key")


def test_a_data_set_that_differs_from_its_settings_is_one_line(tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({**DATASET, "num_classes": 9}))
    assert mistake(command("prepare-dataset", tmp_path, settings=[str(path)]), capsys).startswith(
        "dataset 'digits': has"
    )


def test_a_damaged_table_is_one_line(tmp_path, capsys):
    path = tmp_path / "sweep.csv"
    path.write_bytes(b"\xff\xfe\x00")
    assert mistake(command("plot-figure", tmp_path, inputs=[str(path)]), capsys).startswith(f"{path}: not a readable")
    path.write_text("")
    assert mistake(command("plot-figure", tmp_path, inputs=[str(path)]), capsys).startswith(f"{path}: is empty")
    path.write_text("<!DOCTYPE html>")
    assert mistake(command("plot-figure", tmp_path, inputs=[str(path)]), capsys).startswith(f"{path}: is a web page")


def test_labels_that_do_not_go_with_the_inputs_are_one_line(tmp_path, capsys):
    write_npz(tmp_path / "a.npz", arr_0=np.zeros((2, 8, 8, 1), np.uint8), arr_1=np.zeros(2, int))
    argv = command("plot-figure", tmp_path, figure=["samples"], inputs=[str(tmp_path / "a.npz")], labels=["A", "B"])
    assert mistake(argv, capsys).startswith("--labels: 2 for 1 inputs")


def test_a_file_that_is_no_metrics_is_one_line(tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"run": {}}))
    assert mistake(command("make-table", tmp_path, metrics=[str(path)]), capsys).startswith(f"{path}: has not the keys")


def test_a_bug_is_not_taken_for_a_mistake(tmp_path, monkeypatch):
    @wraps(tables.make_table)
    def broken(**arguments) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(tables, "make_table", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(command("make-table", tmp_path))


def test_the_module_and_the_console_script_run_alike(tmp_path):
    argv = command("make-table", tmp_path)
    script = f"import sys; from eddpm.cli import main; sys.argv[1:] = {argv!r}; sys.exit(main())"
    for start in (["-m", "eddpm", *argv], ["-c", script]):
        done = subprocess.run([sys.executable, *start], cwd=REPO, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(f"eddpm make-table: {tmp_path / 'metrics.missing'}: does not exist")


def test_importing_the_command_line_loads_no_torch():
    program = "import sys, eddpm.cli; eddpm.cli.build_parser(); print(*({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_tables_are_made_without_torch(tmp_path):
    write_json(tmp_path / "a.json", METRICS)
    argv = command("make-table", tmp_path, runs=["A", "B"], metrics=[str(tmp_path / "a.json")])
    program = f"import sys; from eddpm.cli import main; print(main({argv!r}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def test_sigterm_in_the_middle_of_writing_leaves_no_file_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    @wraps(stage_of("status"))
    def half_a_file(config, targets):
        with atomic(config.with_name("samples.npz")) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("it went on")

    monkeypatch.setattr("eddpm.stages.status.status", half_a_file)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        main(["status", "--config", str(tmp_path / "config.yaml")])
    assert stop.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert (
        capsys.readouterr().err == "eddpm status: stopped by SIGTERM; the same command goes on from what is finished\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "eddpm", "status", "--config", "config/digits/config.yaml"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


# Environments as they are -----------------------------------------------------------------------------------------


def started(argv: list[str], folder: Path = REPO, **how) -> subprocess.CompletedProcess:
    """A verb in a process of its own, in a folder; what it prints as bytes."""
    environment = os.environ | {"PYTHONPATH": str(REPO)} | how.pop("variables", {})
    command = [sys.executable, "-m", "eddpm", *argv]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.run(command, cwd=folder, env=environment, check=False, **how)


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=["C", "latin-1", "ascii"],
)
def test_the_arrows_of_a_table_are_printed_somehow_in_any_locale_and_written_as_utf_8(tmp_path, locale):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    project = tiny_project()
    num_images = project.all_runs["uadm25-g"].num_images
    current = {"run": project.sample("uadm25-g").model_dump(mode="json"), "num_images": num_images}
    current["features"] = dict.fromkeys(project.evaluation.spaces)
    write_json(tmp_path / "results/digits/runs/uadm25-g/metrics.json", METRICS | current)
    done = started(["tables", "--config", "config.yaml"], tmp_path, variables=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    written = (tmp_path / "results/digits/tables/unfinished/main.md").read_bytes().decode("utf-8")
    assert "FID ↓ (pixels)" in written
    assert done.stdout.strip() == written.encode("ascii", "backslashreplace").strip()


def test_a_full_disk_behind_the_output_is_one_line():
    with open("/dev/full", "wb") as full:
        done = started(["status", "--config", "config/digits/config.yaml"], stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"eddpm status: standard output: No space left on device; make room there")
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_behind_the_log_ends_the_job_with_the_same_exit_code():
    with open("/dev/full", "wb") as full:
        done = started(["status", "--config", "config/digits/config.yaml"], stdout=full, stderr=full)
    assert done.returncode == 2


def test_a_file_that_cannot_be_written_is_one_line(tmp_path, capsys):
    write_json(tmp_path / "a.json", METRICS)
    (tmp_path / "out").write_text("mine")
    argv = command(
        "make-table", tmp_path, runs=["A"], metrics=[str(tmp_path / "a.json")], csv=[str(tmp_path / "out/a")]
    )
    assert mistake(argv, capsys).startswith(f"{tmp_path}/out/a: cannot be written (File exists); give another path")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_must_not_be_touched_is_one_line_wherever_that_shows(tmp_path, capsys, monkeypatch):
    @wraps(tables.make_table)
    def refused(**arguments) -> None:
        raise PermissionError(errno.EACCES, "no", "kept.npz")

    monkeypatch.setattr(tables, "make_table", refused)
    line = mistake(command("make-table", tmp_path), capsys)
    assert line == "kept.npz: Permission denied; change its permissions, or work in another folder"


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense", "HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null/matplotlib"},
    ],
    ids=["of a notebook", "nonsense, and no home"],
)
def test_figures_are_drawn_whatever_backend_is_asked_for(tmp_path, variables):
    (tmp_path / "trace.csv").write_text(TRACE)
    argv = command("plot-figure", tmp_path, figure=["trace"], inputs=["trace.csv"], labels=["A"])
    done = started(argv, tmp_path, variables=variables)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "png.missing").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "pdf.missing").read_bytes().startswith(b"%PDF")


def test_the_library_draws_without_choosing_a_backend_for_its_user():
    program = "import sys; from eddpm.reporting import plots; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
