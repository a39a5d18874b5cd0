# The report: one page of all that there is. It is cheap, so it follows the code that lays it out.


rule make_report:
    input:
        metrics=report_metrics,
        tables=report_tables,
        figures=report_figures,
        settings=report_settings,
    output:
        report="results/{experiment}/report.html",
    log:
        "logs/{experiment}/make_report.log",
    conda:
        "../../environment.yml"
    params:
        # Of other rules, so no input; where a job runs again, so does what depends on it.
        benchmarks="benchmarks/{experiment}",
        configs=user_files,
        contents=checksums(REPO / "eddpm/reporting/page.py", *user_files()),
    shell:
        "python -m eddpm make-report --experiment {wildcards.experiment} --metrics {input.metrics}"
        " --tables {input.tables} --figures {input.figures} --configs {params.configs:q} {input.settings}"
        " --benchmarks {params.benchmarks} --report {output.report} > {log} 2>&1"
