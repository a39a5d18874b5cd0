# What a noise-aware classifier knows by noise level, and its tempered form.


rule measure_classifier:
    input:
        settings="results/{experiment}/classifiers/{guide}/levels/settings.yaml",
        dataset="resources/datasets/{experiment}/dataset.json",
        shards=SHARDS,
        classifier=guide_weights,
    output:
        levels="results/{experiment}/classifiers/{guide}/noise_levels.jsonl",
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
        dataset="resources/datasets/{experiment}/dataset.json",
        shards=SHARDS,
        classifier=classifier_weights,
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
