# Guided sampling in shards, and the best scale of a method.


rule choose_scale:
    input:
        settings="results/{experiment}/runs/{run}/choice/settings.yaml",
        metrics=sweep_metrics,
    output:
        settings="results/{experiment}/runs/{run}/settings.yaml",
    log:
        "logs/{experiment}/choose_scale/{run}.log",
    wildcard_constraints:
        run="|".join(map(re.escape, project.best_runs)),
    conda:
        "../../environment.yml"
    shell:
        "python -m eddpm choose-scale --settings {input.settings}"
        " --metrics {input.metrics} --run-settings {output.settings} > {log} 2>&1"


rule sample_shard:
    input:
        settings="results/{experiment}/runs/{run}/settings.yaml",
        denoiser=run_denoiser,
        classifier=run_classifier,
    output:
        samples="results/{experiment}/runs/{run}/samples/{shard}.npz",
    log:
        "logs/{experiment}/sample_shard/{run}/{shard}.log",
    benchmark:
        "benchmarks/{experiment}/sample_shard/{run}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        # A resource, since another batch size changes no image and should sample none again.
        batch_size=project.sampling.batch_size,
    params:
        start=shard_start,
        stop=shard_stop,
    shell:
        "python -m eddpm sample-shard --settings {input.settings}"
        " --denoiser {input.denoiser} --classifier {input.classifier}"
        " --start {params.start} --stop {params.stop} --batch-size {resources.batch_size}"
        " --samples {output.samples} > {log} 2>&1"
