"""Every animal of the zoo meets its one right outcome, and docs/files.md tells of all."""

import runpy

import pytest
from tiny import REPO
from zoo.cases import Case, House
from zoo.houses import HOUSES

from eddpm.errors import EddpmError

CASES = [pytest.param(house, case, id=case.brought) for house in HOUSES for case in house.cases]


@pytest.mark.parametrize(("house", "case"), CASES)
def test_the_outcome_is_the_one_that_the_table_tells(tmp_path, house: House, case: Case):
    case.make(tmp_path)
    brought = {path: path.lstat().st_size for path in tmp_path.rglob("*")}
    if case.outcome == "taken":
        said = house.run(tmp_path, **case.options)
    else:
        with pytest.raises(EddpmError) as caught:
            house.run(tmp_path, **case.options)
        said = str(caught.value)
        assert len(said.splitlines()) == 1
        assert "delete" not in said
    for words in case.says:
        assert words in said
    assert {path: path.lstat().st_size for path in brought} == brought


def test_docs_tell_of_every_case():
    made = runpy.run_path(str(REPO / "docs/files.py"))["page"]()
    assert (REPO / "docs/files.md").read_text(encoding="utf-8") == made, "run `python docs/files.py`"
