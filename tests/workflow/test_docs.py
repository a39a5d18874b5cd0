"""The documents say what the pipeline made."""

import csv
import re
import runpy
import sys
from collections.abc import Iterator

import pytest
import yaml
from tiny import REPO

EXPERIMENTS = sorted(path.parent.name for path in (REPO / "config").glob("*/config.yaml"))


MARKS = "<!-- table: {} -->\n<!-- end -->\n"
BLOCK = re.compile(r"<!-- table: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
STUDY = REPO / "docs/guidance-study.md"


def rows_of(document: str) -> Iterator[list[str]]:
    """The cells of each row of the main table of a document."""
    table = dict(BLOCK.findall((REPO / document).read_text()))["main"]
    for line in table.splitlines():
        if line.startswith("|"):
            yield [cell.replace(" ± ", "±").strip() for cell in line.strip("|").split("|")]


def test_readme_shows_numbers_of_the_table_that_docs_hold():
    shown = [row for row in rows_of("README.md") if "±" in row[-1]]
    assert len(shown) == 8
    for row in shown:
        assert any(set(row) <= set(whole) for whole in rows_of("docs/digits/README.md")), row


@pytest.mark.parametrize(
    ("document", "least"),
    [
        ("README.md", 4),
        ("docs/digits/README.md", 10),
        ("docs/mnist/README.md", 6),
        ("docs/ablations.md", 6),
        ("docs/guidance-study.md", 10),
    ],
)
def test_numbers_that_the_text_quotes_are_in_its_tables(document, least):
    text = (REPO / document).read_text()
    tables = BLOCK.findall(text) + (BLOCK.findall(STUDY.read_text()) if document == "README.md" else [])
    cells = {f"{float(cell):.3f}" for _, table in tables for cell in re.findall(r"\d+\.\d{3,}", table)}
    quoted = re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", BLOCK.sub("", text))
    assert len(quoted) >= least
    assert set(quoted) <= cells


def test_an_order_of_methods_is_told_where_a_table_matches_them_alone():
    """A lower FID beside a lower accuracy, or on a coarse grid, is none."""
    for document in ("README.md", "docs/digits/README.md", "docs/mnist/README.md", "docs/ablations.md"):
        text = " ".join((REPO / document).read_text().split())
        assert not re.search(r"at about (the same|equal) accuracy", text)
        not_compared = re.search(r"at (the same accuracy|equal accuracies)[^.]*(do not (show|tell)|not compared)", text)
        assert "<!-- table: matched -->" in text or not_compared


@pytest.mark.parametrize("document", ["README.md", "docs/guidance-study.md"])
def test_a_difference_and_its_error_are_told_as_a_table_has_them(document):
    text = (REPO / document).read_text()
    tables = BLOCK.findall(text) + BLOCK.findall(STUDY.read_text())
    differences = re.findall(r"(-?\d+\.\d+) ?± ?(\d+\.\d+)", "\n".join(table for _, table in tables))
    told = re.findall(r"(-?\d+\.\d+)\s±\s(\d+\.\d+)", BLOCK.sub("", text))
    assert len(told) >= 4
    assert {(value.lstrip("-"), error) for value, error in told} <= {
        (value.lstrip("-"), error) for value, error in differences
    }


@pytest.mark.parametrize("experiment", sorted(path.parent.name for path in (REPO / "docs").glob("*/runs.tsv")))
def test_docs_hold_the_settings_that_made_them(experiment):
    rows = list(csv.DictReader((REPO / f"docs/{experiment}/runs.tsv").open(), delimiter="\t"))
    text = (REPO / f"docs/{experiment}/README.md").read_text()
    for row in rows:
        scale = row["scale"] or "0"
        assert re.search(rf"\| {re.escape(row['run'])} +\| {scale} ", text), row["run"]
    assert re.search(r"commit [0-9a-f]{40};", text), "made from a commit, with nothing uncommitted"


def test_results_of_mnist_come_into_the_marks_of_its_documents(tmp_path, monkeypatch):
    tables = {table: f"| {table} |\n\nOf {table}.\n" for table in ("main", "matched", "sweep")}
    columns = "method,scale,num_images,accuracy,efficientnet-lite0/fid,pixels/fid,pixels/recall"
    files = {
        "docs/refresh.py": (REPO / "docs/refresh.py").read_text(),
        "docs/mnist/README.md": "".join(map(MARKS.format, tables)),
        "README.md": MARKS.format("mnist"),
        "config/mnist/config.yaml": "experiment: mnist",
        "config/mnist/runs.tsv": "run",
        "results/mnist/figures/samples.png": "a picture",
        "results/mnist/tables/main.csv": f"{columns}\nUADM(25),0,1000,0.1,12.5,3.25,0.5\n",
        **{f"results/mnist/tables/{table}.md": text for table, text in tables.items()},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "argv", ["refresh.py", "mnist"])
    runpy.run_path(str(tmp_path / "docs/refresh.py"), run_name="__main__")
    assert dict(BLOCK.findall((tmp_path / "docs/mnist/README.md").read_text())) == tables
    (shown,) = dict(BLOCK.findall((tmp_path / "README.md").read_text())).values()
    assert re.search(r"UADM\(25\) *\| 0 .*12\.5.*3\.25", shown)
    assert {"config.yaml", "runs.tsv", "samples.png"} < {path.name for path in (tmp_path / "docs/mnist").iterdir()}


def test_links_in_the_documents_lead_somewhere():
    for path in (*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "config").rglob("*.md")):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path}: {link}"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_key_of_a_config_is_explained(experiment):
    explained, of_rules = ((REPO / name).read_text() for name in ("config/README.md", "docs/guidance.md"))
    config = yaml.safe_load((REPO / f"config/{experiment}/config.yaml").read_text())
    for method in config.get("guidance", {}).values():
        for rule in method if isinstance(method, list) else [method]:
            for name in (rule["rule"], *rule.keys() - {"rule"}):
                assert f"`{name}`" in of_rules, name
    for key in set(keys(config)):
        assert key in explained, key


def keys(values) -> Iterator[str]:
    """The keys of a config at every depth, but for names that an experiment gives."""
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        yield key
        if key in ("denoisers", "classifiers", "ablations"):
            for entry in value.values():
                yield from keys(entry)
        elif key not in ("at_least", "guidance", "matched", "scales", "vary"):
            yield from keys(value)


def test_make_targets_of_the_readme_exist():
    makefile = (REPO / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)|[` ]make (\w+)`", (REPO / "README.md").read_text(), re.MULTILINE)
    assert len(targets) >= 3
    for target in map("".join, targets):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
