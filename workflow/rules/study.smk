# The study of guidance rules: its parts are experiments of their own, each this workflow once more, as a module.
from eddpm.config import study

try:
    PARTS = study.parts_of(values, project.study) if project.study else {}
except EddpmError as error:
    print(f"eddpm: {error}", file=sys.stderr)
    sys.exit(2)

for part, part_values in PARTS.items():
    prefix = f"study_{part}_"

    module:
        name: part
        snakefile: str(Path(str(workflow.current_basedir)).parent / "Snakefile")
        config: part_values

    use rule * from part as prefix*


if PARTS:

    rule study:
        input:
            [f"results/{part_values['experiment']}/tables/matched.csv" for part_values in PARTS.values()],
