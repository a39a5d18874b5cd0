"""A verb is a stage function, an option is its parameter, and a mistake is one line and exit 2."""

import errno
import inspect
import os
import signal
import subprocess
import sys
from functools import wraps
from pathlib import Path

import pytest
import yaml
from tiny import REPO, tiny_project, tiny_values

from eddpm.cli import VERBS, build_parser, main, stage_of
from eddpm.io.files import atomic, write_json

METRICS = {
    "run": {"name": "A", "scale": 1.0, "seed": 0},
    "num_images": 2,
    "metrics": {"pixels/fid": 1.0},
    "standard_errors": {},
    "provenance": {"commit": "c", "torch": "t", "device": "d"},
}
GIVEN = {"start": ["0"], "stop": ["2"], "batch-size": ["2"], "caption": ["A caption"], "figure": ["fronts"]}
GIVEN |= {"labels": [], "resize": ["clean"], "nearest-neighbours": ["3"], "replicates": ["2"]}
GIVEN |= {"trainings": ["0"], "scales": [], "workers": ["1"], "microbatch": ["2"], "threads": ["1"]}
GIVEN |= {"weights-sha256": ["0" * 64], "costs": ["shown"], "baselines": [], "counts": ["2"], "at": ["1"]}
FORMATS = ["--csv=a", "--md=a", "--tex=a"]
SETTINGS = [verb for verb in VERBS if "settings" in inspect.signature(stage_of(verb)).parameters]


def options(verb: str) -> list[str]:
    return [name.replace("_", "-") for name in inspect.signature(stage_of(verb)).parameters]


def command(verb: str, folder: Path, **changes: list[str]) -> list[str]:
    """A command with every option of the verb, naming files in `folder` that do not exist, but for `changes`."""
    argv = [verb]
    for option in options(verb):
        argv += [f"--{option}", *changes.get(option, GIVEN.get(option, [str(folder / f"{option}.missing")]))]
    return argv


def mistake(argv: list[str], capsys) -> str:
    """The one line that is printed about a mistake in the command."""
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"eddpm {argv[0]}: ")
    return line.removeprefix(f"eddpm {argv[0]}: ")


# Verbs and options ------------------------------------------------------------------------------------------------


def test_values_are_read_as_the_types_of_parameters(tmp_path):
    arguments = build_parser("evaluate").parse_args(["evaluate", "--samples", "a", "--reference", "b"])
    assert (arguments.resize, arguments.nearest_neighbours, arguments.replicates) == ("legacy_tensorflow", 3, None)
    assert list(arguments.spaces) == ["inception"]
    argv, parser = command("sample-shard", tmp_path, samples=["a.npz", "b.npz"]), build_parser("sample-shard")
    arguments = parser.parse_args(argv)
    assert (arguments.classifier, arguments.start) == (tmp_path / "classifier.missing", 0)
    assert arguments.samples == [Path("a.npz"), Path("b.npz")]
    place = argv.index("--classifier")
    for unguided in ([], ["--classifier"], ["--classifier="]):
        assert parser.parse_args(argv[:place] + unguided + argv[place + 2 :]).classifier is None


def test_an_option_that_may_not_be_left_out_is_named(tmp_path, capsys):
    parser, argv = build_parser("train-denoiser"), command("train-denoiser", tmp_path)
    for option in options("train-denoiser"):
        place = argv.index(f"--{option}")
        rest = argv[:place] + argv[place + 2 :]
        if option in ("init-from", "microbatch", "threads"):
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
    for name in VERBS if argv == ["--help"] else [f"--{option}" for option in options(argv[0])]:
        assert name in text


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("", "required: verb"),
        ("smaple-shard", "invalid choice: 'smaple-shard'"),
        ("evaluate --resize none", "--resize: invalid choice: 'none'"),
        ("status --conf a.yaml", "required: --config"),  # no abbreviations: a new option would change their meaning
        ("status --config", "--config: expected one argument"),
        ("status --config=", "--config: is empty; give a path"),
        ("status --config a --config=b", "--config is given 2 times; keep one"),
        ("evaluate --samples a --reference b --replicates=few", "--replicates: invalid int value: 'few'"),
        ("make-table --runs -dash", "--runs: expected at least one argument"),
        ("export-npz --samples= --exported a", "--samples: is empty; give a path"),
    ],
)
def test_a_command_that_does_not_parse_exits_with_2(argv, told, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv.split())
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert "usage: eddpm" in printed
    assert told in printed.splitlines()[-1]


