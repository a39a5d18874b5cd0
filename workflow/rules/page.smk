# The report: one page of all that there is. It is cheap, so it follows the code that lays it out.


rule make_report:
    input:
        metrics=metrics_of(runs_in(TARGETS["all"])),
        tables=tables_among(in_report(TARGETS["all"])),
        figures=figures_among(TARGETS["all"]),
        settings=report_settings,
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
        configs=user_files,
        # As inputs, ablations would be made again for it, where anything before them has changed.
        metrics=ablation_metrics,
        tables=ablation_tables,
        figures=ablation_figures,
        of_tables=ablation_contents,
        contents=checksums(REPO / "eddpm/reporting/page.py", *user_files()),
    shell:
        "python -m eddpm make-report --experiment {wildcards.experiment} --metrics {input.metrics} {params.metrics}"
        " --tables {input.tables} {params.tables}"
        " --figures {input.figures} {params.figures} --configs {params.configs:q} {input.settings}"
        " --benchmarks {params.benchmarks} --report {output.report} > {log} 2>&1"
