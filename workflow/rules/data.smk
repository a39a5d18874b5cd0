# Settings of every stage, and the data set.


rule freeze_settings:
    output:
        settings="results/{experiment}/{part}/settings.yaml",
    log:
        "logs/{experiment}/freeze_settings/{part}.log",
    localrule: True
    conda:
        this_environment
    params:
        settings=frozen_settings,
    shell:
        "printf '%s' {params.settings:q} > {output.settings} 2> {log}"


rule prepare_dataset:
    input:
        settings="results/{experiment}/dataset/settings.yaml",
    output:
        # The shards lie beside them, and are not named here: what a killed job has finished is kept.
        dataset="resources/datasets/{experiment}/dataset.json",
        unreadable="resources/datasets/{experiment}/unreadable.tsv",
    log:
        "logs/{experiment}/prepare_dataset.log",
    benchmark:
        "benchmarks/{experiment}/prepare_dataset.tsv"
    conda:
        this_environment
    threads: 16
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    shell:
        "python -m eddpm prepare-dataset --settings {input.settings} --workers {threads}"
        " --dataset {output.dataset} --unreadable {output.unreadable} > {log} 2>&1"
