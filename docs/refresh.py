"""Copy the figures, settings and tables of an experiment to docs/, and the tables into the marks of the documents.

make docs                      # the digits, with a picture of the report where a Chromium can open it
python docs/refresh.py mnist   # after snakemake --configfile config/mnist/config.yaml -- all
python docs/refresh.py study   # after snakemake study
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from eddpm.config.settings import read_yaml
from eddpm.reporting.matched import matched_cells
from eddpm.reporting.tables import COSTS, NONE, metrics_cells, number, pipe_table

ROOT = Path(__file__).parents[1]
TABLES = ["main", "matched", "sweep"]
README_COLUMNS = {
    "digits": ["run", "scale", "accuracy", "pixels/fid", "pixels/recall"],
    "mnist": ["run", "scale", "accuracy", "efficientnet-lite0/fid", "pixels/fid", "pixels/recall"],
}
README_LEVEL = 0.9  # of accuracy, in the digits' table matched
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
    for experiment in sys.argv[1:] or ["digits"]:
        refresh_study() if experiment == "study" else refresh(experiment)


def refresh(experiment: str) -> None:
    """docs/EXPERIMENT, and the documents elsewhere that show its tables."""
    columns = README_COLUMNS[experiment]
    config, results, docs = (ROOT / folder / experiment for folder in ("config", "results", "docs"))
    fill(docs / "README.md", {table: text_of(results, table) for table in TABLES})
    for file in (*(results / "figures").glob("*.png"), config / "config.yaml", config / "runs.tsv"):
        shutil.copy(file, docs)
    rows = f"{cells_of(results, 'main', columns)}\n"
    if experiment != "digits":
        fill(ROOT / "README.md", {experiment: rows})
        return
    fill(ROOT / "README.md", {"main": rows, "matched": matched(results, README_LEVEL, columns)})
    fill(ROOT / "docs/evaluation.md", {"memorisation": text_of(results, "memorisation")})
    ablations = read_yaml(config / "config.yaml")["ablations"]
    fill(ROOT / "docs/ablations.md", {name: narrow(results, name, ABLATION_COLUMNS) for name in ablations})
    if shutil.which(BROWSER[0]):
        picture_report(results / "report.html", ROOT / "docs/report.png")


def refresh_study() -> None:
    """docs/guidance-study.md, and its figures and tables in docs/study."""
    results, docs = ROOT / "results", ROOT / "docs/study"
    docs.mkdir(exist_ok=True)
    for file in (results / "digits/study").iterdir():
        shutil.copy(file, docs)
    for part in read_yaml(ROOT / "config/digits/study.yaml")["parts"]:
        shutil.copy(results / f"digits-{part}/tables/matched.csv", docs / f"{part}.csv")
    choice = results / "digits-choice"
    matched = pd.read_csv(choice / "tables/matched.csv")
    by_level = matched.pivot(index="run", columns="level", values="pixels/fid").loc[matched["run"].drop_duplicates()]
    chosen = by_level.map(lambda fid: NONE if pd.isna(fid) else f"{fid:.3f}").reset_index()
    chosen.columns = ["run", *(f"pixel FID at {level:g}" for level in by_level)]
    sweep = pd.read_csv(results / "digits-rules/tables/sweep.csv")
    costs = sweep.groupby("method", sort=False)[list(COSTS)].mean().map("{:.3g}".format).reset_index(names="run")
    tables = {
        "choice": f"{pipe_table(chosen)}\n\n{caption_of(choice, 'matched')}\n",
        "differences": (results / "digits/study/differences.md").read_text(encoding="utf-8"),
        "costs": f"{pipe_table(costs)}\n",
        "gains": f"{gains(results / 'digits/study/gains.csv')}\n",
        "cpus": f"{of_two_cpus(docs)}\n",
    }
    fill(ROOT / "docs/guidance-study.md", tables)


def gains(file: Path) -> str:
    """The gains of EDS, with their errors."""
    frame = pd.read_csv(file, dtype={"name": str})
    numbers = [number(*pair) for pair in zip(frame["gain"], frame["se"], strict=True)]
    by_confidence = frame["by"] == "classifier"
    x = frame["x"].map("{:.3f}".format).where(by_confidence, NONE)
    return pipe_table(
        pd.DataFrame({"by": frame["by"], "": frame["name"], "mean confidence": x, "EDS minus constant": numbers})
    )


def of_two_cpus(docs: Path) -> str:
    """The differences in pixel FID that the study has on both CPUs, with their errors."""
    keys = ["run", "level", "difference_to"]
    folders = docs, docs / "xeon"
    epyc, xeon = (pd.read_csv(folder / "differences.csv").query("measure == 'pixels/fid'") for folder in folders)
    both = epyc.merge(xeon, on=keys, suffixes=("_EPYC", "_Xeon"))
    cells = {"run": both["run"], "at": both["level"].map("accuracy = {:g}".format), "minus": both["difference_to"]}
    for cpu in ("EPYC", "Xeon"):
        pairs = zip(both[f"difference_{cpu}"], both[f"se_{cpu}"], strict=True)
        cells[f"FID ↓ (pixels), {cpu}"] = [number(*pair) for pair in pairs]
    return pipe_table(pd.DataFrame(cells))


def picture_report(report: Path, png: Path) -> None:
    """A picture of the report in a browser."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text(report.read_text(encoding="utf-8") + AT_FIGURE, encoding="utf-8")
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


def narrow(results: Path, table: str, columns: list[str]) -> str:
    """Some columns of a table, and its caption."""
    return f"{cells_of(results, table, columns)}\n\n{caption_of(results, table)}\n"


def cells_of(results: Path, table: str, columns: list[str]) -> str:
    return pipe_table(metrics_cells(pd.read_csv(results / f"tables/{table}.csv"))[columns])


def matched(results: Path, level: float, columns: list[str]) -> str:
    """Some columns of the methods that reach a level."""
    frame = pd.read_csv(results / "tables/matched.csv")
    reached = frame[(frame["level"] == level) & frame["fault"].isna()].fillna({"fault": "", "difference_to": ""})
    cells, notes = matched_cells(reached, columns[2:])
    return "\n\n".join([pipe_table(cells), *(f"{mark} {note}" for mark, note in notes.items())]) + "\n"


def caption_of(results: Path, table: str) -> str:
    return text_of(results, table).strip().splitlines()[-1]


def text_of(results: Path, table: str) -> str:
    return (results / f"tables/{table}.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
