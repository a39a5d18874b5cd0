"""The documents say what the pipeline made."""

import csv
import re
from collections.abc import Iterator

import pytest
import yaml
from tiny import REPO

EXPERIMENTS = sorted(path.parent.name for path in (REPO / "config").glob("*/config.yaml"))


@pytest.mark.parametrize("table", ["main", "best_scale"])
def test_readme_shows_the_table_that_docs_hold(table):
    shown = re.search(f"<!-- table: {table} -->\n(.*?)<!-- end -->", (REPO / "README.md").read_text(), re.DOTALL)[1]
    assert shown.strip()
    assert shown in (REPO / "docs/digits/README.md").read_text()


@pytest.mark.parametrize(
    ("document", "first", "last", "least"),
    [("README.md", "## What the demo shows", "## Working with it", 10), ("docs/ablations.md", "# Ablations", None, 6)],
)
def test_numbers_that_the_text_quotes_are_in_its_tables(document, first, last, least):
    text = (REPO / document).read_text()
    text = text[text.index(first) : text.index(last) if last else None]
    block = re.compile("<!-- table: .*?<!-- end -->", re.DOTALL)
    cells = {f"{float(cell):.3f}" for table in block.findall(text) for cell in re.findall(r"\d+\.\d{3,}", table)}
    quoted = re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", block.sub("", text))
    assert len(quoted) >= least
    assert set(quoted) <= cells


def test_the_readme_claims_no_order_at_equal_accuracy_before_a_table_matches_it():
    """A lower FID beside a lower accuracy, or on a coarse grid, is none."""
    for document in ("README.md", "docs/ablations.md"):
        text = " ".join((REPO / document).read_text().split())
        assert not re.search(r"at about (the same|equal) accuracy", text)
        assert re.search(r"at (the same accuracy|equal accuracies)[^.]*(do not (show|tell)|not compared)", text)


def test_docs_hold_the_settings_that_made_them():
    rows = list(csv.DictReader((REPO / "docs/digits/runs.tsv").open(), delimiter="\t"))
    text = (REPO / "docs/digits/README.md").read_text()
    for row in rows:
        scale = row["scale"] or "0"
        assert re.search(rf"\| {re.escape(row['run'])} +\| {scale} ", text), row["run"]
    assert re.search(r"commit [0-9a-f]{40};", text), "made from a commit, with nothing uncommitted"


def test_links_in_the_documents_lead_somewhere():
    for path in (REPO / "README.md", *(REPO / "docs").rglob("*.md"), *(REPO / "config").rglob("*.md")):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path}: {link}"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_key_of_a_config_is_explained(experiment):
    explained = (REPO / "config/README.md").read_text()
    config = yaml.safe_load((REPO / f"config/{experiment}/config.yaml").read_text())
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
        elif key not in ("at_least", "scales", "vary"):
            yield from keys(value)


def test_make_targets_of_the_readme_exist():
    makefile = (REPO / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)|`make (\w+)`", (REPO / "README.md").read_text(), re.MULTILINE)
    assert len(targets) >= 3
    for target in map("".join, targets):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
