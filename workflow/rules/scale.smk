# The best scale of each method.


rule choose_scale:
    input:
        settings="results/{experiment}/runs/{run}/choice/settings.yaml",
        metrics=sweep_metrics,
    output:
        settings=paths.RUN_SETTINGS,
    log:
        "logs/{experiment}/choose_scale/{run}.log",
    wildcard_constraints:
        run=one_of(run for run, row in project.all_runs.items() if row.scale == "best"),
    localrule: True
    conda:
        this_environment
    shell:
        "python -m eddpm choose-scale --settings {input.settings}"
        " --metrics {input.metrics} --run-settings {output.settings} > {log} 2>&1"
