"""Copy the figures, settings and tables of the digits to docs/, and the tables into the marks of the documents.

A picture of the report comes with them, where a Chromium can open it.

make docs
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from eddpm.config.settings import read_yaml
from eddpm.reporting.matched import matched_cells
from eddpm.reporting.tables import metrics_cells, pipe_table

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "results/digits", ROOT / "docs/digits"
CONFIG = ROOT / "config/digits/config.yaml"
TABLES = ["main", "matched", "sweep"]
README_COLUMNS = ["run", "scale", "accuracy", "pixels/fid", "pixels/recall"]
README_LEVEL = 0.9  # of accuracy, in the table matched
ABLATION_COLUMNS = ["run", "scale", "accuracy", "classifier:clean/fid", "pixels/fid"]
ABLATION_COLUMNS += ["pixels/precision", "pixels/recall"]
BROWSER = ("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1400,650")
# Opens the report at a figure, as two clicks would.
AT_FIGURE = """
<script>
const path = "results/digits/figures/trace.png";
const shown = {navbarMode: "subcategory", category: "Figures", subcategory: "Other", content: "img"};
setTimeout(() => app.setView({...shown, contentPath: results[path].data_uri, resultPath: path}), 500);
</script>
"""


def main() -> None:
    for figure in (RESULTS / "figures").glob("*.png"):
        shutil.copy(figure, DOCS)
    shutil.copy(CONFIG, DOCS)
    shutil.copy(CONFIG.with_name("runs.tsv"), DOCS)
    fill(DOCS / "README.md", {table: (RESULTS / f"tables/{table}.md").read_text(encoding="utf-8") for table in TABLES})
    fill(
        ROOT / "README.md",
        {"main": f"{cells_of('main', README_COLUMNS)}\n", "matched": matched(README_LEVEL, README_COLUMNS)},
    )
    copies = (RESULTS / "tables/memorisation.md").read_text(encoding="utf-8")
    fill(ROOT / "docs/evaluation.md", {"memorisation": copies})
    ablations = read_yaml(CONFIG)["ablations"]
    fill(ROOT / "docs/ablations.md", {name: narrow(name, ABLATION_COLUMNS) for name in ablations})
    if shutil.which(BROWSER[0]):
        picture_report(ROOT / "docs/report.png")


def picture_report(png: Path) -> None:
    """A picture of the report in a browser."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text((RESULTS / "report.html").read_text(encoding="utf-8") + AT_FIGURE, encoding="utf-8")
        options = ["--virtual-time-budget=8000", f"--screenshot={png}", page.as_uri()]
        subprocess.run([*BROWSER, *options], check=True, capture_output=True)


def fill(document: Path, tables: dict[str, str]) -> None:
    """Put each table between its marks in a document."""
    text = document.read_text(encoding="utf-8")
    for table, content in tables.items():
        block = re.compile(f"(<!-- table: {table} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = block.subn(lambda match, content=content: f"{match[1]}{content}{match[2]}", text)
        if not found:
            raise SystemExit(f"{document}: has no place for the table '{table}'; add its marks and a paragraph")
    document.write_text(text, encoding="utf-8")


def narrow(table: str, columns: list[str]) -> str:
    """Some columns of a table, and its caption."""
    return f"{cells_of(table, columns)}\n\n{caption_of(table)}\n"


def cells_of(table: str, columns: list[str]) -> str:
    return pipe_table(metrics_cells(pd.read_csv(RESULTS / f"tables/{table}.csv"))[columns])


def matched(level: float, columns: list[str]) -> str:
    """Some columns of the methods that reach a level, and the caption."""
    frame = pd.read_csv(RESULTS / "tables/matched.csv")
    reached = frame[(frame["level"] == level) & frame["fault"].isna()].fillna({"fault": "", "difference_to": ""})
    cells, notes = matched_cells(reached, columns[2:])
    below = "".join(f"{mark} {note}\n\n" for mark, note in notes.items())
    return f"{pipe_table(cells)}\n\n{below}{caption_of('matched')}\n"


def caption_of(table: str) -> str:
    return (RESULTS / f"tables/{table}.md").read_text(encoding="utf-8").strip().splitlines()[-1]


if __name__ == "__main__":
    main()
