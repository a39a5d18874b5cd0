# The study of guidance rules: its parts are experiments of their own, each this workflow once more, as a module. The files
# that they share are fetched by the rule of the project.

for part, (part_values, _) in PARTS.items():
    name, prefix = f"study_{part}", f"study_{part}_"

    module:
        name: name
        snakefile:
            "../Snakefile"
        config:
            part_values

    use rule * from name exclude fetch_asset as prefix*


if PARTS:

    rule report_study:
        input:
            **STUDY.inputs,
        output:
            expand(f"results/{project.experiment}/study/{{file}}", file=study.FILES),
        log:
            f"logs/{project.experiment}/report_study.log",
        localrule: True
        conda:
            this_environment
        params:
            **STUDY.params,
            code=checksums(
                REPO / "eddpm/reporting/study.py",
                REPO / "eddpm/reporting/study_plots.py",
                REPO / "eddpm/stages/study.py",
            ),
        shell:
            "python -m eddpm report-study --rules {input.rules} --sweep {input.sweep} --measures {params.measures}"
            " --mechanism {input.mechanism} --noise-levels {input.noise_levels}"
            " --classes {input.classes} --counts {params.counts}"
            " --traces {input.traces} --methods {params.methods:q} --at {params.scales}"
            ' --out "$(dirname {output[0]:q})" > {log} 2>&1'

    rule study:
        input:
            rules.report_study.output,
            STUDY.tables,

else:

    rule study:
        input:
            refuse_study,
