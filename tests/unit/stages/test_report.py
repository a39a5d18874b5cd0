"""Tables and figures from files on disk."""

import json

import numpy as np
import pandas as pd
import pytest

from eddpm.artifacts import Samples, write_json, write_samples, write_text
from eddpm.errors import ArtifactError
from eddpm.stages.report import make_table, plot_figure


def metrics_file(path, name, scale, **metrics):
    run = {"name": name, "scale": scale, "seed": 0, "guidance": "constant"}
    provenance = {"commit": "0" * 40, "torch": "2.4", "device": "cpu"}
    write_json(path, {"run": run, "num_images": 9, "metrics": metrics, "standard_errors": {}, "provenance": provenance})
    return path


def levels_file(path):
    measured = {"accuracy": 0.5, "entropy": 0.9, "ece": 0.1, "gradient_norm": 1e-9}
    rows = [{"t_from": t, "t_to": t + 500, **measured} for t in (0, 500)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table(tmp_path):
    """A table of two runs in three formats."""
    rows = [
        metrics_file(tmp_path / "a.json", "UADM(25)-G at 2", 2.0, **{"accuracy": 0.5, "pixels/fid": 1 / 3}),
        metrics_file(tmp_path / "b.json", "UADM(25)-G at 4", 4.0, **{"accuracy": 0.75, "pixels/fid": 0.25}),
    ]
    outputs = [tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")]
    make_table(rows, "A caption with 50% of_it.", *outputs)
    return outputs


def test_csv_has_every_digit_in_the_order_given(table):
    frame = pd.read_csv(table[0])
    assert frame["run"].tolist() == ["UADM(25)-G at 2", "UADM(25)-G at 4"]
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


def test_figures_are_written_in_both_formats(table, tmp_path):
    samples = tmp_path / "s.npz"
    write_samples(samples, Samples(np.zeros((25, 8, 8, 1), np.uint8), np.zeros(25, np.int64), {}))
    plot_figure("samples", [samples], ["UADM"], tmp_path / "s.png", tmp_path / "s.pdf")
    plot_figure("scales", [table[0]], [], tmp_path / "c.png", tmp_path / "c.pdf")
    levels = levels_file(tmp_path / "noise_levels.jsonl")
    plot_figure("noise_levels", [levels, levels], ["ce", "ect"], tmp_path / "n.png", tmp_path / "n.pdf")
    for name in ("s", "c", "n"):
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
