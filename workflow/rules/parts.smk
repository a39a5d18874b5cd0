# The parts of the study of guidance rules, where a command asks for them.
import re

from eddpm.config import study
from eddpm.config.assets import assets_of

# Each part takes as long to read as the project itself: they are there for commands that name the study, its rules or
# its files, or those of a part. Snakemake knows its targets only once it has read this.
NAMED = re.compile(
    rf"^(\w+_)?study([_:]|$)"
    rf"|(^|/)(results|resources/datasets)/{re.escape(project.experiment)}(-|/study/)"
)
is_named = any(map(NAMED.search, sys.argv[1:]))

try:
    PARTS = study.parts_of(values, project.study) if project.study and is_named else {}
    # With the project, all whose files this workflow checks and fetches.
    PROJECTS = [project, *(each for _, each in PARTS.values())]
    ASSETS = assets_of(PROJECTS)
    if PARTS:
        projects = {part: each for part, (_, each) in PARTS.items()}
        STUDY = study.Parts(projects, project.study)
        send(*study.files_of(project.study, [changed for changed, _ in PARTS.values()]))
except EddpmError as error:
    print(f"eddpm: {error}", file=sys.stderr)
    sys.exit(2)

# Of the names of their rules.
PREFIXES = {f"study_{part}_": each for part, (_, each) in PARTS.items()}
