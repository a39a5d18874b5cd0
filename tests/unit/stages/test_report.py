"""Tables and figures from files on disk."""

import json

import numpy as np
import pandas as pd
import pytest

from eddpm.errors import ArtifactError
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import write_json, write_text
from eddpm.stages.report import compare_published, make_table, plot_figure


def metrics_file(path, name, scale, **metrics):
    run = {"name": name, "scale": scale, "seed": 0, "guidance": "constant"}
    provenance = {"commit": "0" * 40, "torch": "2.4", "device": "cpu"}
    write_json(path, {"run": run, "num_images": 9, "metrics": metrics, "standard_errors": {}, "provenance": provenance})
    return path


def levels_file(path):
    measured = {"accuracy": 0.5, "confidence": 0.6, "entropy": 0.9, "ece": 0.1, "gradient_norm": 1e-9}
    rows = [{"t_from": t, "t_to": t + 500, **measured} for t in (0, 500)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


NAMES = ["UADM(25)-G at 2", "UADM(25)-G at 4"]
INCEPTION = {f"inception/{name}": 0.5 for name in ("fid", "sfid", "inception_score", "precision", "recall")}


@pytest.fixture
def table(tmp_path):
    """A table of two runs in three formats."""
    rows = [
        metrics_file(tmp_path / "a.json", "UADM(25)-G at 2", 2.0, **{"accuracy": 0.5, "pixels/fid": 1 / 3}),
        metrics_file(tmp_path / "b.json", "UADM(25)-G at 4", 4.0, **{"accuracy": 0.75, "pixels/fid": 0.25}),
    ]
    outputs = [tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")]
    make_table(NAMES, rows, "A caption with 50% of_it.", *outputs)
    return outputs


def test_csv_has_every_digit_in_the_order_given(table):
    frame = pd.read_csv(table[0])
    assert frame["run"].tolist() == NAMES
    assert frame["pixels/fid"].tolist() == [1 / 3, 0.25]


def test_markdown_heads_each_metric_with_its_space_and_says_where_it_comes_from(table):
    text = table[1].read_text()
    assert "FID ↓ (pixels)" in text
    assert "| 0.333" in text
    assert "A caption with 50% of_it." in text
    assert "0" * 40 in text


def test_latex_is_escaped(table):
    text = table[2].read_text()
    assert r"\toprule" in text
    assert r"50\% of\_it" in text
    assert "↓" not in text


def outputs(folder):
    return [folder / f"out.{kind}" for kind in ("csv", "md", "tex")]


@pytest.mark.parametrize("count", [0, 1])
def test_runs_without_metrics_are_rows_too_and_are_counted(count, tmp_path):
    rows = [metrics_file(tmp_path / "b.json", NAMES[1], 4.0, **{"pixels/fid": 0.25})][:count]
    csv, md, tex = outputs(tmp_path)
    make_table(NAMES, rows, "A caption.", csv, md, tex)
    frame = pd.read_csv(csv)
    assert frame["run"].tolist() == NAMES
    assert frame["num_images"].notna().tolist() == [False, count == 1]
    assert f"Missing: {2 - count} of 2 runs.\n" in md.read_text()
    assert md.read_text().count("missing") == tex.read_text().count("missing") == 2 - count


def test_a_whole_table_counts_no_missing_runs(table):
    assert "issing" not in table[1].read_text()


@pytest.mark.parametrize(("names", "fault"), [(["UADM"], "not among --runs"), (NAMES, "given twice")])
def test_a_file_of_another_run_or_a_second_one_is_refused_by_name(names, fault, tmp_path):
    rows = [metrics_file(tmp_path / f"{k}.json", NAMES[0], 2.0, **INCEPTION) for k in "ab"]
    place = "a" if fault.startswith("not") else "b"
    with pytest.raises(ArtifactError, match=rf"{place}\.json: run 'UADM\(25\)-G at 2' is {fault}; give [^\n]+$"):
        make_table(names, rows, "", *outputs(tmp_path))
    assert not any(path.exists() for path in outputs(tmp_path))


# Beside published numbers -----------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path):
    header = "run\tsource\tscale\tfid\tsfid\tinception_score\tprecision\trecall\tnote\n"
    write_text(tmp_path / "published.tsv", f"{header}UADM\tADM\t1\t0.25\t\t\t\t\ta note\nCADM\tADM\t1\t9\t\t\t\t\t\n")
    return tmp_path / "published.tsv"


def test_ours_stand_beside_published_numbers_in_three_formats(published, tmp_path):
    rows = [metrics_file(tmp_path / "a.json", "UADM", 2.0, **INCEPTION)]
    csv, md, tex = outputs(tmp_path)
    compare_published(["UADM", "CADM"], rows, published, "A caption.", csv, md, tex)
    frame = pd.read_csv(csv)
    assert frame["run"].tolist() == ["UADM"] * 5 + ["CADM"] * 5
    assert frame["difference"].dropna().tolist() == [0.25]
    for text in (md.read_text(), tex.read_text()):
        assert "A caption. 9 images per row; commit 0000" in text
        assert "Missing: 1 of 2 runs." in text
        assert "a note" in text
        assert "+0.25" in text


def test_a_run_that_was_not_measured_by_inception_is_refused(published, tmp_path):
    rows = [metrics_file(tmp_path / "a.json", "UADM", 2.0, **{"pixels/fid": 1.0})]
    with pytest.raises(ArtifactError, match=r"a\.json: has no metrics of the space inception; add it to [^\n]+$"):
        compare_published(["UADM"], rows, published, "", *outputs(tmp_path))


# Figures ----------------------------------------------------------------------------------------------------------


def test_figures_are_written_in_both_formats(table, tmp_path):
    samples = tmp_path / "s.npz"
    write_samples(samples, Samples(np.zeros((25, 8, 8, 1), np.uint8), np.zeros(25, np.int64), {}))
    plot_figure("samples", [samples], ["UADM"], tmp_path / "s.png", tmp_path / "s.pdf")
    plot_figure("scales", [table[0]], [], tmp_path / "c.png", tmp_path / "c.pdf")
    table[0].write_text(table[0].read_text().replace("accuracy", "pixels/precision").replace("fid", "recall"))
    plot_figure("precision_recall", [table[0]], [], tmp_path / "p.png", tmp_path / "p.pdf")
    levels = levels_file(tmp_path / "noise_levels.jsonl")
    plot_figure("noise_levels", [levels, levels], ["ce", "ect"], tmp_path / "n.png", tmp_path / "n.pdf")
    for name in ("s", "c", "p", "n"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_labels_that_do_not_match_the_inputs_are_refused(table, tmp_path):
    with pytest.raises(ArtifactError, match="2 for 1 inputs"):
        plot_figure("trace", [table[0]], ["a", "b"], tmp_path / "x.png", tmp_path / "x.pdf")


@pytest.mark.parametrize("text", ["", "{bad", '{"step": 100}\n', "[1, 2]\n", '{"t_from": 0}\n{"t_fr', None])
def test_what_holds_no_noise_levels_is_refused_in_one_line(text, tmp_path):
    path = tmp_path / "log.jsonl"
    if text is not None:
        write_text(path, text)
    with pytest.raises(ArtifactError, match=r"log\.jsonl: [^\n]+$"):
        plot_figure("noise_levels", [path], ["ce"], tmp_path / "x.png", tmp_path / "x.pdf")
