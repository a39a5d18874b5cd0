# What tables, figures and the report are made of.


def table_metrics(wildcards):
    return metrics_of(TABLES[wildcards.table].runs)


def table_names(wildcards):
    return [row.run for row in TABLES[wildcards.table].runs.values()]


def table_caption(wildcards):
    return TABLES[wildcards.table].caption


def code(*files):
    """What draws them, which is beside snakemake wherever they are stored."""
    return [local(str(PACKAGE / file)) for file in files]


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
            guide=project.table_guides,
        )
    return "results/{experiment}/tables/sweep.csv"


def figure_labels(wildcards):
    if wildcards.figure == "samples":
        return [row.run for row in project.runs]
    if wildcards.figure == "trace":
        return [project.table_runs[run].run for run in guided_table_runs()]
    if wildcards.figure == "noise_levels":
        return project.table_guides
    return []


def guided_table_runs():
    return [run for run, row in project.table_runs.items() if row.classifier]


def report_files():
    """What the report shows: all that `all` makes, and what lies there already of ablations whose runs are measured."""
    others = [
        file
        for target, files in TARGETS.items()
        if target.startswith("ablation_") and is_measured(files)
        for file in files
        if Path(file).exists()
    ]
    return [Path(file) for file in dict.fromkeys([*TARGETS["all"], *others])]


def is_measured(files):
    """Whether every row of the tables among these files is."""
    metrics = report_metrics_of(map(Path, files))
    return all(
        Path(file).exists() for file in expand(metrics, experiment=project.experiment)
    )


def report_tables(wildcards):
    return [
        str(file.with_suffix(".md")) for file in report_files() if file.suffix == ".csv"
    ]


def report_figures(wildcards):
    return [str(file) for file in report_files() if file.suffix == ".png"]


def report_metrics(wildcards):
    """The metrics of every row of those tables."""
    return report_metrics_of(report_files())


def report_metrics_of(files):
    shown = [file.stem for file in files if file.suffix == ".csv"]
    runs = [run for table in shown if table in TABLES for run in TABLES[table].runs]
    return metrics_of(dict.fromkeys(runs))


def report_configs(wildcards):
    """What the report shows as it is: the configuration, its runs table, and the settings of each trained network."""
    of_network = "results/{{experiment}}/{kind}/{name}/settings.yaml"
    return [
        *map(local, CONFIG_FILES),
        *expand(of_network, kind="denoisers", name=trained(project.denoisers)),
        *expand(of_network, kind="classifiers", name=trained(project.classifiers)),
    ]
