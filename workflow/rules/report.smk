# Tables and figures. These are cheap, so they follow the code that draws them.


rule make_table:
    input:
        metrics=table_metrics,
        code=REPO / "eddpm/reporting/tables.py",
    output:
        csv=report(
            "results/{experiment}/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md="results/{experiment}/tables/{table}.md",
        tex="results/{experiment}/tables/{table}.tex",
    log:
        "logs/{experiment}/make_table/{table}.log",
    conda:
        "../../environment.yml"
    params:
        caption=table_caption,
    shell:
        "python -m eddpm make-table --metrics {input.metrics} --caption {params.caption:q}"
        " --csv {output.csv} --md {output.md} --tex {output.tex} > {log} 2>&1"


rule plot_figure:
    input:
        inputs=figure_inputs,
        code=REPO / "eddpm/reporting/plots.py",
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
    conda:
        "../../environment.yml"
    params:
        labels=figure_labels,
    shell:
        "python -m eddpm plot-figure --figure {wildcards.figure} --inputs {input.inputs}"
        " --labels {params.labels:q} --png {output.png} --pdf {output.pdf} > {log} 2>&1"
