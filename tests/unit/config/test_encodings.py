"""What is written and read as text is UTF-8 in every locale, since each place says so."""

import ast
from pathlib import Path

import pytest
from tiny import REPO

SOURCES = sorted(path for part in ("eddpm", "docs", "benchmarks") for path in (REPO / part).rglob("*.py"))


def without_encoding(source: str) -> list[int]:
    """The lines that read or write text in whatever encoding the locale has."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        method = isinstance(call.func, ast.Attribute)
        text_mode = name == "open" and not method and not any("b" in ast.unparse(each) for each in call.args[1:])
        as_text = method and (name == "read_text" or (name == "write_text" and len(call.args) == 1))
        if (text_mode or as_text) and "encoding" not in {keyword.arg for keyword in call.keywords}:
            lines.append(call.lineno)
    return lines


def test_places_without_an_encoding_are_seen():
    source = """
path.read_text()
path.write_text("a")
open("a")
open(path, "w", newline="")
path.read_text(encoding="utf-8")
path.write_text("a", encoding="utf-8")
open("a", "rb")
write_text(path, "a")
read_text(path)
"""
    assert without_encoding(source) == [2, 3, 4, 5]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPO)))
def test_every_text_has_its_encoding(path: Path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []
