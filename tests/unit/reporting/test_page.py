"""The report reads back as it was meant: cells in their places, text as text, and nothing to be fetched."""

import base64
from html.parser import HTMLParser
from typing import get_args

import pandas as pd
import pytest

from eddpm.errors import ArtifactError
from eddpm.reporting.page import CAPTIONS, Table, cost_table, provenance_table, read_table, render
from eddpm.stages.report import Figure

HOSTILE = '<script>alert("1")</script> & </td> {{ 7 * 7 }} \' <img src=x>'
PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"
PLAIN = Table(["a"], [["b"]], [])
VOID = {"meta", "img"}


class Page(HTMLParser):
    """A page as a browser reads it; fails on tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def page(experiment="digits", tables=None, figures=None, configs=None, provenance=PLAIN, cost=PLAIN) -> Page:
    return Page(render(experiment, tables or {}, figures or {}, configs or {}, provenance, cost))


# The page ---------------------------------------------------------------------------------------------------------


def test_cells_arrive_where_they_belong():
    frame = pd.DataFrame({"run": ["A(25)-G+EDS", "B"], "FID ↓ (pixels)": ["0.26 ± 0.19", ""], "note": ["x", "y z"]})
    table = read_table(frame.to_markdown(index=False, disable_numparse=True) + "\n\nA caption.\n", "t.md")
    shown = page(tables={"main": table}).tables[0]
    assert shown == [list(frame.columns), *frame.values.tolist()]


def test_a_page_asks_for_nothing_but_what_it_holds_and_its_links_lead_somewhere():
    table = Table(["run"], [["A"]], ["Two tables."])
    shown = page(tables={"main": table, "best_scale": table}, figures={"trace": PNG}, configs={"c.yaml": "a: 1"})
    assert not {"script", "link", "iframe", "object", "base"} & set(shown.tags)
    links, anchors = shown.values("href"), shown.values("id")
    assert len(set(anchors)) == len(anchors)
    assert {f"#{anchor}" for anchor in anchors} == set(links)
    assert {"#table-best_scale", "#figure-trace", "#settings", "#provenance", "#cost"} < set(links)
    assert len(shown.values("src")) == 1


def test_a_style_asks_for_nothing_either():
    style = render("digits", {}, {}, {}, PLAIN, PLAIN).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_figure_is_shown_byte_by_byte_with_its_caption_or_its_file():
    shown = page(figures={"trace": PNG, "novel_figure": PNG + b"2"})
    pictures = [source.removeprefix("data:image/png;base64,") for source in shown.values("src")]
    assert [base64.b64decode(picture, validate=True) for picture in pictures] == [PNG, PNG + b"2"]
    assert CAPTIONS["trace"] in shown.texts
    assert "novel_figure.png" in shown.texts


def test_every_figure_that_can_be_drawn_has_a_caption():
    assert set(get_args(Figure)) <= set(CAPTIONS)


def test_hostile_text_is_shown_as_text_wherever_it_stands():
    table = Table([HOSTILE, "b"], [[HOSTILE, "1"]], [HOSTILE])
    plain = Table(["a", "b"], [["c", "1"]], ["d"])
    hostile, tame = (
        page(name, {name: grid}, {name: PNG}, {name: name}, provenance=grid, cost=grid)
        for name, grid in ((HOSTILE, table), ("tame", plain))
    )
    assert hostile.tags == tame.tags
    assert hostile.tables == [[[HOSTILE, "b"], [HOSTILE, "1"]]] * 3
    assert hostile.texts.count(HOSTILE) == tame.texts.count("tame") + tame.texts.count("d")


def test_settings_are_shown_as_they_are_and_collapsed():
    text = "a:\n  - 1 # <- first\n\tb: & c\n"
    shown = page(configs={"config/x.yaml": text})
    assert text in shown.texts
    assert "config/x.yaml" in shown.texts
    assert shown.tags.count("details") == 1
    assert shown.values("open") == []


def test_columns_of_numbers_alone_are_aligned_as_numbers():
    rows = [
        ["A", "0.5 ± 0.1", "6", "cpu 1"],
        ["2B", "-3", "", "cuda"],
        ["C", "+1 *", "—", "2"],
        ["D", "missing", "nan", ""],
    ]
    table = Table(["run", "FID", "scale", "device"], rows, [])
    assert table.numeric == [False, True, True, False]
    assert page(tables={"main": table}).values("class").count("number") == 2 * 5


# Tables -----------------------------------------------------------------------------------------------------------


def test_caption_and_footnotes_are_the_lines_below_the_table():
    text = "| run | a |\n|:--|:--|\n| A | 1 |\n\nA caption.\n\n1: a footnote.\n| no row\n"
    table = read_table(text, "t.md")
    assert table == Table(["run", "a"], [["A", "1"]], ["A caption.", "1: a footnote.", "| no row"])


def test_what_markdown_escapes_is_shown_plain_and_a_bar_within_a_cell_is_no_border():
    table = read_table("| a |\n|---|\n| p(y\\|x)\\* |\n\n\\* a note\n", "t.md")
    assert table == Table(["a"], [["p(y|x)*"]], ["* a note"])


@pytest.mark.parametrize("text", ["", "A caption.", "| a |\n|---|\n", "| a | b |\n|---|---|\n| 1 |\n"])
def test_what_is_no_table_is_refused_by_name(text):
    with pytest.raises(ArtifactError, match=r"^main\.md: not a pipe table"):
        read_table(text, "main.md")


# Provenance -------------------------------------------------------------------------------------------------------


def measured(name: str, commit: str = "c1", **features: dict) -> dict:
    features = {"pixels": {"extractor": {"range": "[-1, 1]"}, "reference": {"sha256": "f" * 64}}, **features}
    return {"run": {"name": name}, "provenance": {"commit": commit, "torch": "2.4"}, "features": features}


def test_runs_that_agree_share_a_row_for_each_fact():
    table = provenance_table([measured("A"), measured("B"), measured("C")])
    assert table.rows == [
        ["commit", "c1", "all"],
        ["torch", "2.4", "all"],
        ["pixels extractor range", "[-1, 1]", "all"],
        ["pixels reference sha256", "f" * 64, "all"],
    ]
    assert table.notes == ["The 3 runs of the tables agree in all of it."]


def test_runs_that_differ_are_named_where_they_are_the_fewer():
    rows = [measured("A"), measured("B", "c2"), measured("C"), measured("D", clean={"extractor": {"weights": "w"}})]
    table = provenance_table(rows)
    assert table.rows[:2] == [["commit", "c2", "B"], ["commit", "c1", "the other 3"]]
    assert table.rows[-2:] == [
        ["clean extractor weights", "w", "D"],
        ["clean extractor weights", "unknown", "the other 3"],
    ]
    assert table.notes == ["The 4 runs of the tables differ in commit, clean extractor weights."]


def test_nothing_measured_has_no_provenance_yet():
    assert provenance_table([]) == Table(["what", "value", "runs"], [], ["No run has been measured."])


# Cost -------------------------------------------------------------------------------------------------------------


def test_cost_is_summed_by_rule_with_the_largest_memory():
    jobs = [
        {"rule": "train", "s": "1800.0", "max_rss": "512.0", "h:m:s": "0:30:00"},
        {"rule": "sample", "s": "3600", "max_rss": "2048.00"},
        {"rule": "sample", "s": "7200.5", "max_rss": "3072.00"},
        {"rule": "sample", "s": "3.1", "max_rss": "-"},
        {"rule": "quick", "s": "0.36", "max_rss": "NA"},
    ]
    table = cost_table(jobs)
    assert table.rows == [
        ["sample", "3", "3.001", "3.00"],
        ["train", "1", "0.500", "0.50"],
        ["quick", "1", "0.000", ""],
        ["all of these", "5", "3.501", "3.00"],
    ]
    assert "last try of each job" in table.notes[0]


def test_nothing_timed_costs_nothing():
    assert cost_table([]).rows == [["all of these", "0", "0.000", ""]]
