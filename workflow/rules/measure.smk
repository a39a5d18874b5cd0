# Measurements: of a run, or, of a small sweep, of all scales of a method.


MEASURE = (
    "python -m eddpm measure-samples --settings {input.settings} --runs {input.runs}"
    " --samples {input.samples} --features {input.features}"
    " --weights {input.weights:q} --references {input.references}"
    " --metrics {output.metrics} --replicates {output.replicates} --traces {output.traces} --grids {output.grids} > {log} 2>&1"
)


rule measure_samples:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        runs=paths.RUN_SETTINGS,
        samples=run_shards,
        features=run_features,
        weights=SPACE_WEIGHTS,
        references=SPACE_REFERENCES,
    output:
        metrics=paths.METRICS,
        replicates=paths.REPLICATES,
        traces=paths.TRACE,
        grids=paths.GRID,
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
        MEASURE


for grid, (scales, methods) in GRIDS.items():

    rule:
        name:
            f"measure_sweep{grid}"
        input:
            settings="results/{experiment}/evaluation/settings.yaml",
            runs=of_each_scale(paths.RUN_SETTINGS, scales),
            samples=of_each_scale(paths.SAMPLES, scales),
            features=[],
            weights=SPACE_WEIGHTS,
            references=SPACE_REFERENCES,
        output:
            metrics=of_each_scale(paths.METRICS, scales),
            replicates=of_each_scale(paths.REPLICATES, scales),
            traces=of_each_scale(paths.TRACE, scales),
            grids=of_each_scale(paths.GRID, scales),
        log:
            "logs/{experiment}/measure_sweep/{run}{member}.log",
        wildcard_constraints:
            run=one_of(methods),
        conda:
            this_environment
        threads: 1
        resources:
            runtime=minutes,
            mem_mb=megabytes,
        shell:
            MEASURE
