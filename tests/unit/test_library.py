"""docs/library.md: every snippet runs, and the loops of others sample as ours do."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from tiny import REPO, tiny_project

import eddpm
from eddpm.diffusion.process import predict_eps
from eddpm.diffusion.sampling import sample_ddim
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.guidance.guide import classifier_guidance
from eddpm.guidance.rules.entropy import Entropy
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.models.trained import save_trained

PAGE = (REPO / "docs/library.md").read_text()
SNIPPETS = dict(re.findall(r"^## (.*?)\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
FULL, SHAPE, Y = make_schedule("linear"), (8, 1, 8, 8), torch.arange(8) % 10
STEPS = respace(FULL, "ddim25")
DIRECTIONS = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))


def classifier(x_t, t):
    return x_t.flatten(1) @ DIRECTIONS.to(x_t) / 4


def denoiser(x_t, t):
    """Noise of images within [-1, 1], so that the clipping of our samplers changes nothing."""
    return predict_eps(FULL, x_t, t, 0.5 * torch.tanh(x_t))


class Ddim:
    """The updates of DDIM, as schedulers of diffusers and the loops of guided-diffusion are called."""

    alphas_cumprod = FULL.alpha_bar.float()

    def set_timesteps(self, count: int) -> None:
        self.stride = len(FULL) // count
        self.timesteps = torch.arange(0, len(FULL), self.stride).flip(0)

    def step(self, eps, t, x):
        alpha_bar = self.alphas_cumprod[t]
        before = self.alphas_cumprod[t - self.stride] if t >= self.stride else torch.tensor(1.0)
        x0 = (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
        return SimpleNamespace(prev_sample=before.sqrt() * x0 + (1 - before).sqrt() * eps)

    def ddim_sample_loop(self, model, shape, model_kwargs, cond_fn):
        self.set_timesteps(25)
        x = torch.randn(*shape)
        for step in self.timesteps:
            t = step.expand(len(x))
            score = cond_fn(x, t, **model_kwargs)
            eps = model(x, t, **model_kwargs) - (1 - self.alphas_cumprod[step]).sqrt() * score
            x = self.step(eps, step, x).prev_sample
        return x


def run(code: str) -> SimpleNamespace:
    """The names that a snippet leaves, given the networks and loops that it calls the reader's own."""
    torch.manual_seed(1)
    names = {
        "classifier": classifier,
        "denoiser": denoiser,
        "unet": lambda x, t: SimpleNamespace(sample=denoiser(x, t.expand(len(x)))),
        "model_fn": lambda x, t, y=None: denoiser(x, t),
        "scheduler": Ddim(),
        "diffusion": Ddim(),
        "x_t": torch.zeros(SHAPE),
        "t": torch.zeros(8, dtype=torch.long),
        "y": Y,
    }
    exec(compile(code, "docs/library.md", "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture
def ours() -> torch.Tensor:
    torch.manual_seed(1)
    guide = classifier_guidance(classifier, Y, Entropy(), scale=3.0)
    return sample_ddim(denoiser, STEPS, torch.randn(SHAPE), guide_fn=guide)


@pytest.mark.parametrize(
    ("section", "name"), [("In guided-diffusion", "sample"), ("In a loop with a scheduler of diffusers", "x")]
)
def test_the_loops_of_others_sample_as_ours(ours, section, name):
    torch.testing.assert_close(getattr(run(SNIPPETS[section]), name), ours, rtol=0, atol=1e-4)


def test_our_samplers_take_other_networks(ours):
    left = run(SNIPPETS["In our samplers"])
    assert torch.equal(left.x, ours)
    assert (left.images.shape, left.images.dtype) == ((8, 8, 8, 1), "uint8")
    torch.manual_seed(1)
    unguided = sample_ddim(denoiser, STEPS, torch.randn(SHAPE))
    of_class = [classifier(x, None).softmax(dim=1)[range(8), Y].mean() for x in (unguided, left.x)]
    assert of_class[1] > of_class[0] + 0.2


def test_networks_of_the_pipeline_come_from_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, name, build in (("classifier", "ect", build_classifier), ("denoiser", "uadm", build_denoiser)):
        settings = getattr(tiny_project(), f"train_{kind}")(name)
        path = tmp_path / f"results/digits/{kind}s/{name}/model.safetensors"
        path.parent.mkdir(parents=True)
        save_trained(path, build(settings.network).state_dict(), settings)
    left = run(SNIPPETS["With networks of the pipeline"])
    assert len(left.schedule) == 1000
    assert left.classifier(torch.zeros(SHAPE), torch.zeros(8)).shape == (8, 10)


def test_a_rule_and_a_training_of_ones_own():
    assert PAGE.count("```python") == len(SNIPPETS)  # all of which are run here
    certain = torch.zeros(SHAPE) + 100 * DIRECTIONS[:, 3].reshape(1, 1, 8, 8)
    scale = run(SNIPPETS["A rule of your own"]).guide(certain, torch.zeros(8)).scale
    torch.testing.assert_close(scale, torch.full((8,), 30.0, dtype=torch.float64))
    assert run(SNIPPETS["ECT in a training of your own"]).loss.isclose(torch.tensor(10.0).log())


def test_the_bare_library_is_light():
    """Beyond torch, its names take little time, and none of what the pipeline alone needs."""
    code = (
        "import sys, time, eddpm; assert 'torch' not in sys.modules\n"
        "import torch; before = set(sys.modules); start = time.perf_counter()\n"
        "from eddpm import Entropy, classifier_guidance, load, sample_ddim\n"
        "took = time.perf_counter() - start\n"
        "print(took, *sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    took, *modules = done.stdout.split()
    assert float(took) < 3
    heavy = {"pandas", "scipy", "sklearn", "snakemake", "matplotlib", "PIL", "torchvision", "cleanfid", "tqdm"}
    assert not heavy & set(modules)


def test_a_verb_without_the_pipeline_names_the_extra():
    code = "import sys; sys.modules['tqdm'] = None; from eddpm.cli import main; sys.exit(main(['status']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "eddpm: needs tqdm; pip install 'eddpm[pipeline]'\n")


def test_type_checkers_know_every_name():
    stub = (REPO / "eddpm/__init__.pyi").read_text()
    assert {*re.findall(r" as (\w+)", stub), "__version__"} == set(eddpm.__all__)
