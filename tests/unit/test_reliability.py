"""The table of faults in docs/reliability.md names tests that exist, and every test of faults."""

import ast
import re
from pathlib import Path

from tiny import REPO

TESTS = REPO / "tests"


def names_in(file: Path) -> set[str]:
    """The tests of a file."""
    nodes = ast.parse(file.read_text()).body
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_of_the_table_of_faults_names_its_test_and_every_test_of_faults_has_a_row():
    rows = [
        line for line in (REPO / "docs/reliability.md").read_text().splitlines() if re.match(r"\| (?!fault \|)", line)
    ]
    named = [re.fullmatch(r"\| .+ \| .+ \| `([\w/]+\.py)::(\w+)` \|", row) for row in rows]
    assert None not in named, rows[named.index(None)]
    for file, name in (match.groups() for match in named):
        assert (TESTS / file).exists(), file
        assert name in names_in(TESTS / file), f"{file}::{name}"
    faults = {(f"faults/{file.name}", name) for file in (TESTS / "faults").glob("test_*.py") for name in names_in(file)}
    assert faults <= {match.groups() for match in named}
