# Denoisers, noise-aware classifiers, and the classifier on clean images.


rule train_denoiser:
    input:
        settings="results/{experiment}/denoisers/{denoiser}/settings.yaml",
        train="resources/datasets/{experiment}/train.npz",
        validation="resources/datasets/{experiment}/validation.npz",
    output:
        model="results/{experiment}/denoisers/{denoiser}/model.safetensors",
        history="results/{experiment}/denoisers/{denoiser}/log.jsonl",
    log:
        "logs/{experiment}/train_denoiser/{denoiser}.log",
    benchmark:
        "benchmarks/{experiment}/train_denoiser/{denoiser}.tsv"
    priority: 1
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm train-denoiser --settings {input.settings}"
        " --train {input.train} --validation {input.validation}"
        " --model {output.model} --log {output.history} > {log} 2>&1"


rule train_classifier:
    input:
        settings="results/{experiment}/classifiers/{classifier}/settings.yaml",
        train="resources/datasets/{experiment}/train.npz",
        validation="resources/datasets/{experiment}/validation.npz",
    output:
        model="results/{experiment}/classifiers/{classifier}/model.safetensors",
        history="results/{experiment}/classifiers/{classifier}/log.jsonl",
    log:
        "logs/{experiment}/train_classifier/{classifier}.log",
    benchmark:
        "benchmarks/{experiment}/train_classifier/{classifier}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm train-classifier --settings {input.settings}"
        " --train {input.train} --validation {input.validation}"
        " --model {output.model} --log {output.history} > {log} 2>&1"
