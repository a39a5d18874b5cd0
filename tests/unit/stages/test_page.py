"""The report from files on disk."""

import pytest

from eddpm.errors import ArtifactError
from eddpm.io.files import write_json, write_text
from eddpm.stages.page import make_report

BENCHMARK = "s\th:m:s\tmax_rss\n{}\t0:00:00\t{}\n"


@pytest.fixture
def arguments(tmp_path):
    """What the stage asks for, with every file in place."""
    features = {"pixels": {"extractor": {"range": "[-1, 1]"}, "reference": {"sha256": "f" * 64}}}
    provenance = {"commit": "0" * 40, "device": "cpu"}
    write_json(tmp_path / "metrics.json", {"run": {"name": "A"}, "features": features, "provenance": provenance})
    write_text(tmp_path / "best_scale.md", "| run | scale |\n|:--|:--|\n| A | 2 |\n\nA caption.\n")
    (tmp_path / "trace.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "runs.tsv").write_text("run\tscale\nÄ\t2\n", encoding="utf-8-sig")
    for name, seconds, memory in (
        ("prepare_dataset", 360, 1024),
        ("sample_shard/a/0000", 3600, 100),
        ("sample_shard/a/0001", 1800, "NA"),
    ):
        write_text(tmp_path / f"benchmarks/{name}.tsv", BENCHMARK.format(seconds, memory))
    return {
        "experiment": "digits",
        "metrics": [tmp_path / "metrics.json"],
        "tables": [tmp_path / "best_scale.md"],
        "figures": [tmp_path / "trace.png"],
        "configs": [tmp_path / "runs.tsv"],
        "benchmarks": tmp_path / "benchmarks",
        "report": tmp_path / "report.html",
    }


def test_a_report_shows_what_every_file_says(arguments):
    make_report(**arguments)
    text = arguments["report"].read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    for shown in ("<h1>digits</h1>", '<h3 id="table-best_scale">best scale</h3>', "A caption.", "0" * 40):
        assert shown in text
    assert 'src="data:image/png;base64,iVBOR' in text
    assert f"<summary>{arguments['configs'][0]}</summary>\n<pre>run\tscale\nÄ\t2\n</pre>" in text


def test_a_table_of_runs_is_shown_as_a_spreadsheet_saved_it(arguments):
    (table,) = arguments["configs"]
    table.write_text("run\tscale\nÄ\t2\n", encoding="utf-16")
    make_report(**arguments)
    assert "<pre>run\tscale\nÄ\t2\n</pre>" in arguments["report"].read_text(encoding="utf-8")


def test_jobs_are_timed_by_rule_whether_it_has_one_file_or_a_folder_of_them(arguments):
    make_report(**arguments)
    cost = "".join(arguments["report"].read_text().partition('id="cost"')[2].split())
    assert '<td>sample_shard</td><tdclass="number">2</td><tdclass="number">1.500</td><tdclass="number">0.10' in cost
    assert '<td>prepare_dataset</td><tdclass="number">1</td><tdclass="number">0.100</td><tdclass="number">1.00' in cost


def test_a_report_is_made_where_nothing_was_timed(arguments, tmp_path):
    make_report(**arguments | {"benchmarks": tmp_path / "none"})
    assert "all of these" in arguments["report"].read_text()


@pytest.mark.parametrize("kind", ["metrics", "tables", "figures", "configs"])
def test_a_missing_file_is_named_and_no_report_is_left(arguments, kind):
    (path,) = arguments[kind]
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"{path.name}: [^\n]*make it first$"):
        make_report(**arguments)
    assert not arguments["report"].exists()


def test_a_damaged_figure_is_named(arguments):
    arguments["figures"][0].write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"trace\.png: not a PNG"):
        make_report(**arguments)
