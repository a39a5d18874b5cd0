# A run's samples for other evaluators.


rule export_npz:
    input:
        samples=run_shards,
    output:
        exported=paths.EXPORTED,
    log:
        "logs/{experiment}/export_npz/{run}.log",
    conda:
        this_environment
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm export-npz --samples {input.samples} --exported {output.exported} > {log} 2>&1"
