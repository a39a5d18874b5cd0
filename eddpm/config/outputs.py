"""What an experiment shows: its tables and figures, and the target that makes each."""

from pathlib import Path
from typing import NamedTuple

from eddpm.config.project import Project
from eddpm.config.runs import Run, Sweep
from eddpm.errors import ConfigError

PUBLISHED_CAPTION = "The runs of the table beside published numbers, each with its source."


class Table(NamedTuple):
    """The rows of a table, by slug, and what they are."""

    runs: dict[str, Run]
    caption: str


def tables_of(project: Project) -> dict[str, Table]:
    """Every table of measured runs, by name."""
    found = {"main": Table(project.table_runs, "The runs of the table, each at the scale that the table gives it.")}
    if project.best_runs:
        found["best_scale"] = Table(project.best_runs, _best_caption(project.sweep))
        found["sweep"] = Table(
            project.sweep_runs,
            "Every method over the grid of scales. Few images raise every FID: compare within this table.",
        )
    for name, ablation in project.ablations.items():
        varied = f"Varied: {', '.join(ablation.vary)}; all else is as in the row that a name begins with."
        found[name] = Table(project.ablation_runs[name], f"{ablation.note} {varied}".strip())
    return found


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
    `ablation_NAME` each ablation; `ablations` the ablations together.
    """
    table = ["tables/main.csv", *(["tables/published.csv"] if project.published else []), "figures/samples.png"]
    if project.table_guiding_classifiers:
        table += ["figures/noise_levels.png", "figures/trace.png"]
    ablations = {f"ablation_{name}": [f"tables/{name}.csv"] for name in project.ablations}
    if project.best_runs:
        scale = ["tables/best_scale.csv", "tables/sweep.csv", "figures/scales.png", "figures/precision_recall.png"]
        if {"accuracy", "pixels/fid"} <= set(project.metric_names):
            scale.append("figures/fronts.png")
        ablations["ablation_scale"] = scale
        table += scale if project.sweep.in_all else []
    together = [file for files in ablations.values() for file in files]
    return {"all": table, **ablations, "ablations": together}


def runs_of(project: Project, target: str) -> list[str]:
    """The runs, by slug, in the tables that a named target makes. Raises ConfigError where there is no such target."""
    targets, tables = targets_of(project), tables_of(project)
    if target not in targets:
        raise ConfigError(f"--targets {target}: no target of this project; name one of {', '.join(targets)}")
    names = [Path(file).stem for file in targets[target] if file.startswith("tables/")]
    return list(dict.fromkeys(run for name in names if name in tables for run in tables[name].runs))
