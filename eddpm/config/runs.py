"""Runs: the rows of the runs table, and those that sweeps and ablations generate from them."""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from eddpm.config import paths
from eddpm.config.samples import REQUIRED_COLUMNS, Criterion, RunColumns
from eddpm.config.settings import COMMAND, Name, Positive, PositiveFloat, Seed, Settings, in_order, parse_settings
from eddpm.config.userpaths import Line


def slug(name: str) -> str:
    """The path-safe form of a run's name: UADM(25)-G+EDS+ECT is uadm25-g-eds-ect."""
    return re.sub(r"[^a-z0-9.]+", "-", re.sub(r"[()]", "", name.lower())).strip("-.")


def member_name(row: str, training_seed: int | str) -> str:
    """The name of a run of a row whose networks are trained from another seed than their entries say."""
    return f"{row} with training_seed {training_seed}"


def row_name(run: str) -> str:
    """The name of the row that a run is a member of."""
    return re.sub(member_name("", r"\d+$"), "", run)


def _check_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if len({slug(f"{scale:g}") for scale in scales}) < len(scales):
        raise ValueError("two scales share a name; drop one")
    return scales


# Of a table: the command that makes it names the metrics of each.
MOST_ROWS = COMMAND // len(paths.METRICS.format(experiment="e", run="r"))
Scales = Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=MOST_ROWS), AfterValidator(_check_scales)]
# Tagged, so that a mistake is told of the kind that was written.
Grids = Annotated[
    Annotated[Scales, Tag("[grid]")] | Annotated[dict[str, Scales], Field(min_length=1), Tag("[grids]")],
    Discriminator(lambda scales: "[grids]" if isinstance(scales, dict) else "[grid]"),
]


def _check_levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    if list(levels) != sorted(levels) or len({f"{level:g}" for level in levels}) < len(levels):
        raise ValueError("levels rise, and each comes once; sort them, and drop what comes twice")
    return levels


Level = Annotated[float, Field(allow_inf_nan=False)]
Levels = Annotated[tuple[Level, ...], Field(min_length=1), AfterValidator(_check_levels)]


def _check_name(name: str) -> str:
    if not slug(name) or " at " in name or " with " in name:
        raise ValueError("a name needs a letter or digit, and no ' at ' or ' with ' (of generated rows); rename it")
    if name.startswith(("-", "_")):
        raise ValueError("a name begins with no '-', as options do, and no '_', which legends leave out; rename it")
    if not (name.isprintable() and unicodedata.is_normalized("NFC", name)):
        raise ValueError("a name has no invisible characters, and no accents apart from their letters; type it anew")
    return name


class Run(RunColumns):
    """One row of the runs table, or one generated from it."""

    run: Annotated[str, AfterValidator(_check_name)]  # the paper's name
    denoiser: str
    classifier: str | None
    guidance: Name  # a method of the project, or a rule that needs no parameters
    num_images: Positive
    method: str = ""  # of a generated row: the row of the table it varies
    training_seed: Seed | None = None  # of a member of a row whose networks have other seeds

    @model_validator(mode="after")
    def _can_be_sampled(self):
        if self.scale == "best":
            raise ValueError("scale 'best' is for generated rows; give a number")
        return self

    @property
    def slug(self) -> str:
        return slug(self.run)

    @property
    def columns(self) -> dict[str, Any]:
        """The values of the columns that ablations can vary, in the one order that names are made in."""
        first = ("denoiser", "classifier", *REQUIRED_COLUMNS, "num_images")
        return in_order(self.model_dump(exclude={"run", "method", "training_seed"}), first)


class Sweep(Settings):
    """Guided rows of the runs table over a grid of scales, on images of another seed."""

    scales: Grids  # one grid for all guided rows, or one for each row to be swept, by its name
    num_images: Positive
    seed: Seed
    best: Criterion | None = None  # of the runs at the best scale
    matched: Annotated[dict[str, Levels], Field(min_length=1)] | None = None  # by metric: where methods are compared
    baselines: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)  # by row
    in_all: bool = True  # false: made by the target ablation_scale alone

    def grid(self, run: str) -> tuple[float, ...]:
        """The scales that a guided row of the table is tried at."""
        return self.scales.get(run, ()) if isinstance(self.scales, dict) else self.scales

    def rows(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Each of these rows at each scale of its grid."""
        changes = {"seed": self.seed, "num_images": self.num_images}
        for row in runs:
            for scale in self.grid(row.run):
                name = f"{row.run} at {scale:g}"
                yield row.model_copy(update={"run": name, "method": row.run, "scale": scale, **changes})


def _joined(text: Any) -> Any:
    """The lines of a text as one, as YAML has them."""
    return " ".join(text.split()) if isinstance(text, str) else text


class Ablation(Settings):
    """Rows of the runs table, each with every combination of some values in its columns."""

    rows: Annotated[tuple[str, ...], Field(min_length=1)]
    # By column: values as Run has them.
    vary: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)]
    note: Annotated[Line, BeforeValidator(_joined)] = ""  # for the table's caption

    def variants(self, row: Run) -> Iterator[Run]:
        """The row with each combination; a combination that changes nothing is the row itself.

        Names tell what differs from the row. Raises ConfigError where a column does not exist, or cannot have a value.
        """
        for values in itertools.product(*self.vary.values()):
            changes = dict(zip(self.vary, values, strict=True))
            variant = parse_settings(Run, row.model_dump() | changes, f"row '{row.run}'")
            # In the order of columns, not of `vary`: ablations share the rows that they have in common.
            changed = {column: value for column, value in variant.columns.items() if value != getattr(row, column)}
            if not changed:
                yield row
                continue
            name = f"{row.run} with {', '.join(f'{column} {_shown(value)}' for column, value in changed.items())}"
            yield variant.model_copy(update={"run": name, "method": row.run})


def _shown(value: str | int | float | None) -> str:
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)
