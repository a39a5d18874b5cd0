"""The report of an experiment: tables, figures, settings, provenance and cost as one HTML page, which asks for no other
file, no network and no JavaScript."""

import base64
import re
from itertools import takewhile
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined

from eddpm.errors import ArtifactError

# What a figure shows, and how to read it. A figure without an entry is shown with its file's name.
CAPTIONS = {
    "samples": "Images of the runs of the main table, a row per run. In each column the same seed and the same class: "
    "look down a column to see what the method changes.",
    "noise_levels": "What each noise-aware classifier knows of validation images at each noise level, with noise on "
    "the left: its accuracy, its confidence (the probability of the class that it finds most probable), the entropy of "
    "its prediction (1: it knows nothing, 0: it is certain), its expected calibration error (0 is best) and the norm "
    "of its gradient.",
    "trace": "What guides the sampler along the steps, averaged over the images of a run, from noise on the left to "
    "images on the right: the entropy of the classifier's prediction (1: it knows nothing), the norm of its raw "
    "gradient, the scale that multiplies it, and the norm of the guidance that results. Guidance that vanishes falls "
    "in the last panel; what EDS does about it is the rise of the scale.",
    "fronts": "What each method pays for accuracy over the same grid of scales: distance to the training images, "
    "precision and recall in pixel space, which knows no classes. A point is a scale. At the same accuracy, the better "
    "method has the lower FID, the higher precision and the higher recall.",
    "precision_recall": "Precision against recall over the grid of scales, a panel per feature space, a line per "
    "method; a point is a scale. The further up and right a line lies, the less diversity the method gives up for "
    "images like those of the data.",
    "scales": "Every metric against the guidance scale, a line per method; arrows point to the better, bars are "
    "standard errors. The same scale guides more with EDS than without, so compare what the methods reach, not what "
    "they are at one scale.",
}

_NUMBER = re.compile(r"[-+]?\d.*|nan|missing|\W?")  # or nothing, or a dash


class Table(NamedTuple):
    header: list[str]
    rows: list[list[str]]  # as many cells as the header
    notes: list[str]  # a caption, then footnotes

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds nothing but numbers."""
        return [
            all(_NUMBER.fullmatch(cell) for cell in cells) for _, *cells in zip(self.header, *self.rows, strict=True)
        ]


def read_table(text: str, place: str) -> Table:
    """A pipe table with the lines below it as its notes. Raises ArtifactError, with the place, if it is none."""
    lines = text.splitlines()
    grid = [_cells(line) for line in takewhile(lambda line: line.startswith("|"), lines)]
    if len(grid) < 3 or len({len(row) for row in grid}) > 1:
        raise ArtifactError(f"{place}: not a pipe table with as many cells in every row; make it again")
    header, _, *rows = grid
    return Table(header, rows, [_unescape(line) for line in lines[len(grid) :] if line.strip()])


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [_unescape(cell.strip()) for cell in cells]


def _unescape(markdown: str) -> str:
    return re.sub(r"\\([^\w\s])", r"\1", markdown)


def provenance_table(rows: list[dict]) -> Table:
    """What made and measured the runs, from the contents of their metrics.json: a row per value, and whose it is."""
    if not rows:
        return Table(["what", "value", "runs"], [], ["No run has been measured."])
    names = [row["run"]["name"] for row in rows]
    flat = [_flatten({**row["provenance"], **row["features"]}) for row in rows]
    lines, differing = [], []
    for what in dict.fromkeys(key for values in flat for key in values):
        runs: dict[str, list[str]] = {}
        for name, values in zip(names, flat, strict=True):
            runs.setdefault(values.get(what, "unknown"), []).append(name)
        *few, (value, most) = sorted(runs.items(), key=lambda item: len(item[1]))
        lines += [[what, other, ", ".join(those)] for other, those in few]
        lines.append([what, value, f"the other {len(most)}" if few else "all"])
        differing += [what] if few else []
    said = f"differ in {', '.join(differing)}" if differing else "agree in all of it"
    return Table(["what", "value", "runs"], lines, [f"The {len(rows)} runs of the tables {said}."])


def _flatten(values: dict, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a b": "1"}."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key} ") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return flat


def cost_table(jobs: list[dict[str, str]]) -> Table:
    """Jobs, hours and memory by rule, the longest first.

    A job has its `rule`, and `s` (seconds) and `max_rss` (MiB) as Snakemake writes them: not a number where it was too
    short to be looked at.
    """
    frame = pd.DataFrame(jobs, columns=["rule", "s", "max_rss"])
    frame[["s", "max_rss"]] = frame[["s", "max_rss"]].apply(pd.to_numeric, errors="coerce")
    sums = frame.groupby("rule").agg(jobs=("s", "size"), seconds=("s", "sum"), mib=("max_rss", "max"))
    sums = sums.sort_values("seconds", ascending=False)
    sums.loc["all of these"] = [len(frame), frame["s"].sum(), frame["max_rss"].max()]
    lines = [
        [rule, f"{count:,.0f}", f"{seconds / 3600:,.3f}", "" if pd.isna(mib) else f"{mib / 1024:,.2f}"]
        for rule, count, seconds, mib in sums.itertuples()
    ]
    note = (
        "The last try of each job, and only of the rules that are timed; a job whose run has left the configuration "
        "since still counts. Hours are those of jobs, whatever their number of cores or GPUs."
    )
    return Table(["rule", "jobs", "hours", "largest memory (GiB)"], lines, [note])


def render(
    experiment: str,
    tables: dict[str, Table],
    figures: dict[str, bytes],
    configs: dict[str, str],
    provenance: Table,
    cost: Table,
) -> str:
    """The page. Tables and figures (PNG) by name, configurations by path; all text is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(
        experiment=experiment,
        tables=tables,
        figures={name: base64.b64encode(png).decode() for name, png in figures.items()},
        captions=CAPTIONS,
        configs=configs,
        provenance=provenance,
        cost=cost,
    )


