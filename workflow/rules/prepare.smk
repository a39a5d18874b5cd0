# Settings of every stage, and the data set.


rule freeze_settings:
    output:
        settings=report(
            paths.SETTINGS,
            caption="../report/settings.rst",
            category="Settings",
            subcategory=lambda wildcards: wildcards.part.partition("/")[0],
            labels={"settings": "{part}"},
        ),
    log:
        "logs/{experiment}/freeze_settings/{part}.log",
    localrule: True
    conda:
        this_environment
    params:
        settings=lambda wildcards: frozen_text(SETTINGS[wildcards.part]),
    shell:
        # Whole or not at all, also on a disk that fills.
        "printf '%s' {params.settings:q} > {output.settings}.tmp 2> {log}"
        " && mv {output.settings}.tmp {output.settings}"


rule prepare_dataset:
    input:
        settings="results/{experiment}/dataset/settings.yaml",
    output:
        dataset=paths.DATASET,
        shards=list(map(directory, SHARDS)),
        unreadable=f"{paths.DATA}/unreadable.tsv",
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
        # Snakemake removes outputs before a job and after a failed one: what it has finished is kept beside them.
        "prepared=$(dirname {output.dataset}); "
        "python -m eddpm prepare-dataset --settings {input.settings} --workers {threads}"
        " --dataset $prepared/unfinished/dataset.json --unreadable $prepared/unfinished/unreadable.tsv > {log} 2>&1"
        " && mv $prepared/unfinished/* $prepared && rm -r $prepared/unfinished"
