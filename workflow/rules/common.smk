# The checked project, and functions that name a rule's inputs.
import functools
import hashlib
import os
import re
import sys
from pathlib import Path

import yaml

# The checkout that this file lies in. Where it comes from elsewhere (git+file://, a URL), the package is the installed
# one; wherever it is used from, paths follow the package.
sys.path.insert(0, str(Path(str(workflow.current_basedir)).parents[1]))

import eddpm
from eddpm import demand, exhibits
from eddpm.assets import FOLDER, asset_file, assets, weights_file
from eddpm.config import INCEPTION_FILE
from eddpm.cost import MOST_MINUTES, job_megabytes
from eddpm.errors import EddpmError
from eddpm.project import Project
from eddpm.projectfile import DEFAULT, find, load_project
from eddpm.runs import slug
from eddpm.settings import merged, read_yaml

REPO = Path(eddpm.__file__).parents[1]


def checksums(*paths):
    """What params hold of files that decide an output, wherever they lie: as inputs, their paths could have no braces."""
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]


# Jobs use this Python and this checkout, wherever they run, and large pages for their tensors (a tenth faster on CPUs).
# A job that is killed outright cannot say so; `leave_word $? LOG` does, for `eddpm status`.
# `launch N` becomes a command, under torchrun with N > 1: a signal reaches the training itself, which then saves its state.
shell.prefix(
    f"export PATH='{Path(sys.executable).parent}':\"$PATH\" PYTHONPATH='{REPO}' THP_MEM_ALLOC_ENABLE=1; "
    f"export EDDPM_JOB_OF='{Path.cwd()}'; "
    'leave_word() {{ [ "$1" -ne 137 ] || echo "eddpm sampling: killed, by hand or for want of memory" >> "$2";'
    ' exit "$1"; }}; '
    'launch() {{ processes=$1; shift; [ "$processes" -le 1 ] ||'
    ' set -- torchrun --standalone --nproc-per-node "$processes" --no-python -- "$@"; exec "$@"; }}; '
)


def configuration():
    """The values of the project, and the files that they are from.

    Without a file, what the command line says, or a workflow that has this one as a module, changes the digits'.
    """
    files, changes = workflow.configfiles, workflow.config_settings.config
    if workflow.modifier.namespace:  # that of a module
        needed = {
            name for name, key in Project.model_fields.items() if key.is_required()
        }
        if config and (files or needed <= config.keys()):
            return config, [os.path.relpath(file) for file in files]
        files, changes = [], config
    # Read anew: where parts of a file share their values by anchors, Snakemake changes them all at once.
    files = [os.path.relpath(file) for file in files or [find(DEFAULT)]]
    values = functools.reduce(merged, [*map(read_yaml, files), changes])
    if changes and workflow.is_main_process:
        print(f"{', '.join(files)}, changed in {', '.join(changes)}", file=sys.stderr)
    return values, files


try:
    values, CONFIG_FILES = configuration()
    project = load_project(values, ", ".join(CONFIG_FILES) or "the command line")
except EddpmError as error:
    print(f"eddpm: {error}", file=sys.stderr)
    sys.exit(2)

# With the tables that belong to them. Snakemake sends these to machines that do not share this file system.
TABLE_FILES = [values["runs"], *([project.published] if project.published else [])]
CONFIG_FILES += [os.path.relpath(find(file)) for file in TABLE_FILES]
if not workflow.modifier.namespace:
    workflow.configfiles[:] = map(Path, CONFIG_FILES)


def this_environment(wildcards):
    """None to make: jobs run in the environment that runs snakemake. The linter wants each rule to speak of one."""


def trained(entries):
    """The networks that are trained here, by name."""
    return [name for name, entry in entries.items() if entry.training]


# Sampling at the best scale waits for the sweep; its settings are frozen apart from the scale.
SETTINGS = {
    "dataset": project.dataset,
    "evaluation": project.measure(),
    **{
        f"denoisers/{name}": project.train_denoiser(name)
        for name in trained(project.denoisers)
    },
    **{
        f"classifiers/{name}": project.train_classifier(name)
        for name in trained(project.classifiers)
    },
    **{
        f"runs/{run}": project.sample(run)
        for run in project.all_runs
        if run not in project.best_runs
    },
    **{
        f"classifiers/{name}/levels": project.measure_classifier(name)
        for name in project.guides
    },
    **{f"runs/{run}/choice": project.choice(run) for run in project.best_runs},
}

# What dataset.json describes, in the folders beside it.
SHARDS = [
    f"resources/datasets/{{experiment}}/{part}" for part in ("train", "validation")
]
SPACE_REFERENCES = [
    f"results/{{experiment}}/references/{name.replace(':', '-')}.npz"
    for name in project.evaluation.spaces
]
ASSETS = {asset.name: asset for asset in assets(project)}
TABLES = exhibits.tables_of(project)
TARGETS = {
    target: [f"results/{project.experiment}/{file}" for file in files]
    for target, files in exhibits.targets_of(project).items()
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
    guide=one_of(project.guides),
    part=one_of(SETTINGS),
    shard=r"\d{4,6}",
    asset=one_of(ASSETS),
    table=one_of(TABLES),
    figure=one_of(FIGURES),


def frozen_settings(wildcards):
    """The settings of one stage, as text: what a stage's output depends on, and no more."""
    return yaml.safe_dump(
        SETTINGS[wildcards.part].model_dump(mode="json"), sort_keys=False
    )


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
        return asset_file(project.evaluation.reference)
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