_PAGE = """\
{% macro show(table) %}
{% set numeric = table.numeric %}
<figure>
<div class="wide">
<table>
<thead><tr>
{% for cell in table.header %}
<th{% if numeric[loop.index0] %} class="number"{% endif %}>{{ cell }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
<td{% if numeric[loop.index0] %} class="number"{% endif %}>{{ cell }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
<figcaption>
{% for note in table.notes %}
<p>{{ note }}</p>
{% endfor %}
</figcaption>
</figure>
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ experiment }}</title>
<style>
body { max-width: 96rem; margin: 2rem auto; padding: 0 1.5rem; font: 16px/1.5 system-ui, sans-serif; color: #222 }
h1, h2, h3 { line-height: 1.2; margin: 2.5rem 0 0.75rem }
h1 { margin-top: 0 }
h2 { border-bottom: 1px solid #ccc; padding-bottom: 0.25rem }
h3 { margin-top: 2rem }
p, li, figcaption { max-width: 50rem }
a { color: #0058a3 }
nav ul { margin: 0; padding-left: 1.25rem }
figure { margin: 0 }
figcaption { font-size: 0.875rem; color: #444; overflow-wrap: anywhere }
figcaption p { margin: 0.5rem 0 }
img { display: block; max-width: min(100%, 76rem); height: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 0.8125rem; line-height: 1.35; font-variant-numeric: tabular-nums }
th, td { padding: 0.3rem 0.4rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #222; vertical-align: bottom }
td { overflow-wrap: anywhere }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; padding-left: 0; white-space: nowrap }
.number { text-align: right }
td.number { white-space: nowrap }
summary { cursor: pointer; font-family: ui-monospace, monospace; font-size: 0.875rem; padding: 0.2rem 0 }
pre { overflow-x: auto; background: #f5f5f5; padding: 0.75rem; margin: 0.25rem 0 1rem; font-size: 0.8125rem }
pre { tab-size: 20 } /* the table of runs */
@page { size: A4 landscape; margin: 12mm }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 10pt }
  table { font-size: 6.5pt }
  th, td { padding: 0.15rem 0.3rem }
  th:first-child, td:first-child { position: static }
  .wide { overflow: visible }
  h2, h3 { break-after: avoid }
  tr, img { break-inside: avoid }
}
</style>
</head>
<body>
<h1>{{ experiment }}</h1>
<p>Entropy-driven classifier guidance (ED-DPM). The name of a row says how its images were made. UADM and CADM are the
unconditional and the class-conditional denoiser, with the number of sampling steps in parentheses. G is classifier
guidance at a constant scale; EDS scales it, for each image at each step, by log C / H of the classifier's prediction,
whose entropy H is log C at most with C classes; ECT trains the classifier with the entropy constraint.</p>
<nav>
<ul>
<li><a href="#tables">Tables</a>:
{% for name in tables %}
<a href="#table-{{ name }}">{{ name.replace("_", " ") }}</a>{{ "" if loop.last else "," }}
{% endfor %}
</li>
<li><a href="#figures">Figures</a>:
{% for name in figures %}
<a href="#figure-{{ name }}">{{ name.replace("_", " ") }}</a>{{ "" if loop.last else "," }}
{% endfor %}
</li>
<li><a href="#settings">Settings</a></li>
<li><a href="#provenance">Provenance</a></li>
<li><a href="#cost">Cost</a></li>
</ul>
</nav>
<h2 id="tables">Tables</h2>
<p>A row per run. ↑ is the better the larger it is, ↓ the smaller; ± is the standard error of drawing other samples; in
parentheses stands the feature space of a metric. Every digit is in <code>tables/</code> beside this page, as csv.</p>
{% for name, table in tables.items() %}
<h3 id="table-{{ name }}">{{ name.replace("_", " ") }}</h3>
{{ show(table) }}
{% endfor %}
<h2 id="figures">Figures</h2>
{% for name, png in figures.items() %}
<h3 id="figure-{{ name }}">{{ name.replace("_", " ") }}</h3>
<figure>
<img src="data:image/png;base64,{{ png }}" alt="{{ name.replace("_", " ") }}">
<figcaption><p>{{ captions.get(name, name ~ ".png") }}</p></figcaption>
</figure>
{% endfor %}
<h2 id="settings">Settings</h2>
<p>The configuration and its table of runs, then what follows from them for each network.</p>
{% for path, text in configs.items() %}
<details>
<summary>{{ path }}</summary>
<pre>{{ text }}</pre>
</details>
{% endfor %}
<h2 id="provenance">Provenance</h2>
<p>What measured the runs: commit, versions and device; then, for each feature space, its network and its reference.</p>
{{ show(provenance) }}
<h2 id="cost">Cost</h2>
{{ show(cost) }}
</body>
</html>
"""
