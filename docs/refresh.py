"""Copy the tables and figures of the digits here, and their tables into README.md and ablations.md.

With them come the settings and the commit that made them, and a picture of the report, where a Chromium can open it.

make docs
"""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd

from eddpm.config.settings import read_yaml
from eddpm.reporting.page import read_table
from eddpm.reporting.tables import pipe_table

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "results/digits", ROOT / "docs/digits"
CONFIG = ROOT / "config/digits/config.yaml"
TABLES = ["main", "best_scale", "sweep"]
FIGURES = ["samples", "trace", "noise_levels", "fronts", "precision_recall", "scales"]
# What ablations.md shows of each table, which is wide.
SHOWN = ["run", "scale", "accuracy ↑", "FID ↓ (classifier:clean)", "FID ↓ (pixels)", "precision ↑ (pixels)"]
SHOWN.append("recall ↑ (pixels)")
BROWSER = ("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1800,2400")


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    for figure in FIGURES:
        shutil.copy(RESULTS / f"figures/{figure}.png", DOCS)
    shutil.copy(CONFIG, DOCS)
    shutil.copy(CONFIG.with_name("runs.tsv"), DOCS)
    tables = {table: (RESULTS / f"tables/{table}.md").read_text(encoding="utf-8") for table in TABLES}
    images = "\n\n".join(f"![{figure}]({figure}.png)" for figure in FIGURES)
    (DOCS / "README.md").write_text(
        "# The digits, as the pipeline made them\n\n"
        "Written by `make docs` from `results/digits/`. Below each table stands the commit that made it;\n"
        "[config.yaml](config.yaml) and [runs.tsv](runs.tsv) are the settings as they were then.\n\n"
        + "\n".join(f"## {table}\n\n{text}" for table, text in tables.items())
        + f"\n{images}\n\n![report.html, its upper part](report.png)\n",
        encoding="utf-8",
    )
    fill(ROOT / "README.md", tables)
    ablations = read_yaml(CONFIG)["ablations"]
    fill(ROOT / "docs/ablations.md", {name: narrow(RESULTS / f"tables/{name}.md") for name in ablations})
    if shutil.which(BROWSER[0]):
        page = (RESULTS / "report.html").resolve().as_uri()
        subprocess.run([*BROWSER, f"--screenshot={DOCS / 'report.png'}", page], check=True, capture_output=True)


def fill(document: Path, tables: dict[str, str]) -> None:
    """Put each table between its marks in a document."""
    text = document.read_text(encoding="utf-8")
    for table, content in tables.items():
        block = re.compile(f"(<!-- table: {table} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = block.subn(lambda match, content=content: f"{match[1]}{content}{match[2]}", text)
        if not found and document.name != "README.md":
            raise SystemExit(f"{document}: has no place for the table '{table}'; add its marks and a paragraph")
    document.write_text(text, encoding="utf-8")


def narrow(path: Path) -> str:
    """The columns of a table that are SHOWN, and its caption."""
    table = read_table(path.read_text(encoding="utf-8"), str(path))
    cells = pd.DataFrame(table.rows, columns=table.header)[SHOWN]
    return "\n".join([pipe_table(cells), "", *table.notes, ""])


if __name__ == "__main__":
    main()
