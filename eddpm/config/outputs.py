"""The tables and figures of an experiment, and the target that makes each."""

from pathlib import Path
from typing import Any, NamedTuple

from eddpm.config.project import Project
from eddpm.config.runs import Run, Sweep, row_name
from eddpm.errors import ConfigError

PUBLISHED_CAPTION = (
    "The runs of the table beside published numbers, each with its source. A difference is ours minus the published"
    " number, to the published digits. Published numbers have no standard error: that of a difference is ours."
)

MEMORISATION_CAPTION = (
    "Training images that samples may be copies of. AuthPct is the percentage of samples that are further from their"
    " nearest training image than that is from the next one; nearer is the share of samples within such a distance of"
    " any training image. A row is flagged where its nearer is three standard errors above that of the yardstick."
)
# Rows beside the runs: all images of the first are copies, none of the others'.
CONTROLS = {
    "training": "training images, drawn with replacement",
    "validation": "validation images",
    "yardstick": "other validation images: the yardstick",
}


class Table(NamedTuple):
    """The runs of a table, by slug, whose rows are the means over their members, and its caption."""

    runs: dict[str, Run]
    caption: str
    by_scale: bool = False  # its rows are methods at scales

    @property
    def methods(self) -> list[str]:
        """The name of each run's row beside its scale."""
        return [run.method if self.by_scale else row_name(run.run) for run in self.runs.values()]

    @property
    def scales(self) -> list[str]:
        return [run.scale if run.scale == "best" else f"{run.scale:g}" for run in self.runs.values()]


class Figure(NamedTuple):
    """A kind of inputs, see `figure_inputs`, and a caption. `plot_NAME` of eddpm/reporting/plots.py draws it."""

    inputs: str
    caption: str


FIGURES = {
    "samples": Figure(
        "samples",
        "Images of the runs of the main table, a row per run. The images of a column share their noise and their class:"
        " look down a column to see the effect of the method.",
    ),
    "noise_levels": Figure(
        "noise_levels",
        "Each noise-aware classifier on validation images by noise level, with noise on the left: its accuracy, its"
        " confidence (the probability of the most probable class), the entropy of its prediction (1: it knows nothing,"
        " 0: it is certain), its expected calibration error (0 is best) and the norm of its gradient.",
    ),
    "trace": Figure(
        "traces",
        "Guidance along the sampling steps, averaged over the images of a run, from noise on the left to images on the"
        " right: the entropy of the classifier's prediction (1: it knows nothing), the norm of its raw gradient, the"
        " scale that multiplies it, and the norm of the resulting guidance. Vanishing guidance falls in the last panel;"
        " EDS answers by raising the scale.",
    ),
    "fronts": Figure(
        "sweep",
        "The price of accuracy for each method over the grid of scales: distance to the training images, precision and"
        " recall in pixel space, which knows no classes. A point is a scale. At the same accuracy, the better method"
        " has the lower FID, the higher precision and the higher recall.",
    ),
    "precision_recall": Figure(
        "sweep",
        "Precision against recall over the grid of scales, a panel per feature space, a line per method; a point is a"
        " scale. The further up and right a line lies, the less diversity the method gives up for images like those of"
        " the data.",
    ),
    "scales": Figure(
        "sweep",
        "Every metric against the guidance scale, a line per method; arrows point to the better, bars are standard"
        " errors. The same scale guides more with EDS than without: compare the best values of the methods, not their"
        " values at one scale.",
    ),
    "memorisation": Figure(
        "samples",
        "The samples of each run that are most like a training image, and to the right of each that image: those with"
        " the least distance to it, in units of its distance to the next training image. Distances are those of pixels"
        " where these are a feature space, or else of the first one.",
    ),
}


def first_runs(project: Project) -> dict[str, Run]:
    """The runs of the runs table by the names of their rows; of several training seeds, those of the first."""
    return {row.run: next(iter(project.runs_of_rows[slug].values())) for slug, row in project.table_runs.items()}


def copies_of(project: Project) -> dict[str, str]:
    """The files of samples that may be copies, below results/EXPERIMENT/, by row.

    Validation images are a control of training images, not of a reference batch.
    """
    of_runs = {name: f"runs/{run.slug}/copies.npz" for name, run in first_runs(project).items()}
    controls = ["training"] if project.evaluation.reference else list(CONTROLS)
    return of_runs | {CONTROLS[name]: f"controls/{name}.npz" for name in controls}


def figure_inputs(project: Project, figure: str) -> dict[str, str]:
    """The files that a figure is drawn from, below results/EXPERIMENT/, by label.

    Samples and traces are those of the runs table, noise levels those of its guiding classifiers; of several training
    seeds, those of the first.
    """
    if figure == "memorisation":
        return copies_of(project)
    first = first_runs(project)
    runs = [(row, first[row.run]) for row in project.runs]
    return {
        "samples": {row.run: f"runs/{run.slug}/samples/0000.npz" for row, run in runs},
        "traces": {row.run: f"runs/{run.slug}/trace.csv" for row, run in runs if run.classifier},
        "noise_levels": {
            row.classifier: f"classifiers/{run.classifier}/noise_levels.jsonl" for row, run in runs if row.classifier
        },
        "sweep": {"sweep": "tables/sweep.csv"},
    }[FIGURES[figure].inputs]


def figure_caption(project: Project, figure: str) -> str:
    """The caption of a figure, which says what is shown of several training seeds."""
    caption, seeds = FIGURES[figure].caption, project.training_seeds
    if all(len(runs) == 1 for runs in project.runs_of_rows.values()):
        return caption
    if FIGURES[figure].inputs == "sweep":
        return f"{caption} Numbers of networks that are trained here are means over {len(seeds)} training seeds."
    return f"{caption} Networks that are trained here are those of training seed {seeds[0]}."


