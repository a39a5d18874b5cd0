# Functions that name a rule's inputs, and its demands.
import re

from eddpm.config import outputs, paths
from eddpm.config.assets import file_of, space_files, weights_file
from eddpm.config.frozen import frozen_parts, frozen_text
from eddpm.config.jobs import sampling_job
from eddpm.config.resources import MOST_MINUTES
from eddpm.config.runs import member_name, row_name, slug


def this_environment(wildcards):
    """No environment to make: jobs run in that of snakemake. The linter wants each rule to name one."""


OF_PROJECTS = {each.experiment: frozen_parts(each) for each in PROJECTS}
SETTINGS = OF_PROJECTS[project.experiment]
FROZEN = {
    paths.SETTINGS.format(experiment=experiment, part=part): frozen_text(settings)
    for experiment, parts in OF_PROJECTS.items()
    for part, settings in parts.items()
}

# What dataset.json describes, in the folders beside it.
SHARDS = [f"{paths.DATA}/train", f"{paths.DATA}/validation"]
SPACE_REFERENCES = [
    paths.REFERENCE.replace("{space}", name.replace(":", "-"))
    for name in project.evaluation.spaces
]
SPACE_WEIGHTS = space_files(project)  # in the order of the spaces that have some
# The images that samples are measured against: a reference batch, or the training images.
REFERENCE_IMAGES = (
    file_of(project, "evaluation.reference")
    if project.evaluation.reference
    else paths.DATASET
)
TABLES = outputs.tables_of(project)
# With the page of each table, which Snakemake's report asks for.
TARGETS = {
    target: [
        f"results/{project.experiment}/{made}"
        for file in files
        for made in dict.fromkeys([file, file.replace(".csv", ".html")])
    ]
    for target, files in outputs.targets_of(project).items()
}
FIGURES = [
    Path(file).stem
    for file in dict.fromkeys(sum(TARGETS.values(), []))
    if "/figures/" in file
]


# Of a rule, all jobs have as many outputs: the scales of a method share a job by a rule for each grid, whose name ends
# with this.
def grids_of(project):
    return {
        f"_{number}" if number > 1 else "": (scales, list(map(slug, methods)))
        for number, (scales, methods) in enumerate(project.shared_sweeps.items(), 1)
    }


GRIDS = grids_of(project)
# What a profile says of a rule is for all of them, and for the rules of a study's parts. Snakemake reads it with the first
# rule, so this comes before any.
for settings in (
    workflow.resource_settings.overwrite_resources,
    workflow.resource_settings.overwrite_threads,
):
    for rule_name, asked in dict(settings).items():
        for prefix, each in {"": project, **PREFIXES}.items():
            is_sweep = rule_name in ("sample_sweep", "measure_sweep")
            for grid in grids_of(each) if is_sweep else [""]:
                settings.setdefault(f"{prefix}{rule_name}{grid}", asked)
# The runs that have jobs of their own.
LONE_RUNS = [
    run
    for run, row in project.all_runs.items()
    if slug(row_name(row.run)) not in project.shared_runs
]
SWEPT_RUNS = [
    run for row in project.sweep_runs for run in project.members(row).values()
]
MEMBERS = [slug(member_name("", seed)) for seed in project.training_seeds]
TRAINED = project.trained  # with the networks of other training seeds


def one_of(names):
    """A wildcard constraint."""
    return "|".join(map(re.escape, names)) or "nothing^"


wildcard_constraints:
    experiment=project.experiment,
    run=one_of(project.all_runs),
    member=f"(?:-(?:{one_of(MEMBERS)}))?",
    denoiser=one_of(project.denoisers | TRAINED["denoisers"]),
    classifier=one_of(project.classifiers | TRAINED["classifiers"]),
    guide=one_of(project.guiding_classifiers),
    part=one_of(SETTINGS),
    shard=r"\d{4,6}",
    asset=one_of(ASSETS),
    table=one_of(TABLES),
    figure=one_of(FIGURES),


# Of trainings.


def start_of(entry):
    """The checkpoint that a training starts from: no file, or one."""
    return entry.training.init_from or []