def test_a_value_may_begin_with_a_dash_after_an_equals_sign():
    argv = ["fetch-asset", "--source=-x.pt", "--digest", "--asset=--help", "--record=~"]
    arguments = build_parser("fetch-asset").parse_args(argv)
    assert (arguments.source, arguments.digest, arguments.asset) == ("-x.pt", None, Path("--help"))
    argv = ["compare-published", "--published=-.tsv", "--caption=--a note"]
    arguments, _ = build_parser("compare-published").parse_known_args([*argv, "--runs", "A", *FORMATS])
    assert (arguments.published, arguments.caption) == (Path("-.tsv"), "--a note")


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_an_input_that_does_not_exist_is_one_line_naming_it_and_nothing_is_written(verb, tmp_path, capsys):
    inputs = ("settings", "metrics", "rules", "inputs", "source", "samples", "config")
    first = next(option for option in options(verb) if option in inputs)
    assert mistake(command(verb, tmp_path), capsys).startswith(f"{tmp_path / first}.missing: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", SETTINGS)
def test_settings_of_another_stage_are_one_line_naming_file_and_key(verb, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({"colour": "green"}))
    assert mistake(command(verb, tmp_path, settings=[str(path)]), capsys).startswith(f"{path}: colour: unknown key")


@pytest.fixture
def status_that(monkeypatch, tmp_path):
    """Runs the verb `status`, which does something else."""

    def run(stage) -> int:
        monkeypatch.setattr("eddpm.stages.status.status", wraps(stage_of("status"))(stage))
        return main(["status", "--config", str(tmp_path / "config.yaml")])

    return run


def test_a_file_that_must_not_be_touched_is_one_line_and_a_bug_is_no_mistake(status_that, capsys):
    def refused(**arguments) -> None:
        raise PermissionError(errno.EACCES, "no", "kept.npz")

    def broken(**arguments) -> None:
        raise ValueError("a bug")

    assert status_that(refused) == 2
    line = "eddpm status: kept.npz: Permission denied; change its permissions, or work in another folder\n"
    assert capsys.readouterr().err == line
    with pytest.raises(ValueError, match="a bug"):
        status_that(broken)


def test_sigterm_in_the_middle_of_writing_leaves_no_file_and_says_how_to_go_on(status_that, tmp_path, capsys):
    def half_a_file(config, targets):
        with atomic(config.with_name("samples.npz")) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("it went on")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        status_that(half_a_file)
    assert stop.value.code == 143
    assert list(tmp_path.iterdir()) == []
    line = "eddpm status: stopped by SIGTERM; the same command goes on from what is finished\n"
    assert capsys.readouterr().err == line
    assert signal.getsignal(signal.SIGTERM) is before


# Processes --------------------------------------------------------------------------------------------------------


def started(argv: list[str], folder: Path = REPO, **how) -> subprocess.CompletedProcess:
    """Python in a process of its own, in a folder; its output as bytes."""
    environment = os.environ | {"PYTHONPATH": str(REPO)} | how.pop("variables", {})
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.run([sys.executable, *argv], cwd=folder, env=environment, check=False, **how)


STATUS = ["status", "--config", "config/digits/config.yaml"]


def test_help_and_tables_need_no_torch(tmp_path):
    write_json(tmp_path / "a.json", METRICS)
    argv = command("make-table", tmp_path, runs=["A", "B"], methods=[], metrics=[str(tmp_path / "a.json")])
    heavy = "print(*({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    program = f"import sys; from eddpm.cli import build_parser, main; build_parser(); {heavy}; main({argv!r}); {heavy}"
    help_needs, table_needs = started(["-c", program]).stdout.decode().splitlines()
    assert help_needs == ""
    assert "torch" not in table_needs
    assert "A caption" in (tmp_path / "md.missing").read_text()


def test_the_arrows_of_a_table_are_printed_somehow_in_any_locale_and_written_as_utf_8(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    project = tiny_project()
    run = project.sample("uadm25-g").model_dump(mode="json")
    current = {"run": run, "num_images": 1000, "features": dict.fromkeys(project.evaluation.spaces)}
    write_json(tmp_path / "results/digits/runs/uadm25-g/metrics.json", METRICS | current)
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = started(["-m", "eddpm", "tables", "--config", "config.yaml"], tmp_path, variables=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    written = (tmp_path / "results/digits/tables/unfinished/main.md").read_bytes().decode("utf-8")
    assert "FID ↓ (pixels)" in written
    assert done.stdout.strip() == written.encode("ascii", "backslashreplace").strip()


def test_a_full_disk_behind_the_output_is_one_line_and_exit_2_even_where_it_cannot_be_said():
    with open("/dev/full", "wb") as full:
        done = started(["-m", "eddpm", *STATUS], stdout=full)
        assert started(["-m", "eddpm", *STATUS], stdout=full, stderr=full).returncode == 2
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"eddpm status: standard output: No space left on device; make room there")


def test_a_reader_that_has_seen_enough_is_no_error_to_the_console_script():
    script = f"import sys; from eddpm.cli import main; sys.argv[1:] = {STATUS!r}; sys.exit(main())"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
