# The search for copies of training images among the samples of the runs table.


rule measure_memorisation:
    input:
        settings="results/{experiment}/evaluation/settings.yaml",
        samples=of_first_runs(paths.SAMPLES),
        features=of_first_runs(paths.FEATURES, several=True),
        weights=SPACE_WEIGHTS,
        references=SPACE_REFERENCES,
        dataset=[] if project.evaluation.reference else paths.DATASET,
        shards=[] if project.evaluation.reference else SHARDS,
    output:
        copies=[
            f"results/{{experiment}}/{file}"
            for file in outputs.copies_of(project).values()
        ],
        csv=paths.TABLE.replace("{table}", "memorisation") + ".csv",
        md=paths.TABLE.replace("{table}", "memorisation") + ".md",
        tex=paths.TABLE.replace("{table}", "memorisation") + ".tex",
        html=report(
            paths.TABLE.replace("{table}", "memorisation") + ".html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "memorisation"},
        ),
    log:
        "logs/{experiment}/measure_memorisation.log",
    conda:
        this_environment
    threads: 1
    resources:
        runtime=minutes,
        mem_mb=megabytes,
    params:
        runs=of_first_runs("{name}"),
        scales=of_first_runs("{scale}"),
        caption=outputs.MEMORISATION_CAPTION,
    shell:
        "python -m eddpm measure-memorisation --settings {input.settings}"
        " --references {input.references} --weights {input.weights:q}"
        " --runs {params.runs:q} --scales {params.scales} --samples {input.samples} --features {input.features}"
        " --dataset={input.dataset:q} --caption={params.caption:q} --copies {output.copies}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"
