# The measurements of a run.


rule compute_metrics:
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
        "logs/{experiment}/compute_metrics/{run}.log",
    wildcard_constraints:
        run=one_of(LONE_RUNS),
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm compute-metrics --settings {input.settings} --run {input.run}"
        " --samples {input.samples} --features {input.features}"
        " --weights {input.weights:q} --references {input.references}"
        " --metrics {output.metrics} --trace {output.trace} --grid {output.grid} > {log} 2>&1"
