"""The benchmarks run, and show what they are there to show, at small sizes."""

import importlib
import json
import tracemalloc
from inspect import signature
from pathlib import Path

import pandas as pd
import pytest
import torch
from golden_cases import load_case, relative_error
from pictures import CIFAR10, prepare
from scipy.linalg import sqrtm
from tiny import tiny_project, write_settings

from eddpm.diffusion.noise import draw
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.evaluation.features import Extractor
from eddpm.io.batches import ImageFile
from eddpm.stages.features import features_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # as for a script that is run


def script(name: str):
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        pytest.param(
            *("fid_ours", "fid_clean"),
            marks=pytest.mark.skipif("disp" not in signature(sqrtm).parameters, reason="clean-fid is older than scipy"),
        ),
        ("prc_ours", "prc_fidelity"),
        ("all_of_balls", "prdc"),
        ("vendi_ours", "vendi_authors"),
        ("mmd_ours", "mmd_fidelity"),
    ],
)
def test_what_is_timed_side_by_side_gives_the_same(ours, other, capsys):
    metrics = script("metrics")
    for name in (ours, other):
        metrics.run(name, 150, 20)
    a, b = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert a["value"] == pytest.approx(b["value"], rel=1e-6)
    assert min(a["seconds"], b["seconds"]) > 0


@pytest.fixture
def printed(monkeypatch, capsys):
    """The cells of the table that a script prints, row by row, without its two lines of header."""

    def printed(name: str, *arguments: str) -> list[list[str]]:
        monkeypatch.setattr("sys.argv", ["script.py", *arguments])
        script(name).main()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        return [line.strip("| ").split(" | ") for line in lines[2:]]

    return printed


def test_the_loader_is_timed_beside_torchvisions_on_the_same_files(printed):
    arguments = "--source", str(CIFAR10), "--image-size", "32", "--workers", "0", "--seconds", "0.2", "--turns", "1"
    (row,) = printed("loader", *arguments)
    size, files, ours, theirs, ratio, _ = map(float, row)
    assert (size, files) == (32, 500)
    assert ratio == pytest.approx(ours / theirs, rel=0.1)


TRAININGS = {
    "classifier": lambda project: project.train_classifier("ect"),
    "denoiser": lambda project: project.train_denoiser("uadm"),  # which has a moving average
}


@pytest.mark.parametrize("kind", TRAININGS)
def test_the_step_is_timed_beside_the_plain_loops_with_the_shares_of_draws_and_of_waiting(kind, tmp_path, printed):
    project = tiny_project()
    settings = write_settings(tmp_path / kind / "settings.yaml", TRAININGS[kind](project))
    arguments = "--settings", str(settings), "--dataset", str(prepare(tmp_path, project.dataset))
    rows = printed("training", *arguments, "--steps", "2", "--rounds", "1")
    assert [row[3] for row in rows] == script("training").precisions()[0]
    for name, _, batch, _, ours, plain, ratio, *shares in rows:
        assert (name, batch) == (kind, "8")
        assert float(ratio) == pytest.approx(float(plain) / float(ours), rel=0.05)
        assert all(0 <= float(share.rstrip("%")) <= 100 for share in shares)


@pytest.mark.parametrize("microbatch", [None, 3])
@pytest.mark.parametrize("kind", TRAININGS)
def test_the_plain_loop_does_the_work_of_ours(kind, microbatch, monkeypatch):
    training, config = script("training"), TRAININGS[kind](tiny_project())
    # Weights of 0 in the last layers would leave most of the network without a gradient.
    setup = training.Setup(training.with_training(config, iterations=1))
    for parameter in setup.network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ours, plain = training.Ours(setup, microbatch), training.Plain(setup, microbatch)
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(256, (8, 8, 8, 1), dtype=torch.uint8, generator=generator), torch.arange(8)
    ours.seconds(batch, 1)
    rows = iter([range(8)] if microbatch is None else [range(3), range(3, 6), range(6, 8)])
    monkeypatch.setattr(training, "plain_draw", lambda like, total: draw(0, 0, next(rows), range(total), like))
    plain.seconds(batch, 1)
    averages = [each.average for each in (ours.trainer, plain)]
    kept = averages if all(averages) else (ours.trainer.network, plain.network)
    assert (kept == averages) is (kind == "denoiser")
    start = torch.cat([each.flatten() for each in setup.network.parameters()])
    first, second = (torch.cat([each.flatten() for each in network.parameters()]) - start for network in kept)
    assert first.norm() > 0
    assert (first - second).norm() < 1e-3 * first.norm()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_activations_that_are_counted_on_fake_tensors_are_those_that_a_pass_saves(precision):
    memory = script("training_memory")
    config = memory.training(
        precision, image_size=16, channel_mult=(1, 2), classifier_width=32, classifier_depth=1, num_head_channels=32
    )
    found = memory.memory(config)
    assert found.of(3) - found.parameters == memory.saved(config, 3)
    weights = sum(each.numel() for each in memory.build_classifier(config.network).parameters())
    assert found.parameters == weights * 4 * 4
    assert (found.fixed > weights) is (precision == "bfloat16")  # the copies of the convolutions' weights


