"""Published numbers are read strictly, keep their digits, and stand beside ours whether or not ours are there."""

import math
import re
from pathlib import Path

import pytest

from eddpm.errors import ConfigError
from eddpm.reporting.published import COMPARED, comparison_cells, comparison_frame, read_published
from eddpm.reporting.tables import to_latex, to_markdown

CONFIG = Path(__file__).parents[3] / "config"
HEADER = ["run", "source", "scale", "fid", "sfid", "inception_score", "precision", "recall", "note"]
ROWS = [
    "A|ED, README|10.0|12|10.4|95.41|.76|0.44|quoted",
    "A|ADM, table 4|10|12.00|10.40||0.76|0.44|",
    "B|ED, README|0.75|3.96|5.06|219.13|0.83|0.52|chosen_by 1",
    "C|ED, README||4.09|||||quoted",
]
RUNS = ["A", "B", "D"]
OURS = dict(zip(COMPARED, [12.34, 10.3, 100.0, 0.7638, 0.4391], strict=True))


def written(folder: Path, *rows: str, header: list[str] = HEADER) -> Path:
    path = folder / "published.tsv"
    lines = ["\t".join(header), *(row.replace("|", "\t") for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def measured(run: str, errors: dict[str, float] | None = None) -> dict:
    """What a metrics.json holds."""
    return {"run": {"name": run, "scale": 8.0}, "metrics": OURS, "standard_errors": errors or {}}


@pytest.fixture
def published(tmp_path):
    return read_published(written(tmp_path, *ROWS))


# Reading ----------------------------------------------------------------------------------------------------------


def test_a_number_is_read_with_its_digits_and_an_empty_cell_as_none(published):
    first, second, third, last = published
    assert (first.run, first.source, str(first.scale), first.note) == ("A", "ED, README", "10.0", "quoted")
    assert [str(value) for value in first.numbers.values()] == ["12", "10.4", "95.41", "0.76", "0.44"]
    assert list(first.numbers) == COMPARED
    assert second.numbers["inception/inception_score"] is None
    assert third.note == "chosen_by 1"
    assert last.scale is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A|X|1|2,5|||||", "line 3: fid: value '2,5': "),
        ("A|X|nan|2|||||", "line 3: scale: value 'nan': "),
        ("B|X|1|2|||||", "line 3: a second row of B from X; keep one"),
        ("A||1|2|||||", "line 3: source: value '': "),
        ("A|X|1|2||||", "line 3: has more or fewer cells than the header"),
    ],
)
def test_a_bad_row_is_refused_in_one_line_with_its_place(row, message, tmp_path):
    path = written(tmp_path, "B|X|1|2|||||", row)
    with pytest.raises(ConfigError, match=rf"^{re.escape(f'{path} {message}')}[^\n]*$"):
        read_published(path)


def test_other_columns_and_what_is_no_table_are_refused_and_a_mark_of_spreadsheets_is_not(tmp_path):
    for header, column in (([*HEADER, "kid"], "kid"), (HEADER[:-1], "note"), ([*HEADER[:-1], "fid"], "fid")):
        with pytest.raises(ConfigError, match=rf"published\.tsv line 1: column '{column}' is [^\n]+fid[^\n]+$"):
            read_published(written(tmp_path, header=header))
    path = written(tmp_path, "A|Müller et al.|1|2|||||")
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-8-sig"))
    assert [row.source for row in read_published(path)] == ["Müller et al."]
    path.write_text("<!DOCTYPE html>\n<html>")
    with pytest.raises(ConfigError, match=r"^[^\n]*published\.tsv: is a web page[^\n]*$"):
        read_published(path)


# Comparing --------------------------------------------------------------------------------------------------------


