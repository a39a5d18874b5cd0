# The report: one page of all that there is. It is cheap, so it follows the code that lays it out.


rule make_report:
    input:
        metrics=report_metrics,
        tables=report_tables,
        figures=report_figures,
        configs=report_configs,
        code=code("reporting/page.py"),
    output:
        report="results/{experiment}/report.html",
    log:
        "logs/{experiment}/make_report.log",
    localrule: True
    conda:
        this_environment
    params:
        # Of other rules, so no input; where a job runs again, so does what depends on it.
        benchmarks="benchmarks/{experiment}",
    shell:
        "python -m eddpm make-report --experiment {wildcards.experiment} --metrics {input.metrics}"
        " --tables {input.tables} --figures {input.figures} --configs {input.configs:q}"
        " --benchmarks {params.benchmarks} --report {output.report} > {log} 2>&1"
