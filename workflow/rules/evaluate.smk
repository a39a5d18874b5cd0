# What samples are measured against, and the measurements.


rule extract_references:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        dataset="resources/datasets/{experiment}/train.npz",
        classifiers=space_classifiers,
    output:
        references=SPACE_REFERENCES,
    log:
        "logs/{experiment}/extract_references.log",
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm extract-references --settings {input.settings}"
        " --dataset {input.dataset} --classifiers {input.classifiers}"
        " --references {output.references} > {log} 2>&1"


rule compute_metrics:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        run="results/{experiment}/runs/{run}/settings.yaml",
        samples=run_shards,
        classifiers=space_classifiers,
        references=SPACE_REFERENCES,
    output:
        metrics="results/{experiment}/runs/{run}/metrics.json",
        trace="results/{experiment}/runs/{run}/trace.csv",
        grid="results/{experiment}/runs/{run}/grid.png",
    log:
        "logs/{experiment}/compute_metrics/{run}.log",
    wildcard_constraints:
        run=one_of(LONE_RUNS),
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm compute-metrics --settings {input.settings} --run {input.run}"
        " --samples {input.samples} --classifiers {input.classifiers} --references {input.references}"
        " --metrics {output.metrics} --trace {output.trace} --grid {output.grid} > {log} 2>&1"
