"""Imports flow one way, so that each part can be read, tested and changed without those above it."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "eddpm"
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}

BASE = {"config", "io", "errors"}
# part -> the parts of eddpm it may import
ALLOWED = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"stages", *BASE},
    "stages": {"stages", "data", "diffusion", "guidance", "models", "training", "evaluation", "reporting", *BASE},
    "training": {"training", "models", "diffusion", *BASE},
    "evaluation": {"evaluation", "models", "diffusion", "guidance", *BASE},
    "reporting": {"reporting", *BASE},
    "models": {"models", *BASE},
    "data": {"data", "diffusion", *BASE},
    "config": {"diffusion", "guidance", *BASE},  # of diffusion, the respacing, which is plain numbers
    "guidance": {"guidance"},
    "io": {"io", "errors"},
    "diffusion": {"diffusion", "guidance"},
    "errors": set(),
}


def imports(source: str) -> set[str]:
    """The modules that a source imports, at its top or within functions, by full name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import; write the full name"
            # `from eddpm import config` imports eddpm.config
            found |= {f"eddpm.{alias.name}" for alias in node.names} if node.module == "eddpm" else {node.module}
    return found


def parts(source: str) -> set[str]:
    """The parts of eddpm that a source imports."""
    return {name.split(".")[1] for name in imports(source) if name.startswith("eddpm.")}


def packages(source: str) -> set[str]:
    """The packages that a source imports, but for eddpm and the standard library."""
    return {name.partition(".")[0] for name in imports(source)} - {"eddpm"} - sys.stdlib_module_names


def part_of(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


def test_imports_are_seen_wherever_they_stand():
    source = """
import os, torch.nn as nn
from eddpm import config
from eddpm.models.unet import UNet
def f():
    import numpy
    if True:
        from PIL import Image
"""
    assert imports(source) == {"os", "torch.nn", "eddpm.config", "eddpm.models.unet", "numpy", "PIL"}
    assert parts(source) == {"config", "models"}
    assert packages(source) == {"torch", "numpy", "PIL"}


def test_every_part_has_its_place():
    assert {part_of(name) for name in SOURCES} == ALLOWED.keys()
    assert {name for name in SOURCES if "/" not in name} == {"__init__.py", "__main__.py", "cli.py", "errors.py"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_imports_only_parts_below_it(name):
    source, part = SOURCES[name], part_of(name)
    assert parts(source) <= ALLOWED[part]
    assert not packages(source) & {"snakemake", "tests", "pytest"}
    if part == "diffusion":
        assert packages(source) <= {"torch", "numpy"}
    if part == "guidance":
        assert packages(source) <= {"torch", "pydantic"}
    if part == "reporting":
        assert not packages(source) & {"torch", "torchvision"}
    if part in ("config", "errors"):
        assert packages(source) <= {"yaml", "pydantic"}


def test_the_allowed_imports_have_no_circle():
    above: dict[str, set[str]] = {part: allowed - {part} for part, allowed in ALLOWED.items()}
    while above:
        lowest = {part for part, below in above.items() if not below & above.keys()}
        assert lowest, f"a circle among {sorted(above)}"
        above = {part: below for part, below in above.items() if part not in lowest}


def test_only_the_command_line_reads_its_arguments():
    assert [name for name in SOURCES if imports(SOURCES[name]) & {"argparse", "click"}] == ["cli.py"]


def test_no_module_is_long():
    assert {name: lines for name, source in SOURCES.items() if (lines := source.count("\n")) > 300} == {}
