"""Copy the demo's tables and figures here and into README.md, with the settings and the commit that made them.

make docs
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "results/digits", ROOT / "docs/digits"
TABLES = ["main", "best_scale", "sweep"]
FIGURES = ["samples", "trace", "noise_levels", "fronts", "scales"]


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    for figure in FIGURES:
        shutil.copy(RESULTS / f"figures/{figure}.png", DOCS)
    shutil.copy(ROOT / "config/digits/config.yaml", DOCS / "config.yaml")
    shutil.copy(ROOT / "config/digits/runs.tsv", DOCS / "runs.tsv")
    tables = {table: (RESULTS / f"tables/{table}.md").read_text() for table in TABLES}
    images = "\n\n".join(f"![{figure}]({figure}.png)" for figure in FIGURES)
    (DOCS / "README.md").write_text(
        "# The digits, as the pipeline made them\n\n"
        "Written by `make docs` from `results/digits/`. Below each table stands the commit that made it;\n"
        "[config.yaml](config.yaml) and [runs.tsv](runs.tsv) are the settings as they were then.\n\n"
        + "\n".join(f"## {table}\n\n{text}" for table, text in tables.items())
        + f"\n{images}\n"
    )
    readme = (ROOT / "README.md").read_text()
    for table, text in tables.items():
        block = re.compile(f"(<!-- table: {table} -->\n).*?(<!-- end -->)", re.DOTALL)
        readme = block.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", readme)
    (ROOT / "README.md").write_text(readme)


if __name__ == "__main__":
    main()
