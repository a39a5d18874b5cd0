# Noise-aware classifiers by noise level, and their temperature-scaled forms.


rule measure_classifier:
    input:
        settings="results/{experiment}/classifiers/{guide}/levels/settings.yaml",
        dataset=paths.DATASET,
        shards=SHARDS,
        classifier=lambda wildcards: weights_file(
            project, "classifiers", wildcards.guide
        ),
    output:
        levels=paths.NOISE_LEVELS,
    log:
        "logs/{experiment}/measure_classifier/{guide}.log",
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm measure-classifier --settings {input.settings} --dataset {input.dataset}"
        " --classifier {input.classifier:q} --levels {output.levels} > {log} 2>&1"


rule fit_temperature:
    input:
        settings="results/{experiment}/classifiers/{classifier}+temperature/levels/settings.yaml",
        dataset=paths.DATASET,
        shards=SHARDS,
        classifier=lambda wildcards: weights_file(
            project, "classifiers", wildcards.classifier
        ),
    output:
        model="results/{experiment}/classifiers/{classifier}+temperature/model.safetensors",
    log:
        "logs/{experiment}/fit_temperature/{classifier}.log",
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm fit-temperature --settings {input.settings} --dataset {input.dataset}"
        " --classifier {input.classifier:q} --model {output.model} > {log} 2>&1"
