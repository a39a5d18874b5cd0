"""Training seeds: each network that is trained here, once for each seed, by names that its entry follows from."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from eddpm.config.runs import Run, member_name
from eddpm.config.sections import Classifier, Denoiser
from eddpm.config.settings import Seed

TEMPERATURE_SCALED = "+temperature"  # ends the name of a classifier whose logits are divided by fitted temperatures
_OF_A_SEED = re.compile(r"\+seed(\d+)")  # follows the name of a network that has another seed than its entry says

Network = TypeVar("Network", Denoiser, Classifier)


def _check_distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed comes twice; drop it")
    return seeds


TrainingSeeds = Annotated[tuple[Seed, ...], AfterValidator(_check_distinct)]


def plain_name(network: str) -> str:
    """The name of a network in the project file: that of ce+seed1+temperature is ce."""
    return network.partition("+")[0]


def entry_of(entries: Mapping[str, Network], network: str) -> Network:
    """The entry of a network by its name, with the training seed that the name ends with, if it does."""
    entry, seed = entries[plain_name(network)], _OF_A_SEED.search(network)
    if not seed or not entry.training:
        return entry
    return entry.model_copy(update={"training": entry.training.model_copy(update={"seed": int(seed[1])})})


def trained(entries: Mapping[str, Network], named: Iterable[str]) -> dict[str, Network]:
    """The networks that are trained here: those of the project file, and at other seeds those that runs name."""
    names = [*entries, *(name.removesuffix(TEMPERATURE_SCALED) for name in named)]
    found = {name: entry_of(entries, name) for name in names}
    return {name: entry for name, entry in found.items() if entry.training}


def members_of(
    row: Run, seeds: Iterable[int], networks: Mapping[str, Mapping[str, Network]], other: str | None = None
) -> dict[int, Run]:
    """A row with its networks trained from each of these seeds; the row itself where they have that seed.

    `networks` are the entries of networks by the column that names one, `other` is the second denoiser of a pair. A row
    of checkpoints alone, or no seeds, gives the row itself, by its own seed (0 where it has none).
    """
    named = {column: name for column in networks if (name := getattr(row, column))}
    entries = [networks[column][plain_name(name)] for column, name in named.items()]
    entries += [networks["denoiser"][other]] if other else []
    own = [entry.training.seed for entry in entries if entry.training]
    found = {}
    for seed in seeds if own else ():
        changes = {column: at_seed(networks[column], name, seed) for column, name in named.items()}
        member = row.model_copy(update={"run": member_name(row.run, seed), "training_seed": seed, **changes})
        found[seed] = row if set(own) == {seed} else member
    return found or {next(iter(own), 0): row}


def at_seed(entries: Mapping[str, Network], network: str, seed: int) -> str:
    """The name of a network as it is trained from a seed; a checkpoint has none, and keeps its name."""
    plain = plain_name(network)
    training = entries[plain].training
    if training is None or training.seed == seed:
        return network
    return f"{plain}+seed{seed}{network.removeprefix(plain)}"
