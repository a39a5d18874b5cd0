"""Imports flow one way, so that each part can be read, tested and changed without those above it."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "eddpm"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# part -> the parts of eddpm it may import
ALLOWED = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"stages", "config", "io", "errors"},
    "stages": {
        "stages",
        "config",
        "io",
        "data",
        "diffusion",
        "models",
        "training",
        "evaluation",
        "reporting",
        "errors",
    },
    "training": {"training", "models", "diffusion", "config", "io", "errors"},
    "evaluation": {"evaluation", "models", "diffusion", "config", "io", "errors"},
    "reporting": {"reporting", "config", "io", "errors"},
    "models": {"models", "config", "io", "errors"},
    "data": {"data", "diffusion", "config", "io", "errors"},
    "config": {"config", "diffusion", "io", "errors"},  # of diffusion, the respacing, which is plain numbers
    "io": {"io", "errors"},
    "diffusion": {"diffusion"},
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
    """What a source imports from outside eddpm and the standard library."""
    return {name.partition(".")[0] for name in imports(source)} - {"eddpm"} - sys.stdlib_module_names


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources_of(part: str) -> list[Path]:
    return [path for path in SOURCES if part_of(path) == part]


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
    assert {part_of(path) for path in SOURCES} == ALLOWED.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_only_what_lies_below_it(path):
    assert parts(path.read_text()) <= ALLOWED[part_of(path)]


def test_the_allowed_imports_have_no_circle():
    above: dict[str, set[str]] = {part: allowed - {part} for part, allowed in ALLOWED.items()}
    while above:
        lowest = {part for part, below in above.items() if not below & above.keys()}
        assert lowest, f"a circle among {sorted(above)}"
        above = {part: below for part, below in above.items() if part not in lowest}


@pytest.mark.parametrize("path", sources_of("diffusion"), ids=lambda path: path.name)
def test_diffusion_sees_only_torch(path):
    assert packages(path.read_text()) <= {"torch", "numpy"}


@pytest.mark.parametrize("path", sources_of("reporting"), ids=lambda path: path.name)
def test_reporting_never_sees_torch(path):
    assert not packages(path.read_text()) & {"torch", "torchvision"}
    assert "diffusion" not in parts(path.read_text())


@pytest.mark.parametrize("path", [*sources_of("config"), *sources_of("errors")], ids=lambda path: path.name)
def test_the_configuration_needs_only_yaml_and_pydantic(path):
    assert packages(path.read_text()) <= {"yaml", "pydantic"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_sees_snakemake_or_the_tests(path):
    assert not packages(path.read_text()) & {"snakemake", "tests", "pytest"}


def test_only_the_command_line_reads_its_arguments():
    readers = [path for path in SOURCES if imports(path.read_text()) & {"argparse", "click"}]
    assert readers == [PACKAGE / "cli.py"]
