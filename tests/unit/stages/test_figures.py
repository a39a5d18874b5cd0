"""Figures from files on disk."""

import json

import numpy as np
import pytest
from PIL import Image

from eddpm.config.outputs import FIGURES
from eddpm.errors import ArtifactError
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import write_text
from eddpm.stages.figures import plot_figure

SWEEP = ["run,method,scale,seed,num_images,accuracy,pixels/fid,pixels/precision,pixels/recall"]
SWEEP += [f"A at {scale},A,{scale},0,9,0.5,0.{scale},0.3,0.2" for scale in (2, 4)]
QUANTITIES = ["entropy", "gradient_norm", "log10_scale", "guidance_norm"]
TRACE = [",".join(["t", *QUANTITIES, *(f"{name}_std" for name in QUANTITIES)])]
TRACE += [",".join([t, *["0.5"] * 8]) for t in ("9", "4")]
LEVEL = {"accuracy": 0.5, "confidence": 0.6, "entropy": 0.9, "ece": 0.1, "gradient_norm": 1e-9}
LEVELS = [json.dumps({"t_from": t, "t_to": t + 500, **LEVEL}) for t in (0, 500)]


@pytest.fixture
def drawn(tmp_path):
    """The outputs of a figure."""
    return tmp_path / "figure.png", tmp_path / "figure.pdf"


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_drawn_from_its_kind_of_inputs_in_both_formats(figure, tmp_path, drawn):
    write_samples(tmp_path / "samples", Samples(np.full((25, 8, 8, 1), 220, np.uint8), np.zeros(25, np.int64), {}))
    for kind, lines in (("sweep", SWEEP), ("traces", TRACE), ("noise_levels", LEVELS)):
        write_text(tmp_path / kind, "".join(f"{line}\n" for line in lines))
    kind = FIGURES[figure].inputs
    plot_figure(figure, [tmp_path / kind] * (1 if kind == "sweep" else 2), ["UADM(25)", "UADM(25)-G"], *drawn)
    png, pdf = drawn
    with Image.open(png) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 50
    assert 0.002 < (pixels < 200).mean() < 0.9  # neither blank nor black
    assert pdf.read_bytes().startswith(b"%PDF")


def test_labels_that_do_not_match_the_inputs_are_refused(tmp_path, drawn):
    with pytest.raises(ArtifactError, match="2 for 1 inputs"):
        plot_figure("trace", [tmp_path / "traces"], ["a", "b"], *drawn)


@pytest.mark.parametrize("text", ["", "[1, 2]\n", '{"t_from": 0}\n{"t_fr'])
def test_a_file_without_noise_levels_is_refused_in_one_line(text, tmp_path, drawn):
    write_text(tmp_path / "log.jsonl", text)
    with pytest.raises(ArtifactError, match=r"log\.jsonl: [^\n]+$"):
        plot_figure("noise_levels", [tmp_path / "log.jsonl"], ["ce"], *drawn)
    assert not any(path.exists() for path in drawn)
