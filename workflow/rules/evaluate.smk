# What samples are measured against, their features, and the measurements.


rule fetch_asset:
    output:
        asset="resources/assets/{asset}",
    log:
        "logs/fetch_asset/{asset}.log",
    conda:
        "../../environment.yml"
    params:
        source=asset_source,
        digest=asset_digest,
    shell:
        "python -m eddpm fetch-asset --source {params.source:q} --digest {params.digest}"
        " --asset {output.asset} > {log} 2>&1"


rule extract_references:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        dataset=project.evaluation.reference
        or "resources/datasets/{experiment}/train.npz",
        weights=space_weights,
    output:
        references=SPACE_REFERENCES,
    log:
        "logs/{experiment}/extract_references.log",
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm extract-references --settings {input.settings}"
        " --dataset {input.dataset} --weights {input.weights}"
        " --references {output.references} > {log} 2>&1"


rule extract_features:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        samples="results/{experiment}/runs/{run}/samples/{shard}.npz",
        weights=space_weights,
    output:
        features="results/{experiment}/runs/{run}/features/{shard}.npz",
    log:
        "logs/{experiment}/extract_features/{run}/{shard}.log",
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m eddpm extract-features --settings {input.settings}"
        " --samples {input.samples} --weights {input.weights}"
        " --features {output.features} > {log} 2>&1"


rule compute_metrics:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        run="results/{experiment}/runs/{run}/settings.yaml",
        samples=run_shards,
        features=run_features,
        weights=space_weights,
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
        " --samples {input.samples} --features {input.features}"
        " --weights {input.weights} --references {input.references}"
        " --metrics {output.metrics} --trace {output.trace} --grid {output.grid} > {log} 2>&1"


rule export_npz:
    input:
        samples=run_shards,
    output:
        exported="results/{experiment}/runs/{run}/samples.npz",
    log:
        "logs/{experiment}/export_npz/{run}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m eddpm export-npz --samples {input.samples} --exported {output.exported} > {log} 2>&1"
