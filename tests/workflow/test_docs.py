"""The documents say what the pipeline made."""

import csv
import re
from collections.abc import Iterator

import pytest
import yaml
from tiny import REPO

EXPERIMENTS = sorted(path.parent.name for path in (REPO / "config").glob("*/config.yaml"))


BLOCK = re.compile(r"<!-- table: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)


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
    ("document", "least"), [("README.md", 4), ("docs/digits/README.md", 10), ("docs/ablations.md", 6)]
)
def test_numbers_that_the_text_quotes_are_in_its_tables(document, least):
    text = (REPO / document).read_text()
    cells = {f"{float(cell):.3f}" for _, table in BLOCK.findall(text) for cell in re.findall(r"\d+\.\d{3,}", table)}
    quoted = re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", BLOCK.sub("", text))
    assert len(quoted) >= least
    assert set(quoted) <= cells


def test_an_order_of_methods_is_told_where_a_table_matches_them_alone():
    """A lower FID beside a lower accuracy, or on a coarse grid, is none."""
    for document in ("README.md", "docs/digits/README.md", "docs/ablations.md"):
        text = " ".join((REPO / document).read_text().split())
        assert not re.search(r"at about (the same|equal) accuracy", text)
        not_compared = re.search(r"at (the same accuracy|equal accuracies)[^.]*(do not (show|tell)|not compared)", text)
        assert "<!-- table: matched -->" in text or not_compared


def test_the_readme_names_a_difference_and_its_error_as_the_matched_table_has_them():
    text = (REPO / "README.md").read_text()
    table = dict(BLOCK.findall(text))["matched"]
    differences = re.findall(r"-?\d+\.\d+ ± \d+\.\d+", "\n".join(re.findall(r"^\|.*minus.*$", table, re.MULTILINE)))
    told = re.findall(r"-?\d+\.\d+ ± \d+\.\d+", BLOCK.sub("", text))
    assert len(told) >= 2
    assert set(told) <= set(differences)


def test_docs_hold_the_settings_that_made_them():
    rows = list(csv.DictReader((REPO / "docs/digits/runs.tsv").open(), delimiter="\t"))
    text = (REPO / "docs/digits/README.md").read_text()
    for row in rows:
        scale = row["scale"] or "0"
        assert re.search(rf"\| {re.escape(row['run'])} +\| {scale} ", text), row["run"]
    assert re.search(r"commit [0-9a-f]{40};", text), "made from a commit, with nothing uncommitted"


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
