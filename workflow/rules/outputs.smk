# Tables and figures, and their part in Snakemake's report. They are cheap, so they follow the code that draws them.


rule make_table:
    input:
        metrics=table_metrics,
    output:
        csv=f"{paths.TABLE}.csv",
        md=f"{paths.TABLE}.md",
        tex=f"{paths.TABLE}.tex",
        html=report(
            f"{paths.TABLE}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        "logs/{experiment}/make_table/{table}.log",
    localrule: True
    conda:
        this_environment
    params:
        runs=table_names,
        methods=lambda wildcards: TABLES[wildcards.table].methods,
        scales=lambda wildcards: TABLES[wildcards.table].scales,
        caption=table_caption,
        costs="shown" if project.evaluation.costs else "hidden",
        code=checksums(REPO / "eddpm/reporting/tables.py"),
    shell:
        "python -m eddpm make-table --runs {params.runs:q} --metrics {input.metrics} --caption={params.caption:q}"
        " --methods {params.methods:q} --scales {params.scales:q} --costs {params.costs}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"


rule compare_published:
    input:
        metrics=metrics_of(TABLES["main"].runs),
    output:
        csv=paths.TABLE.replace("{table}", "published") + ".csv",
        md=paths.TABLE.replace("{table}", "published") + ".md",
        tex=paths.TABLE.replace("{table}", "published") + ".tex",
        html=report(
            paths.TABLE.replace("{table}", "published") + ".html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "published"},
        ),
    log:
        "logs/{experiment}/compare_published.log",
    localrule: True
    conda:
        this_environment
    params:
        runs=[run.run for run in TABLES["main"].runs.values()],
        caption=outputs.PUBLISHED_CAPTION,
        published=project.published or [],
        contents=checksums(
            REPO / "eddpm/reporting/published.py",
            REPO / "eddpm/reporting/tables.py",
            *([project.published] if project.published else []),
        ),
    shell:
        "python -m eddpm compare-published --runs {params.runs:q} --metrics {input.metrics}"
        " --published={params.published:q} --caption={params.caption:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"


rule match_methods:
    input:
        metrics=metrics_of(SWEPT_RUNS),
        replicates=expand(paths.REPLICATES, run=SWEPT_RUNS, allow_missing=True),
    output:
        csv=paths.TABLE.replace("{table}", "matched") + ".csv",
        md=paths.TABLE.replace("{table}", "matched") + ".md",
        tex=paths.TABLE.replace("{table}", "matched") + ".tex",
        html=report(
            paths.TABLE.replace("{table}", "matched") + ".html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "matched"},
        ),
    log:
        "logs/{experiment}/match_methods.log",
    localrule: True
    conda:
        this_environment
    params:
        **outputs.matched_methods(project),
        code=checksums(
            REPO / "eddpm/evaluation/matched.py",
            REPO / "eddpm/reporting/matched.py",
            REPO / "eddpm/reporting/tables.py",
        ),
    shell:
        "python -m eddpm match-methods --runs {params.runs:q} --methods {params.methods:q}"
        " --denoisers {params.denoisers:q} --trainings {params.trainings} --levels {params.levels:q}"
        " --baselines {params.baselines:q}"
        " --metrics {input.metrics} --replicates {input.replicates} --caption={params.caption:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"


rule plot_figure:
    input:
        inputs=figure_inputs,
    output:
        png=report(
            f"{paths.FIGURE}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf=f"{paths.FIGURE}.pdf",
    log:
        "logs/{experiment}/plot_figure/{figure}.log",
    localrule: True
    conda:
        this_environment
    params:
        labels=figure_labels,
        denoisers=figure_denoisers,
        caption=figure_caption,
        code=checksums(REPO / "eddpm/reporting/plots.py"),
    shell:
        "python -m eddpm plot-figure --figure {wildcards.figure} --inputs {input.inputs}"
        " --labels {params.labels:q} --denoisers {params.denoisers:q} --png {output.png} --pdf {output.pdf} > {log} 2>&1"
