# Every method over the grid of scales, a job per method where that is small; and each method's best scale.


rule sample_sweep:
    input:
        settings=of_each_scale(paths.RUN_SETTINGS),
        denoiser=run_denoiser,
        classifier=run_classifier,
    output:
        samples=of_each_scale(paths.SAMPLES),
    log:
        "logs/{experiment}/sample_sweep/{run}.log",
    benchmark:
        "benchmarks/{experiment}/sample_sweep/{run}.tsv"
    wildcard_constraints:
        run=one_of(SWEPT_METHODS),
    conda:
        this_environment
    threads: 1
    resources:
        batch_size=project.sampling.batch_size,
        runtime=sweep_minutes,
        mem_mb=megabytes,
    params:
        stop=project.sweep.num_images,
    shell:
        "python -m eddpm sample-shard --settings {input.settings}"
        " --denoiser {input.denoiser:q} --classifier {input.classifier:q}"
        " --start 0 --stop {params.stop} --batch-size {resources.batch_size}"
        " --samples {output.samples} > {log} 2>&1 || leave_word $? {log}"


rule measure_sweep:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        runs=of_each_scale(paths.RUN_SETTINGS),
        samples=of_each_scale(paths.SAMPLES),
        weights=space_weights,
        references=SPACE_REFERENCES,
    output:
        metrics=of_each_scale(paths.METRICS),
        traces=of_each_scale(paths.TRACE),
        grids=of_each_scale(paths.GRID),
    log:
        "logs/{experiment}/measure_sweep/{run}.log",
    wildcard_constraints:
        run=one_of(SWEPT_METHODS),
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm measure-samples --settings {input.settings} --runs {input.runs}"
        " --samples {input.samples} --weights {input.weights:q} --references {input.references}"
        " --metrics {output.metrics} --traces {output.traces} --grids {output.grids} > {log} 2>&1"


rule choose_scale:
    input:
        settings="results/{experiment}/runs/{run}/choice/settings.yaml",
        metrics=sweep_metrics,
    output:
        settings=paths.RUN_SETTINGS,
    log:
        "logs/{experiment}/choose_scale/{run}.log",
    wildcard_constraints:
        run=one_of(project.best_runs),
    localrule: True
    conda:
        this_environment
    shell:
        "python -m eddpm choose-scale --settings {input.settings}"
        " --metrics {input.metrics} --run-settings {output.settings} > {log} 2>&1"
