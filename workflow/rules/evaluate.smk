# The measurements of a run.


rule measure_samples:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        run="results/{experiment}/runs/{run}/settings.yaml",
        samples=run_shards,
        features=run_features,
        weights=space_weights,
        references=SPACE_REFERENCES,
    output:
        metrics="results/{experiment}/runs/{run}/metrics.json",
        trace="results/{experiment}/runs/{run}/trace.csv",
        grid="results/{experiment}/runs/{run}/grid.png",
    log:
        "logs/{experiment}/measure_samples/{run}.log",
    wildcard_constraints:
        run=one_of(LONE_RUNS),
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=run_features_megabytes,
    shell:
        "python -m eddpm measure-samples --settings {input.settings} --runs {input.run}"
        " --samples {input.samples} --features {input.features}"
        " --weights {input.weights:q} --references {input.references}"
        " --metrics {output.metrics} --traces {output.trace} --grids {output.grid} > {log} 2>&1"
