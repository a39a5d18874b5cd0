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
        # Below the working directory, where it stays, wherever the file itself is stored.
        record="resources/assets/{asset}.sha256",
    shell:
        "python -m eddpm fetch-asset --source {params.source:q} --digest {params.digest}"
        " --asset {output.asset:q} --record {params.record:q} > {log:q} 2>&1"
