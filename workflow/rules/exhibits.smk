# What tables, figures and the report are made of.
from eddpm.reporting.outdated import Files


def table_metrics(wildcards):
    return metrics_of(TABLES[wildcards.table].runs)


def table_names(wildcards):
    return [row.run for row in TABLES[wildcards.table].runs.values()]


def compared_names(wildcards):
    return [row.run for row in project.runs]


def table_caption(wildcards):
    return TABLES[wildcards.table].caption


def figure_inputs(wildcards):
    """Samples and traces are shown for the rows of the runs table, curves for the sweep."""
    if wildcards.figure == "samples":
        return expand(
            "results/{{experiment}}/runs/{run}/samples/0000.npz",
            run=project.table_runs,
        )
    if wildcards.figure == "trace":
        return expand(
            "results/{{experiment}}/runs/{run}/trace.csv", run=guided_table_runs()
        )
    if wildcards.figure == "noise_levels":
        return expand(
            "results/{{experiment}}/classifiers/{guide}/noise_levels.jsonl",
            guide=project.table_guiding_classifiers,
        )
    return "results/{experiment}/tables/sweep.csv"


def figure_labels(wildcards):
    if wildcards.figure == "samples":
        return [row.run for row in project.runs]
    if wildcards.figure == "trace":
        return [project.table_runs[run].run for run in guided_table_runs()]
    if wildcards.figure == "noise_levels":
        return project.table_guiding_classifiers
    return []


def guided_table_runs():
    return [run for run, row in project.table_runs.items() if row.classifier]


def in_report(files):
    """Tables in markdown, and figures."""
    return [file.removesuffix(".csv") + ".md" * file.endswith(".csv") for file in files]


def ablation_files():
    """Files of ablations for the report, beside those of `all`: they are there, and all their runs are measured."""
    below = Files(project)
    found = [
        file
        for target, files in TARGETS.items()
        if target.startswith("ablation_")
        and all(map(below.is_measured, runs_in(files)))
        for file in in_report(files)
        if Path(file).exists() and file not in in_report(TARGETS["all"])
    ]
    return list(dict.fromkeys(found))


def runs_in(files):
    """The rows of the tables among these files."""
    shown = [Path(file).stem for file in files if "/tables/" in file]
    return [run for table in shown if table in TABLES for run in TABLES[table].runs]


def tables_among(files):
    return [file for file in files if "/tables/" in file]


def figures_among(files):
    return [file for file in files if "/figures/" in file]


def ablation_tables(wildcards):
    return tables_among(ablation_files())


def ablation_figures(wildcards):
    return figures_among(ablation_files())


def ablation_metrics(wildcards):
    others = set(runs_in(ablation_files())) - set(runs_in(TARGETS["all"]))
    return expand(metrics_of(sorted(others)), experiment=project.experiment)


def ablation_contents(wildcards):
    return checksums(*ablation_tables(wildcards))


def user_files(wildcards=None):
    """The configuration and its runs table, which the report shows as they are."""
    return CONFIG_FILES


def report_settings(wildcards):
    """The settings of each trained network."""
    of_network = "results/{{experiment}}/{kind}/{name}/settings.yaml"
    return [
        *expand(of_network, kind="denoisers", name=trained(project.denoisers)),
        *expand(of_network, kind="classifiers", name=trained(project.classifiers)),
    ]
