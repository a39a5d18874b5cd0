# Guided sampling: a job per shard of a run, or, of a small sweep, a job per method.


SAMPLE = (
    "python -m eddpm sample-shard --settings {input.settings}"
    " --denoiser {input.denoiser:q} --classifier {input.classifier:q}"
    " --other-denoiser {input.other_denoiser:q}"
    " --start {params.start} --stop {params.stop} --batch-size {resources.batch_size}"
    " --samples {output.samples} > {log} 2>&1 || leave_word $? {log}"
)


rule sample_shard:
    input:
        settings=paths.RUN_SETTINGS,
        denoiser=run_denoiser,
        classifier=run_classifier,
        other_denoiser=run_other_denoiser,
    output:
        samples=paths.SAMPLES,
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
        mem_mb=megabytes,
    params:
        start=lambda wildcards: project.shards(wildcards.run)[wildcards.shard][0],
        stop=lambda wildcards: project.shards(wildcards.run)[wildcards.shard][1],
    shell:
        SAMPLE


# To start a process takes as long as to sample a scale of a small sweep.
for grid, (scales, methods) in GRIDS.items():

    rule:
        name:
            f"sample_sweep{grid}"
        input:
            settings=of_each_scale(paths.RUN_SETTINGS, scales),
            denoiser=run_denoiser,
            classifier=run_classifier,
            other_denoiser=run_other_denoiser,
        output:
            samples=of_each_scale(paths.SAMPLES, scales),
        log:
            "logs/{experiment}/sample_sweep/{run}{member}.log",
        benchmark:
            "benchmarks/{experiment}/sample_sweep/{run}{member}.tsv"
        wildcard_constraints:
            run=one_of(methods),
        conda:
            this_environment
        threads: 1
        resources:
            batch_size=project.sampling.batch_size,
            runtime=sweep_minutes,
            mem_mb=megabytes,
        params:
            start=0,
            stop=project.sweep.num_images,
        shell:
            SAMPLE