def images_at_once(entry):
    return entry.microbatch or entry.training.batch_size


# Of runs.


def swept(wildcards):
    """The runs of a job that samples all scales of the method {run}, with the networks of {member}."""
    return [
        f"{run}{wildcards.member}"
        for run in project.sweep_of(project.table_runs[wildcards.run].run)
    ]


def sampled_run(wildcards):
    """The run of a job that samples; the first of several, which have the same networks."""
    several = "member" in wildcards.keys()
    return project.all_runs[swept(wildcards)[0] if several else wildcards.run]


def run_denoiser(wildcards):
    return weights_file(project, "denoisers", sampled_run(wildcards).denoiser)


def run_classifier(wildcards):
    """The classifier that guides a run: no file, or one."""
    name = sampled_run(wildcards).classifier
    return weights_file(project, "classifiers", name) if name else []


def run_other_denoiser(wildcards):
    """The second denoiser of a pair: no file, or one."""
    name = project.other_denoiser(sampled_run(wildcards))
    return weights_file(project, "denoisers", name) if name else []


def run_shards(wildcards):
    shards = project.shards(wildcards.run)
    return expand(paths.SAMPLES, shard=shards, allow_missing=True)


def run_features(wildcards):
    """The features of a run of several shards, which are extracted one by one; a single shard's are not kept."""
    shards = project.shards(wildcards.run)
    return expand(
        paths.FEATURES, shard=shards if len(shards) > 1 else [], allow_missing=True
    )


def of_each_scale(pattern, scales):
    """That file of each run in such a job."""
    runs = [f"{{run}}-at-{slug(f'{scale:g}')}{{member}}" for scale in scales]
    return expand(pattern, run=runs, shard="0000", allow_missing=True)


def metrics_of(runs):
    return expand(paths.METRICS, run=runs, allow_missing=True)


def sweep_metrics(wildcards):
    """The metrics of the sweep that a run at the best scale is chosen from."""
    return metrics_of(project.measured_sweep(project.all_runs[wildcards.run].method))


def of_first_runs(pattern, several=False):
    """Something of each shard of the runs of the table, or of those that have several."""
    return [
        pattern.format(
            experiment="{experiment}",
            run=run.slug,
            shard=shard,
            name=name,
            scale=f"{run.scale:g}",
        )
        for name, run in outputs.first_runs(project).items()
        for shard in project.shards(run.slug)
        if not several or len(project.shards(run.slug)) > 1
    ]


# Of tables and figures.


def table_metrics(wildcards):
    return metrics_of(TABLES[wildcards.table].runs)


def table_names(wildcards):
    return [run.run for run in TABLES[wildcards.table].runs.values()]


def table_caption(wildcards):
    return TABLES[wildcards.table].caption


def figure_inputs(wildcards):
    files = outputs.figure_inputs(project, wildcards.figure).values()
    return [f"results/{{experiment}}/{file}" for file in files]


def figure_labels(wildcards):
    return list(outputs.figure_inputs(project, wildcards.figure))


def figure_denoisers(wildcards):
    """Traces are drawn beside those of the same denoiser."""
    if outputs.FIGURES[wildcards.figure].inputs != "traces":
        return []
    denoisers = {row.run: row.denoiser for row in project.runs}
    return [denoisers[label] for label in figure_labels(wildcards)]


def figure_caption(wildcards):
    return outputs.figure_caption(project, wildcards.figure)


# Time and memory to ask a cluster for.


def minutes(wildcards, attempt):
    """Of a job whose work is not reckoned: an hour is more than enough, and a retry gets twice as much."""
    return 60 * 2 ** (attempt - 1)


def megabytes(wildcards, attempt):
    """Enough for torch, the largest published networks and the features of a run; a retry gets twice as much."""
    return 12_000 * 2 ** (attempt - 1)


def shard_minutes(wildcards, attempt):
    return sampling_job(project, wildcards.run, wildcards.shard).minutes(attempt)


def sweep_minutes(wildcards, attempt):
    return sampling_job(project, swept(wildcards)[0], "0000").minutes(attempt)
