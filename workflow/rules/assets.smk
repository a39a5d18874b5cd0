# Published files.


rule fetch_asset:
    output:
        asset="resources/assets/{asset}",
    log:
        "logs/fetch_asset/{asset}.log",
    localrule: True
    conda:
        this_environment
    params:
        source=asset_source,
        digest=asset_digest,
    shell:
        "python -m eddpm fetch-asset --source {params.source:q} --digest {params.digest}"
        " --asset {output.asset:q} > {log:q} 2>&1"
