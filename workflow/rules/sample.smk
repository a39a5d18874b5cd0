# Guided sampling in shards.


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
    wildcard_constraints:
        run=one_of(LONE_RUNS),
    conda:
        this_environment
    threads: 1
    resources:
        # A resource, since another batch size changes no image and should sample none again.
        batch_size=project.sampling.batch_size,
        runtime=shard_minutes,
        mem_mb=shard_megabytes,
    params:
        start=shard_start,
        stop=shard_stop,
    shell:
        "python -m eddpm sample-shard --settings {input.settings}"
        " --denoiser {input.denoiser:q} --classifier {input.classifier:q}"
        " --start {params.start} --stop {params.stop} --batch-size {resources.batch_size}"
        " --samples {output.samples} > {log} 2>&1 || leave_word $? {log}"
