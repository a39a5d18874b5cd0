"""Files below the working directory that are not what a project says any more: from files alone, while jobs run.

As in the workflow, a file is outdated where the settings that were frozen for it, or for one of its origins, are not
the project's any more, and where one of its origins is newer. A file that is not there stands for its own origins:
samples may be cleared away once they are measured. Samples and metrics also name their settings and weights.

Snakemake's own records are not read. So a change that leaves no trace in files is not seen: another source of a file
that has been fetched, an older reference batch, rules and code. And a file that was only touched counts as changed.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import yaml

from eddpm.config import paths
from eddpm.config.assets import file_of, space_downloads, weights_file
from eddpm.config.frozen import difference, frozen_parts, frozen_text, samples_identity
from eddpm.config.project import Project
from eddpm.config.samples import SampleConfig
from eddpm.config.seeds import TEMPERATURE_SCALED
from eddpm.config.settings import Settings, load_settings
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.checksums import Checksums
from eddpm.io.files import read_json

NEVER = float("-inf")

FaultOf = Callable[[Path], str | None]  # the reason why the contents of a file are not what they should be


class State(NamedTuple):
    """A file; where it is not there, the newest of its origins."""

    path: Path
    time: float  # of its last change, in seconds; NEVER where there is nothing at all
    there: bool = False
    fault: str | None = None  # why it is to be made again


class Files:
    """The files of a project below the working directory, each looked at once."""

    def __init__(self, project: Project):
        self._project = project
        self._made = {path: (origins, fault_of) for path, origins, fault_of in self._made_files()}
        self._states: dict[str, State] = {}
        self._checksums, self.identity = Checksums(Path(paths.ASSET_CHECKSUMS)), cache(self._identity)

    def at(self, pattern: str, **names: str) -> str:
        """The path of a file of the project, of a pattern of config/paths.py."""
        return pattern.format(experiment=self._project.experiment, **names)

    def origin(self, run: str) -> State:
        """The settings and networks that a run is sampled from: the newest of them, with the first fault."""
        return _newest(map(self._state, self._sampled_from(run)))

    def shard(self, run: str, shard: str) -> State:
        """The samples of a shard, unread: they may be those of other images."""
        return self._state(self.at(paths.SAMPLES, run=run, shard=shard))

    def metrics(self, run: str) -> State:
        """The measurements of a run."""
        return self._state(self.at(paths.METRICS, run=run))

    def _identity(self, run: str) -> str | None:
        """The identity that samples of the run carry; None while weights are missing, or the scale."""
        config, (_, *weights) = self._config(run), self._sampled_from(run)
        if not config or not all(_seen(Path(path)).there for path in weights):
            return None
        return samples_identity(config, map(self._checksums.digest, weights))

    def _state(self, path: str) -> State:
        """A file with its first fault: of its origins, its age, or its contents."""
        if path not in self._states:
            self._states[path] = State(Path(path), NEVER)  # in case of a circle: networks that start from each other
            origins, fault_of = self._made.get(path, ((), None))
            made, newest = _seen(Path(path)), _newest(map(self._state, origins))
            fault = newest.fault
            if made.there and not fault:
                older = f"{path}: older than {newest.path}" if newest.time > made.time else None
                fault = older or (fault_of(made.path) if fault_of else None)
            self._states[path] = (made if made.there else newest)._replace(there=made.there, fault=fault)
        return self._states[path]

    def _made_files(self) -> Iterator[tuple[str, list[str], FaultOf | None]]:
        """The files that the workflow makes, up to metrics, each with its origins, as in the rules, and `FaultOf`."""
        project, at, weights = self._project, self.at, partial(weights_file, self._project)
        for part, settings in frozen_parts(project).items():
            yield at(paths.SETTINGS, part=part), [], partial(_other_settings, settings)
        dataset = at(paths.DATASET)
        yield dataset, [at(paths.SETTINGS, part="dataset")], None
        for kind in ("denoisers", "classifiers"):
            for name, entry in project.trained[kind].items():
                start = filter(None, [entry.training.init_from])
                yield weights(kind, name), [at(paths.SETTINGS, part=f"{kind}/{name}"), dataset, *start], None
        for name in project.guiding_classifiers:
            if name.endswith(TEMPERATURE_SCALED):
                levels = at(paths.SETTINGS, part=f"classifiers/{name}/levels")
                plain = weights("classifiers", name.removesuffix(TEMPERATURE_SCALED))
                yield weights("classifiers", name), [levels, dataset, plain], None
        measured_by = [
            at(paths.SETTINGS, part="evaluation"),
            file_of(project, "evaluation.reference") if project.evaluation.reference else dataset,
            *space_downloads(project).values(),
            *(weights("classifiers", name) for name in project.space_classifiers),
        ]
        for run, row in project.all_runs.items():
            shards = [at(paths.SAMPLES, run=run, shard=shard) for shard in project.shards(run)]
            origins = self._sampled_from(run)
            yield from ((shard, origins, None) for shard in shards)
            yield at(paths.METRICS, run=run), [*shards, *measured_by], partial(self._other_run, run)
            if row.scale == "best":
                sweep = [at(paths.METRICS, run=each) for each in project.measured_sweep(row.method)]
                choice = at(paths.SETTINGS, part=f"runs/{run}/choice")
                yield at(paths.RUN_SETTINGS, run=run), [choice, *sweep], partial(self._other_grid, run)

    def _sampled_from(self, run: str) -> list[str]:
        """The settings of a run and the weights of its denoiser, its classifier, and the other denoiser of a pair."""
        row = self._project.all_runs[run]
        other = self._project.other_denoiser(row)
        named = [("denoisers", row.denoiser), ("classifiers", row.classifier), ("denoisers", other)]
        weights = [weights_file(self._project, kind, name) for kind, name in named if name]
        return [self.at(paths.RUN_SETTINGS, run=run), *weights]

    def _config(self, run: str) -> SampleConfig | None:
        """The settings of a run; None while its scale is not chosen."""
        if self._project.all_runs[run].scale != "best":
            return self._project.sample(run)
        try:
            return load_settings(SampleConfig, Path(self.at(paths.RUN_SETTINGS, run=run)))
        except ConfigError:
            return None

    def _other_run(self, run: str, path: Path) -> str | None:
        try:
            found = read_json(path, "run", "num_images")
        except ArtifactError as error:
            return str(error)
        config = self._config(run)
        row = (config or self._project.sample(run)).model_dump(mode="json", exclude=None if config else {"scale"})
        wanted = {"num_images": self._project.all_runs[run].num_images, **row}
        have = {"num_images": found["num_images"], **found["run"]}
        old, new = ({key: values[key] for key in wanted if key in have} for values in (have, wanted))
        if old != new:
            return f"{path}: {difference(old, new)}"
        if "features" in found and set(found["features"]) != set(self._project.evaluation.spaces):
            return f"{path}: measured in other feature spaces"
        return other_identity(path, found.get("identity"), self.identity(run))

    def _other_grid(self, run: str, path: Path) -> str | None:
        method, config = self._project.all_runs[run].method, self._config(run)
        if not config or config.scale not in self._project.sweep.grid(method):
            return f"{path}: its scale is not in the grid any more"
        # All metrics may have been cleared away; where only some are missing, the grid has grown since the choice.
        measured = {self.metrics(each).there for each in self._project.measured_sweep(method)}
        return f"{path}: chosen before all runs of the sweep were measured" if len(measured) == 2 else None


def other_identity(path: Path, named: str | None, wanted: str | None) -> str | None:
    """The fault of a file that names another identity, where both are known."""
    return f"{path}: of other settings or weights" if None not in (named, wanted) and named != wanted else None


def _other_settings(settings: Settings, path: Path) -> str | None:
    text, wanted = path.read_text(encoding="utf-8", errors="replace"), frozen_text(settings)
    if text == wanted:
        return None
    try:
        old, new = yaml.safe_load(text), yaml.safe_load(wanted)
    except yaml.YAMLError:
        return f"{path}: not valid YAML"
    return None if old == new else f"{path}: {difference(old, new)}"


def _seen(path: Path) -> State:
    try:
        return State(path, max(path.stat().st_mtime, path.lstat().st_mtime), there=True)  # also that of a link
    except OSError:
        return State(path, NEVER)


def _newest(states: Iterable[State]) -> State:
    states = [State(Path(), NEVER), *states]
    fault = next((state.fault for state in states if state.fault), None)
    return max(states, key=lambda state: state.time)._replace(fault=fault)
