# Published files.
import json

from eddpm.config.assets import ADDRESSES

# Snakemake prints and keeps commands; and other users see those of running jobs.
os.environ[ADDRESSES] = json.dumps(
    json.loads(os.environ.get(ADDRESSES, "{}"))  # of another module of this workflow
    | {
        asset.label: asset.source
        for asset in ASSETS.values()
        if asset.label != asset.source
    }
)


rule fetch_asset:
    output:
        asset=paths.ASSET,
    log:
        "logs/fetch_asset/{asset}.log",
    localrule: True
    conda:
        this_environment
    params:
        source=lambda wildcards: ASSETS[wildcards.asset].label,
        digest=lambda wildcards: ASSETS[wildcards.asset].sha256 or [],
        # Below the working directory, where it stays, wherever the file itself is stored.
        record=paths.RECORD,
    shell:
        "python -m eddpm fetch-asset --source {params.source:q} --digest {params.digest}"
        " --asset {output.asset:q} --record {params.record:q} > {log:q} 2>&1"
