# Settings of every stage, and the data set.


rule freeze_settings:
    output:
        settings="results/{experiment}/{part}/settings.yaml",
    log:
        "logs/{experiment}/freeze_settings/{part}.log",
    conda:
        "../../environment.yml"
    params:
        settings=frozen_settings,
    shell:
        "printf '%s' {params.settings:q} > {output.settings} 2> {log}"


rule prepare_dataset:
    input:
        settings="results/{experiment}/dataset/settings.yaml",
    output:
        train="resources/datasets/{experiment}/train.npz",
        validation="resources/datasets/{experiment}/validation.npz",
    log:
        "logs/{experiment}/prepare_dataset.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m eddpm prepare-dataset --settings {input.settings}"
        " --train {output.train} --validation {output.validation} > {log} 2>&1"
