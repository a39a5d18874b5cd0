# Tables and figures. These are cheap, so they follow the code that draws them.


rule make_table:
    input:
        metrics=table_metrics,
    output:
        csv="results/{experiment}/tables/{table}.csv",
        md="results/{experiment}/tables/{table}.md",
        tex="results/{experiment}/tables/{table}.tex",
    log:
        "logs/{experiment}/make_table/{table}.log",
    localrule: True
    conda:
        this_environment
    params:
        runs=table_names,
        caption=table_caption,
        code=checksums(REPO / "eddpm/reporting/tables.py"),
    shell:
        "python -m eddpm make-table --runs {params.runs:q} --metrics {input.metrics} --caption {params.caption:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} > {log} 2>&1"


rule compare_published:
    input:
        metrics=metrics_of(project.table_runs),
    output:
        csv="results/{experiment}/tables/published.csv",
        md="results/{experiment}/tables/published.md",
        tex="results/{experiment}/tables/published.tex",
    log:
        "logs/{experiment}/compare_published.log",
    localrule: True
    conda:
        this_environment
    params:
        runs=compared_names,
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
        " --csv {output.csv} --md {output.md} --tex {output.tex} > {log} 2>&1"


rule plot_figure:
    input:
        inputs=figure_inputs,
    output:
        png="results/{experiment}/figures/{figure}.png",
        pdf="results/{experiment}/figures/{figure}.pdf",
    log:
        "logs/{experiment}/plot_figure/{figure}.log",
    localrule: True
    conda:
        this_environment
    params:
        labels=figure_labels,
        code=checksums(REPO / "eddpm/reporting/plots.py"),
    shell:
        "python -m eddpm plot-figure --figure {wildcards.figure} --inputs {input.inputs}"
        " --labels {params.labels:q} --png {output.png} --pdf {output.pdf} > {log} 2>&1"
