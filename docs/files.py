"""Write docs/files.md from the zoo of odd files in tests/zoo, where each row of it is a test.

python docs/files.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from zoo.houses import HOUSES  # noqa: E402, found by the path above

HEADER = """\
# Files as people have them

Made from `tests/zoo` by `python docs/files.py`: every row is a test. Where something is taken, the words stand in the
log; where it is refused, in the one line that ends the command with exit code 2. Nothing that you bring is changed.
"""


def page() -> str:
    """The whole of docs/files.md."""
    parts = [HEADER]
    for house in HOUSES:
        rows = [f"| {case.brought} | {case.outcome} | {_cell(case.says[0])} |" for case in house.cases]
        parts.append("\n".join([f"## {house.title}\n", "| you bring | it is | and says |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _cell(words: str) -> str:
    """Text within a table's cell."""
    return words.strip().replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    (ROOT / "docs/files.md").write_text(page(), encoding="utf-8")