def test_the_frame_has_a_row_for_each_run_source_and_metric(published):
    frame = comparison_frame(RUNS, {"A": measured("A", {"inception/fid": 0.5})}, published)
    assert frame["run"].tolist() == ["A"] * 10 + ["B"] * 5 + ["D"] * 5  # C is not among the runs
    assert frame["metric"].tolist() == COMPARED * 4
    ours, missing = frame[frame["run"] == "A"], frame[frame["run"] != "A"]
    assert ours["difference"].tolist()[:2] == pytest.approx([0.34, -0.1])
    assert math.isnan(ours["difference"][7])  # that number was not published
    assert missing[["scale", "ours", "standard_error", "difference"]].isna().all(axis=None)
    assert frame["published"].tolist()[10:15] == [3.96, 5.06, 219.13, 0.83, 0.52]


def test_a_table_shows_ours_then_what_was_published_then_the_differences_to_the_published_digits(published):
    cells, _ = comparison_cells(["A", "B"], {"A": measured("A", {"inception/fid": 0.05})}, published)
    *of_a, ours, theirs = cells.to_numpy().tolist()
    assert of_a == [
        ["A", "ours", "8", "12.340 ± 0.050", "10.300", "100.000", "0.764", "0.439"],
        ["", "ED, README*", "10.0", "12", "10.4", "95.41", "0.76", "0.44"],
        ["", "ADM, table 4", "10", "12.00", "10.40", "—", "0.76", "0.44"],
        ["", "difference, ED, README", "", "+0", "-0.1", "+4.59", "+0.00", "+0.00"],
        ["", "difference, ADM, table 4", "", "+0.34", "-0.10", "—", "+0.00", "+0.00"],
    ]
    assert (ours[:4], theirs[:4]) == (["B", "ours", "—", "missing"], ["", "ED, README†", "0.75", "3.96"])


def test_rows_with_the_same_note_share_a_mark_and_marks_are_doubled_when_used_up(published, tmp_path):
    cells, notes = comparison_cells(["B", "A", "C"], {}, published)
    assert [row for row in cells["numbers"] if row.startswith("ED")] == ["ED, README*", "ED, README†", "ED, README†"]
    assert notes == {"*": "chosen_by 1", "†": "quoted"}
    rows = read_published(written(tmp_path, *[f"A|S{k}||1|||||note {k}" for k in range(7)]))
    assert list(comparison_cells(["A"], {}, rows)[1]) == ["*", "†", "‡", "§", "¶", "**", "††"]


def test_marks_and_notes_are_written_in_markdown_and_latex_with_a_rule_between_runs(published):
    cells, notes = comparison_cells(RUNS, {"A": measured("A")}, published)
    text = to_markdown(cells, "A caption.", notes)
    assert r"| ED, README\* " in text
    assert text.endswith("\n\n\\* quoted\n\n† chosen_by 1\n\nA caption.\n")
    text = to_latex(cells, "50% of_it", notes)
    body = re.search(r"\\toprule\n(.*)\\bottomrule", text, flags=re.DOTALL)[1]
    assert body.count("\\midrule") == len(RUNS)  # below the header, and between runs
    assert "\\par\\footnotesize * quoted\n\\par\\footnotesize $^{\\dagger}$ chosen\\_by 1\n\\end{table}" in text


# The files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [128, 256, 512])
def test_published_numbers_of_each_size_are_possible(size):
    for row in read_published(CONFIG / f"imagenet{size}/published.tsv"):
        numbers = row.numbers
        assert numbers["inception/fid"] > 1
        for name in ("precision", "recall"):
            value = numbers[f"inception/{name}"]
            assert value is None or (0 < value < 1 and value.as_tuple().exponent == -2)
        # A denoiser is guided if its row has a scale, but where the source does not say it.
        assert ("-G" in row.run) == (row.scale is not None) or "quoted in" in row.source


def test_the_gains_that_the_papers_abstract_claims_are_those_of_its_rows():
    rows = read_published(CONFIG / "imagenet256/published.tsv")
    fid = {row.run: float(row.numbers["inception/fid"]) for row in rows if row.source == "ED-DPM, README"}
    for kind, gain in (("CADM", 0.1089), ("UADM", 0.435)):
        before, after = fid[f"{kind}-G"], fid[f"{kind}-G+EDS+ECT"]
        assert 1 - after / before == pytest.approx(gain, abs=5e-4)
