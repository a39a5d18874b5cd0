# Functions that name a rule's inputs, and what it asks for.
import re


from eddpm.config import demand
from eddpm.config import outputs
from eddpm.config.assets import FOLDER, assets, file_of, weights_file
from eddpm.config.schema import INCEPTION_FILE
from eddpm.config.resources import MOST_MINUTES, job_megabytes
from eddpm.config.frozen import frozen_parts, frozen_text
from eddpm.config.runs import slug


def this_environment(wildcards):
    """None to make: jobs run in the environment that runs snakemake. The linter wants each rule to speak of one."""


def trained(entries):
    """The networks that are trained here, by name."""
    return [name for name, entry in entries.items() if entry.training]


SETTINGS = frozen_parts(project)

# What dataset.json describes, in the folders beside it.
SHARDS = [
    f"resources/datasets/{{experiment}}/{part}" for part in ("train", "validation")
]
SPACE_REFERENCES = [
    f"results/{{experiment}}/references/{name.replace(':', '-')}.npz"
    for name in project.evaluation.spaces
]
ASSETS = {asset.name: asset for asset in assets(project)}
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


# The methods whose sweep shares a job, and the runs that have jobs of their own.
SWEPT_METHODS = [
    run
    for run, row in project.table_runs.items()
    if project.sweep_shares_jobs and project.sweep_of(row.run)
]
LONE_RUNS = [
    run
    for run in project.all_runs
    if not project.sweep_shares_jobs or run not in project.sweep_runs
]


def one_of(names):
    """A wildcard constraint."""
    return "|".join(map(re.escape, names)) or "nothing^"


wildcard_constraints:
    experiment=project.experiment,
    run=one_of(project.all_runs),
    denoiser=one_of(project.denoisers),
    classifier=one_of(project.classifiers),
    guide=one_of(project.guiding_classifiers),
    part=one_of(SETTINGS),
    shard=r"\d{4,6}",
    asset=one_of(ASSETS),
    table=one_of(TABLES),
    figure=one_of(FIGURES),


def frozen_settings(wildcards):
    return frozen_text(SETTINGS[wildcards.part])


def denoiser_start(wildcards):
    return checkpoint_to_start_from(project.denoisers[wildcards.denoiser])


def classifier_start(wildcards):
    return checkpoint_to_start_from(project.classifiers[wildcards.classifier])


def checkpoint_to_start_from(entry):
    """No file, or one."""
    return entry.training.init_from or []


def denoiser_microbatch(wildcards):
    return images_at_once(project.denoisers[wildcards.denoiser])


def classifier_microbatch(wildcards):
    return images_at_once(project.classifiers[wildcards.classifier])


def images_at_once(entry):
    return entry.microbatch or entry.training.batch_size


def run_denoiser(wildcards):
    return weights_file(project, "denoisers", project.all_runs[wildcards.run].denoiser)


def run_classifier(wildcards):
    """The classifier that guides a run: no file, or one."""
    name = project.all_runs[wildcards.run].classifier
    return weights_file(project, "classifiers", name) if name else []


def guide_weights(wildcards):
    return weights_file(project, "classifiers", wildcards.guide)


def classifier_weights(wildcards):
    return weights_file(project, "classifiers", wildcards.classifier)


def run_shards(wildcards):
    return expand(
        "results/{{experiment}}/runs/{{run}}/samples/{shard}.npz",
        shard=project.shards(wildcards.run),
    )


def shard_start(wildcards):
    return project.shards(wildcards.run)[wildcards.shard][0]


def shard_stop(wildcards):
    return project.shards(wildcards.run)[wildcards.shard][1]


def minutes(wildcards, attempt):
    """Of a job whose work is not reckoned: an hour is more than enough, and a retry gets twice as much."""
    return 60 * 2 ** (attempt - 1)


def megabytes(wildcards, attempt):
    """Of a job that holds neither samples nor features."""
    return job_megabytes(0, attempt)


def shard_minutes(wildcards, attempt):
    return demand.shard_minutes(project, wildcards.run, wildcards.shard, attempt)


def shard_megabytes(wildcards, attempt):
    images = demand.shard_images(project, wildcards.run, wildcards.shard)
    return demand.sampling_megabytes(project, images, attempt)


def shard_features_megabytes(wildcards, attempt):
    images = demand.shard_images(project, wildcards.run, wildcards.shard)
    return demand.measuring_megabytes(project, images, attempt)


def run_features_megabytes(wildcards, attempt):
    images = project.all_runs[wildcards.run].num_images
    return demand.measuring_megabytes(project, images, attempt)


def sweep_minutes(wildcards, attempt):
    method = project.table_runs[wildcards.run].run
    return demand.sweep_minutes(project, method, attempt)


def sweep_megabytes(wildcards, attempt):
    """Scales are sampled, and measured, one after the other."""
    return demand.sampling_megabytes(project, project.sweep.num_images, attempt)


def sweep_features_megabytes(wildcards, attempt):
    return demand.measuring_megabytes(project, project.sweep.num_images, attempt)


def of_each_scale(file):
    """That file of each run in the sweep of the method {run}; only methods of one common grid share a job."""
    return expand(
        "results/{{experiment}}/runs/{{run}}-at-{scale}/{file}",
        scale=[slug(f"{scale:g}") for scale in project.sweep.grids[0]],
        file=file,
    )


def run_features(wildcards):
    """The features of a run of several shards, which are extracted one by one; a single shard's are not kept."""
    shards = project.shards(wildcards.run)
    return expand(
        "results/{{experiment}}/runs/{{run}}/features/{shard}.npz",
        shard=shards if len(shards) > 1 else [],
    )


def space_weights(wildcards):
    """The weights behind the feature spaces, in the order of the spaces that have some."""
    return [
        (
            weights_file(project, "classifiers", space.name.removeprefix("classifier:"))
            if space.classifier
            else str(FOLDER / INCEPTION_FILE)
        )
        for space in SETTINGS["evaluation"].spaces
        if space.has_weights
    ]


def reference_images(wildcards):
    """What samples are measured against: a reference batch, or the training images."""
    if project.evaluation.reference:
        return file_of(project, "evaluation.reference")
    return "resources/datasets/{experiment}/dataset.json"


def reference_shards(wildcards):
    return [] if project.evaluation.reference else SHARDS


def asset_source(wildcards):
    return ASSETS[wildcards.asset].source


def asset_digest(wildcards):
    """None, or one."""
    return ASSETS[wildcards.asset].sha256 or []


def sweep_metrics(wildcards):
    """The metrics of the sweep that a run at the best scale is chosen from."""
    return metrics_of(project.sweep_of(project.best_runs[wildcards.run].method))


def metrics_of(runs):
    return expand("results/{{experiment}}/runs/{run}/metrics.json", run=runs)
