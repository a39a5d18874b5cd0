"""Whether what lies below the working directory is still what a project says: from files alone, while jobs run.

As the workflow decides it, an output is outdated where the settings that were frozen beside it, or beside anything that
it is made from, are not the project's any more, and where something that it is made from is newer. A file that is not
there stands for what it is made from: samples may be cleared away once they are measured. Samples and metrics also name
the settings and weights that they come from, and metrics their row: that tells of another network of the same shape.

Snakemake's own records are not read. A change that leaves no trace in files is therefore not seen: another source of a
file that has been fetched, an older reference batch, rules and code. And a file that was only touched counts as
changed, even where Snakemake remembers that its contents are the same.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

from eddpm.config.assets import asset_file, space_downloads, weights_file
from eddpm.config.frozen import difference, frozen_parts, frozen_text, samples_identity
from eddpm.config.project import TEMPERATURE_SCALED, Project
from eddpm.config.schema import SampleConfig
from eddpm.config.settings import Settings, load_settings
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.files import read_json, sha256

NEVER = float("-inf")


class State(NamedTuple):
    """A file; where it is not there, the newest of those that it is made from."""

    path: Path
    time: float  # of its last change, in seconds; NEVER where there is nothing at all
    there: bool = False
    fault: str | None = None  # why it is to be made again


class Files:
    """The files of a project below the working directory, each looked at once."""

    def __init__(self, project: Project):
        self._project, self._results = project, Path(f"results/{project.experiment}")
        self._parts = frozen_parts(project)
        self._states: dict[Path, State] = {}
        self._digests: dict[Path, str | None] = {}
        self._identities: dict[str, str | None] = {}

    def origin(self, run: str) -> State:
        """The settings and networks that a run is sampled from: the newest of them, with the first fault."""
        return _newest([self._run_settings(run), *(self._weights(*network) for network in self._networks(run))])

    def identity(self, run: str) -> str | None:
        """The identity that samples of the run carry; None while weights are missing, or the scale."""
        if run not in self._identities:
            config = self._config(run)
            digests = [self._digest(Path(weights_file(self._project, *network))) for network in self._networks(run)]
            self._identities[run] = samples_identity(config, digests) if config and all(digests) else None
        return self._identities[run]

    def shard(self, run: str, shard: str) -> State:
        """The samples of a shard, unread: they may be those of other images."""
        return self._made(self._results / f"runs/{run}/samples/{shard}.npz", lambda: [self.origin(run)])

    def metrics(self, run: str) -> State:
        """The measurements of a run."""
        path = self._results / f"runs/{run}/metrics.json"
        return self._made(path, partial(self._measured_from, run), partial(self._other_run, run))

    def is_measured(self, run: str) -> bool:
        """Whether the measurements of a run are there, and made from what the project says."""
        state = self.metrics(run)
        return state.there and not state.fault

    # What they are made from ------------------------------------------------------------------------------------------

    def _measured_from(self, run: str) -> list[State]:
        evaluation = self._project.evaluation
        reference = _seen(Path(asset_file(evaluation.reference))) if evaluation.reference else self._dataset()
        spaces = [_seen(Path(file)) for file in space_downloads(self._project).values()]
        spaces += [self._weights("classifiers", name) for name in self._project.space_classifiers]
        shards = [self.shard(run, shard) for shard in self._project.shards(run)]
        return [self._settings("evaluation"), *shards, reference, *spaces]

    def _run_settings(self, run: str) -> State:
        if run not in self._project.best_runs:
            return self._settings(f"runs/{run}")
        path = self._results / f"runs/{run}/settings.yaml"
        return self._made(path, partial(self._chosen_from, run), partial(self._other_grid, run))

    def _chosen_from(self, run: str) -> list[State]:
        """The metrics of a sweep. Where some of them are missing, the grid has grown since the choice."""
        swept = {scale: self.metrics(scale) for scale in self._project.sweep_of(self._project.best_runs[run].method)}
        if any(state.there for state in swept.values()):
            for scale, state in swept.items():
                if not state.there and not state.fault:
                    swept[scale] = state._replace(fault=f"{scale} is not measured")
        return [self._settings(f"runs/{run}/choice"), *swept.values()]

    def _networks(self, run: str) -> list[tuple[str, str]]:
        row = self._project.all_runs[run]
        return [("denoisers", row.denoiser), *([("classifiers", row.classifier)] if row.classifier else [])]

    def _weights(self, kind: str, name: str) -> State:
        return self._made(Path(weights_file(self._project, kind, name)), partial(self._trained_from, kind, name))

    def _trained_from(self, kind: str, name: str) -> list[State]:
        if name.endswith(TEMPERATURE_SCALED):
            plain = self._weights(kind, name.removesuffix(TEMPERATURE_SCALED))
            return [self._settings(f"{kind}/{name}/levels"), self._dataset(), plain]
        training = getattr(self._project, kind)[name].training
        if not training:
            return []
        start = [self._start(training.init_from)] if training.init_from else []
        return [self._settings(f"{kind}/{name}"), self._dataset(), *start]

    def _start(self, file: str) -> State:
        """A checkpoint that a training starts from, which may be of another one."""
        for kind in ("denoisers", "classifiers"):
            for name in getattr(self._project, kind):
                if weights_file(self._project, kind, name) == file:
                    return self._weights(kind, name)
        return _seen(Path(file))

    def _dataset(self) -> State:
        path = Path(f"resources/datasets/{self._project.experiment}/dataset.json")
        return self._made(path, lambda: [self._settings("dataset")])

    def _settings(self, part: str) -> State:
        """Those that were frozen, beside those that would be now."""
        path = self._results / part / "settings.yaml"
        return self._made(path, list, partial(_other_settings, self._parts[part]))

    def _made(
        self, path: Path, inputs: Callable[[], Iterable[State]], fault_of: Callable[[Path], str | None] | None = None
    ) -> State:
        """A file with the first fault: of its inputs, its age, or what it holds."""
        if path not in self._states:
            self._states[path] = State(path, NEVER)  # in case of a circle: networks that start from each other
            made, newest = _seen(path), _newest(inputs())
            if not made.there:
                made = newest._replace(there=False)
            elif not newest.fault and newest.time > made.time:
                made = made._replace(fault=f"{path}: older than {newest.path}")
            elif not newest.fault and fault_of:
                made = made._replace(fault=fault_of(path))
            self._states[path] = made._replace(fault=newest.fault or made.fault)
        return self._states[path]

    # What they hold ---------------------------------------------------------------------------------------------------

    def _other_run(self, run: str, path: Path) -> str | None:
        """How the metrics of a run tell that they are not the project's."""
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
        return f"{path}: of other settings or weights" if differ(found.get("identity"), self.identity(run)) else None

    def _other_grid(self, run: str, path: Path) -> str | None:
        config, grid = self._config(run), self._project.sweep.grid(self._project.best_runs[run].method)
        return None if config and config.scale in grid else f"{path}: its scale is not in the grid any more"

    def _config(self, run: str) -> SampleConfig | None:
        """The settings of a run; None while its scale is not chosen."""
        if run not in self._project.best_runs:
            return self._project.sample(run)
        try:
            return load_settings(SampleConfig, self._results / f"runs/{run}/settings.yaml")
        except ConfigError:
            return None

    def _digest(self, weights: Path) -> str | None:
        """The SHA-256 of weights, of fetched ones as it was recorded; None where they are missing."""
        if weights not in self._digests:
            record, state = Path(f"{weights}.sha256"), _seen(weights)
            is_known = state.there and _seen(record).time >= state.time
            recorded = record.read_text(encoding="utf-8").split() if is_known else []
            self._digests[weights] = next(iter(recorded), None) or (sha256(weights) if state.there else None)
        return self._digests[weights]


def differ(named: str | None, wanted: str | None) -> bool:
    """Whether two identities are both known, and not the same."""
    return None not in (named, wanted) and named != wanted


def _seen(path: Path) -> State:
    try:
        time = max(path.stat().st_mtime, path.lstat().st_mtime)  # of a link, too, as Snakemake has it
    except OSError:
        return State(path, NEVER)
    return State(path, time, there=True)


def _newest(states: Iterable[State]) -> State:
    states = [State(Path(), NEVER), *states]
    fault = next((state.fault for state in states if state.fault), None)
    return max(states, key=lambda state: state.time)._replace(fault=fault)


def _other_settings(settings: Settings, path: Path) -> str | None:
    text, wanted = path.read_text(encoding="utf-8", errors="replace"), frozen_text(settings)
    if text == wanted:
        return None
    try:
        old, new = yaml.safe_load(text), yaml.safe_load(wanted)
    except yaml.YAMLError:
        return f"{path}: not valid YAML"
    return None if old == new else f"{path}: {difference(old, new)}"
