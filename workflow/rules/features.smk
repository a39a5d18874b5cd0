# Features of the reference images, and of samples.


rule extract_references:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        dataset=REFERENCE_IMAGES,
        shards=[] if project.evaluation.reference else SHARDS,
        weights=SPACE_WEIGHTS,
    output:
        references=SPACE_REFERENCES,
    log:
        "logs/{experiment}/extract_references.log",
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm extract-references --settings {input.settings}"
        " --dataset {input.dataset:q} --weights {input.weights:q}"
        " --references {output.references} > {log} 2>&1"


rule extract_features:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        samples=paths.SAMPLES,
        weights=SPACE_WEIGHTS,
    output:
        features=paths.FEATURES,
    log:
        "logs/{experiment}/extract_features/{run}/{shard}.log",
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm extract-features --settings {input.settings}"
        " --samples {input.samples} --weights {input.weights:q}"
        " --features {output.features} > {log} 2>&1"
