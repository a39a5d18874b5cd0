# Tables and figures, and their part in Snakemake's report. They are cheap, so they follow the code that draws them.


rule make_table:
    input:
        metrics=table_metrics,
    output:
        csv="results/{experiment}/tables/{table}.csv",
        md="results/{experiment}/tables/{table}.md",
        tex="results/{experiment}/tables/{table}.tex",
        html=report(
            "results/{experiment}/tables/{table}.html",
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
        code=checksums(REPO / "eddpm/reporting/tables.py"),
    shell:
        "python -m eddpm make-table --runs {params.runs:q} --metrics {input.metrics} --caption {params.caption:q}"
        " --methods {params.methods:q} --scales {params.scales:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"


rule compare_published:
    input:
        metrics=metrics_of(project.table_runs),
    output:
        csv="results/{experiment}/tables/published.csv",
        md="results/{experiment}/tables/published.md",
        tex="results/{experiment}/tables/published.tex",
        html=report(
            "results/{experiment}/tables/published.html",
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
        runs=[row.run for row in project.runs],
        caption=outputs.PUBLISHED_CAPTION,
        published=project.published or [],
        contents=checksums(
            REPO / "eddpm/reporting/published.py",
            REPO / "eddpm/reporting/tables.py",
            *([project.published] if project.published else []),
        ),
    shell:
        "python -m eddpm compare-published --runs {params.runs:q} --metrics {input.metrics}"
        " --published {params.published:q} --caption {params.caption:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} --html {output.html} > {log} 2>&1"


rule plot_figure:
    input:
        inputs=figure_inputs,
    output:
        png=report(
            "results/{experiment}/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf="results/{experiment}/figures/{figure}.pdf",
    log:
        "logs/{experiment}/plot_figure/{figure}.log",
    localrule: True
    conda:
        this_environment
    params:
        labels=figure_labels,
        caption=figure_caption,
        code=checksums(REPO / "eddpm/reporting/plots.py"),
    shell:
        "python -m eddpm plot-figure --figure {wildcards.figure} --inputs {input.inputs}"
        " --labels {params.labels:q} --png {output.png} --pdf {output.pdf} > {log} 2>&1"