def test_memory_by_microbatch_is_a_table(monkeypatch):
    memory = script("training_memory")
    monkeypatch.setitem(memory.PUBLISHED, "64x64_classifier", memory.small("float32", 16).network)
    monkeypatch.setattr(memory, "CLASSIFIERS", ["64x64_classifier"])
    rows = [row.strip("| ").split(" | ") for row in memory.formulas()]
    assert [row[:2] for row in rows] == [["64x64_classifier", precision] for precision in memory.PRECISIONS]
    for row in rows:
        totals = [float(total) for total in row[4:]]
        assert totals == sorted(totals)
        assert len(totals) == len(memory.MICROBATCHES)


def test_memory_is_measured_of_the_stages_one_after_the_other(tmp_path):
    memory = script("memory")
    for part in memory.Stages.names:  # each opens the files of those before
        getattr(memory.Stages(tmp_path), part)(200)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["num_images"] == 200
    assert {"classifier:clean/fid", "pixels/recall"} <= metrics["metrics"].keys()


def test_cost_is_plotted_against_images_steps_and_images_already_done(tmp_path, monkeypatch, caplog):
    cost = script("cost")
    for name, value in {"BATCH": 4, "IMAGES": 4, "STEPS": 10, "REPEATS": 1}.items():
        monkeypatch.setattr(cost, name, value)
    series = {"images": (1, (4, 8)), "steps": (1, (10, 20)), "images already done": (0, (0, 8))}
    monkeypatch.setattr(cost, "SERIES", series)
    monkeypatch.setattr("sys.argv", ["cost.py", "--out", str(tmp_path / "cost")])
    with caplog.at_level("INFO"):
        cost.main()
    points = pd.read_csv(tmp_path / "cost.csv")
    found = [(name, tuple(of_series["value"])) for name, of_series in points.groupby("against", sort=False)]
    assert found == [(name, values) for name, (_, values) in series.items()]
    assert (points["seconds"] > 0).all()
    assert (tmp_path / "cost.png").stat().st_size > 1000
    assert "4 of 12 images to sample" in caplog.text  # the eight that are done are not made again


def test_the_published_order_gives_the_published_states(monkeypatch):
    published, case = script("published"), load_case("uncond-ddim-eds")
    monkeypatch.setattr(published, "CLASSES_OF_SCALE", case.encoder_config.num_classes)
    schedule = respace(make_schedule(case.cfg["schedule"]), case.cfg["respacing"])
    networks = [published.as_published(network) for network in (case.unet, case.classifier)]
    x_0 = published.sample_ddim(*networks, schedule, case.arrays["x_T"], case.arrays["y"].long(), case.cfg["scale"])
    assert relative_error(x_0, case.arrays["trajectory"][-1]) < 1e-3


def test_the_guided_step_is_timed_beside_the_published_order(printed):
    (row,) = printed(
        "sampling", "--sizes", "32", "--width", "64", "--batch", "1", "--rounds", "1", "--precisions", "float32"
    )
    size, precision, ratio, difference, milliseconds, *shares = row
    assert (size, precision) == ("32", "float32")
    assert float(ratio.partition(" ")[0]) > 0
    assert 0 < float(difference) < 1e-4
    assert float(milliseconds) > 0
    assert all(int(share.rstrip("%")) >= 0 for share in shares)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_that_are_rounded_are_those_of_the_cpu_in_half_precision(dtype):
    rounded, generator = script("precision").Rounded, torch.Generator().manual_seed(0)
    x, weights = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((2, 3, 5, 5), (4, 3, 3, 3)))

    def gradient() -> tuple[torch.Tensor, torch.Tensor]:
        x_in = x.clone().requires_grad_()
        output = torch.nn.functional.conv2d(x_in, weights)
        return output.detach(), torch.autograd.grad(output.float().square().sum(), x_in)[0]

    with rounded():
        found = gradient()
    for ours, of_cpu in zip(found, gradient(), strict=True):
        assert ours.dtype == of_cpu.dtype == dtype
        # The CPU rounds sums within a gradient, too.
        torch.testing.assert_close(ours, of_cpu, rtol=0, atol=0.02 * of_cpu.abs().max().item())


def test_the_plan_of_many_jobs_is_timed(printed):
    (row,) = printed("dag", "--methods", "1", "--scales", "2", "--shards", "3")
    # One row, two scales and a best scale: 12 shards with features, 4 sets of metrics, and what they need.
    assert row[:3] == ["1", "2", "3"]
    assert int(row[3]) > 12 * 2 + 4
    assert float(row[5].removesuffix(" GB")) > 0.05


def test_memory_does_not_grow_with_the_number_of_images_beyond_their_features(tmp_path):
    memory, peaks = script("memory"), {}
    space = Extractor("patches", {}, memory.patch_means)
    for count in (500, 3000):
        memory.write_images(tmp_path / "samples.npz", count, 64)
        tracemalloc.start()
        features_of(ImageFile(tmp_path / "samples.npz"), [space], keep_spatial=False)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    features = (3000 - 500) * memory.DIMENSIONS * 4
    assert peaks[3000] - peaks[500] < 1.5 * features
    assert peaks[3000] < 3000 * 64 * 64 * 3 / 2
