# The measurements of a run.


rule measure_samples:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        run=paths.RUN_SETTINGS,
        samples=run_shards,
        features=run_features,
        weights=space_weights,
        references=SPACE_REFERENCES,
    output:
        metrics=paths.METRICS,
        trace=paths.TRACE,
        grid=paths.GRID,
    log:
        "logs/{experiment}/measure_samples/{run}.log",
    wildcard_constraints:
        run=one_of(LONE_RUNS),
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm measure-samples --settings {input.settings} --runs {input.run}"
        " --samples {input.samples} --features {input.features}"
        " --weights {input.weights:q} --references {input.references}"
        " --metrics {output.metrics} --traces {output.trace} --grids {output.grid} > {log} 2>&1"