def tables_of(project: Project) -> dict[str, Table]:
    """Every table of measured runs, by name."""

    def table(rows: dict[str, Run], caption: str, by_scale: bool = False) -> Table:
        members = [run for row in rows for run in project.runs_of_rows[row].values()]
        return Table({run.slug: run for run in members}, caption, by_scale)

    found = {"main": table(project.table_runs, "The runs of the table, each at the scale that the table gives it.")}
    if project.best_runs:
        found["best_scale"] = table(project.best_runs, _best_caption(project.sweep), by_scale=True)
    if project.sweep_runs:
        caption = "Every method over the grid of scales. Few images raise every FID: compare within this table."
        found["sweep"] = table(project.sweep_runs, caption, by_scale=True)
    for name, ablation in project.ablations.items():
        varied = f"Varied: {', '.join(ablation.vary)}; all else is as in the row that a name begins with."
        found[name] = table(project.ablation_runs[name], f"{ablation.note} {varied}".strip())
    return found


def matched_methods(project: Project) -> dict[str, Any]:
    """The table of methods at matched strength: what `eddpm match-methods` takes apart from files, by option."""
    levels, baselines = (project.sweep.matched or {}).items(), project.sweep.baselines.items()
    runs = [
        (run.run, row, seed)
        for slug, row in project.sweep_runs.items()
        for seed, run in project.runs_of_rows[slug].items()
    ]
    return {
        "runs": [name for name, _, _ in runs],
        "methods": [row.method for _, row, _ in runs],
        "denoisers": [row.denoiser for _, row, _ in runs],
        "trainings": [seed for _, _, seed in runs],
        "levels": [f"{name}={level:g}" for name, several in levels for level in several],
        "baselines": [name for row, others in baselines for other in others for name in (row, other)],
        "caption": _matched_caption(project.sweep),
    }


def _matched_caption(sweep: Sweep) -> str:
    other = "the first method of the same denoiser that reaches the level"
    if sweep.baselines:
        other = f"the method that it names, or else to {other}"
    return (
        "Every method of the sweep at the same strength: where its sweep first reaches a level, by rising scale."
        " Numbers are interpolated, linearly in the logarithm of the scale, between two neighbouring scales of the"
        " grid. Where no two have the level between them, the table says so; nothing is extrapolated. The row below a"
        f" method is its difference to {other}. Each scale has"
        f" {sweep.num_images:,} images of seed {sweep.seed}; all methods share their noise and classes, so the error of"
        " a difference is that of pairs. Numbers come with one standard error. Few images raise every FID: compare"
        " within this table."
    )


def _best_caption(sweep: Sweep) -> str:
    best = sweep.best
    bounds = "".join(f" with {name} at least {bound:g} (or nearest to it)" for name, bound in best.at_least.items())
    scales = "each method's grid" if isinstance(sweep.scales, dict) else ", ".join(f"{s:g}" for s in sweep.scales)
    return (
        f"Every method at its own best scale: lowest {best.minimise}{bounds}, chosen from {scales} on"
        f" {sweep.num_images} images of seed {sweep.seed}, which are not the images reported here."
    )


def targets_of(project: Project) -> dict[str, list[str]]:
    """The named targets of the workflow, each with its files below results/EXPERIMENT/.

    `all` is the runs table; `ablation_scale` the sweep, which `all` has too unless the configuration takes it out;
    `ablation_NAME` each ablation; `ablations` the ablations together; `memorisation` the search for copies of training
    images, which no other target has.
    """
    table = ["tables/main.csv", *(["tables/published.csv"] if project.published else []), "figures/samples.png"]
    if project.table_guiding_classifiers:
        table += ["figures/noise_levels.png", "figures/trace.png"]
    ablations = {f"ablation_{name}": [f"tables/{name}.csv"] for name in project.ablations}
    if project.sweep_runs:
        chosen = ["tables/best_scale.csv"] if project.best_runs else []
        matched = ["tables/matched.csv"] if project.sweep.matched else []
        scale = [*chosen, *matched, "tables/sweep.csv", "figures/scales.png"]
        measured = set(project.metric_names)
        if any({f"{space}/precision", f"{space}/recall"} <= measured for space in project.evaluation.spaces):
            scale.append("figures/precision_recall.png")
        if {"accuracy", "pixels/fid", "pixels/precision", "pixels/recall"} <= measured:
            scale.append("figures/fronts.png")
        ablations["ablation_scale"] = scale
        table += scale if project.sweep.in_all else []
    together = [file for files in ablations.values() for file in files]
    memorisation = ["tables/memorisation.csv", "figures/memorisation.png"]
    return {"all": table, **ablations, "ablations": together, "memorisation": memorisation}


def runs_of(project: Project, target: str) -> list[str]:
    """The runs, by slug, in the tables that a named target makes. Raises ConfigError where there is no such target."""
    targets, tables = targets_of(project), tables_of(project)
    if target not in targets:
        named = ", ".join([*targets, *(["study"] if project.study else [])])
        raise ConfigError(f"--targets {target}: no target of this project; name one of {named}")
    if target == "memorisation":
        return [run.slug for run in first_runs(project).values()]
    names = [Path(file).stem for file in targets[target] if file.startswith("tables/")]
    return list(dict.fromkeys(run for name in names if name in tables for run in tables[name].runs))
