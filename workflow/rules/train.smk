# Denoisers, noise-aware classifiers, and the classifier on clean images; a process for each GPU of a job.


rule train_denoiser:
    input:
        settings="results/{experiment}/denoisers/{denoiser}/settings.yaml",
        dataset=paths.DATASET,
        shards=SHARDS,
        init_from=lambda wildcards: start_of(TRAINED["denoisers"][wildcards.denoiser]),
    output:
        model="results/{experiment}/denoisers/{denoiser}/model.safetensors",
        history="results/{experiment}/denoisers/{denoiser}/log.jsonl",
    log:
        "logs/{experiment}/train_denoiser/{denoiser}.log",
    benchmark:
        "benchmarks/{experiment}/train_denoiser/{denoiser}.tsv"
    wildcard_constraints:
        denoiser=one_of(TRAINED["denoisers"]),
    priority: 1
    conda:
        this_environment
    threads: 1
    resources:
        gpu=0,
        # It saves its state at the end of that, and a retry goes on.
        runtime=MOST_MINUTES,
        mem_mb=megabytes,
        microbatch=lambda wildcards: images_at_once(
            TRAINED["denoisers"][wildcards.denoiser]
        ),
    shell:
        "launch {resources.gpu} python -m eddpm train-denoiser --settings {input.settings}"
        " --dataset {input.dataset} --init-from {input.init_from:q}"
        " --microbatch {resources.microbatch} --threads {threads}"
        " --model {output.model} --log {output.history} > {log} 2>&1"


rule train_classifier:
    input:
        settings="results/{experiment}/classifiers/{classifier}/settings.yaml",
        dataset=paths.DATASET,
        shards=SHARDS,
        init_from=lambda wildcards: start_of(
            TRAINED["classifiers"][wildcards.classifier]
        ),
    output:
        model="results/{experiment}/classifiers/{classifier}/model.safetensors",
        history="results/{experiment}/classifiers/{classifier}/log.jsonl",
    log:
        "logs/{experiment}/train_classifier/{classifier}.log",
    benchmark:
        "benchmarks/{experiment}/train_classifier/{classifier}.tsv"
    wildcard_constraints:
        classifier=one_of(TRAINED["classifiers"]),
    conda:
        this_environment
    threads: 1
    resources:
        gpu=0,
        # It saves its state at the end of that, and a retry goes on.
        runtime=MOST_MINUTES,
        mem_mb=megabytes,
        microbatch=lambda wildcards: images_at_once(
            TRAINED["classifiers"][wildcards.classifier]
        ),
    shell:
        "launch {resources.gpu} python -m eddpm train-classifier --settings {input.settings}"
        " --dataset {input.dataset} --init-from {input.init_from:q}"
        " --microbatch {resources.microbatch} --threads {threads}"
        " --model {output.model} --log {output.history} > {log} 2>&1"
