"""Files from outside that a project needs: published ones, which the workflow fetches, and those of the user."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from eddpm.config import paths
from eddpm.config.bundled import BUNDLED, why_not_bundled
from eddpm.config.project import Project
from eddpm.config.spaces import classifier_of, space_of
from eddpm.config.userpaths import why_absent
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.filekinds import is_a_folder, refuse_impostor, unreadable
from eddpm.io.names import masked

FOLDER = Path(paths.ASSETS)
ADDRESSES = "EDDPM_ADDRESSES"  # variable of the environment: sources with secrets by their labels, as JSON


class Asset(NamedTuple):
    """A file that the rule fetch_asset downloads, or links to where it lies."""

    key: str  # where the project names it
    file: str  # in FOLDER
    source: str  # a URL, or a path
    sha256: str | None  # null: recorded when it comes

    @property
    def name(self) -> str:
        return Path(self.file).name

    @property
    def label(self) -> str:
        """The source as commands and records name it: of an address with secrets, what is no secret, and the file."""
        shown = masked(self.source) if self.is_remote else self.source
        return shown if shown == self.source else f"{shown}#{self.name}"

    @property
    def is_remote(self) -> bool:
        return _is_url(self.source)


class Missing(NamedTuple):
    """A file, folder or package of the user's: its place in the project and the remedy, and the output that waits."""

    message: str
    output: str


def assets(project: Project) -> list[Asset]:
    """Every such file that the project names, once for each place that names it."""
    evaluation, checkpoints = project.evaluation, {key: entry.checkpoint for key, entry in project.networks.items()}
    named = [(f"{key}.checkpoint", file.source, file.sha256) for key, file in checkpoints.items() if file]
    if evaluation.reference:
        named.append(("evaluation.reference", evaluation.reference, evaluation.reference_sha256))
    of_spaces = []
    for space, file in space_downloads(project).items():
        origin = evaluation.origin(space)
        key = "evaluation.inception" if space == "inception" else f"evaluation.weights.{space}"
        of_spaces.append(Asset(key, file, origin.source, origin.sha256))
    beside = [source for _, source, _ in named] + [asset.file for asset in of_spaces]
    return [Asset(key, asset_file(source, beside), source, digest) for key, source, digest in named] + of_spaces


def assets_of(projects: Iterable[Project]) -> dict[str, Asset]:
    """The files of several projects by name. Raises ConfigError where two projects call different files the same."""
    found: dict[str, Asset] = {}
    for project in projects:
        for asset in assets(project):
            other = found.setdefault(asset.name, asset)
            if (other.source, other.sha256) != (asset.source, asset.sha256):
                place = f"{project.experiment}: {asset.key}: '{asset.file}'"
                raise ConfigError(
                    f"{place} would be {asset.label}, but {other.label} or of another sha256 for another part of the"
                    " study; rename one, or give both the same"
                )
    return found


def asset_file(source: str, beside: Iterable[str] = ()) -> str:
    """Where the file of a source lies once it is fetched, in a project that names the sources `beside`.

    It keeps its name; after a digest of its source where another source has that name, in capitals or not. Where there
    is no name, the digest is all.
    """
    name = _last_part(source)
    if not name or any(_last_part(other).lower() == name.lower() for other in beside if other != source):
        name = "-".join(filter(None, (hashlib.sha256(source.encode()).hexdigest()[:8], name)))
    return str(FOLDER / name)


def _last_part(source: str) -> str:
    return Path(urlsplit(source).path if _is_url(source) else source).name.removeprefix("..")


def _is_url(source: str) -> bool:
    return "://" in source


def file_of(project: Project, key: str) -> str:
    """Where the file that the project names at this key lies once it is fetched."""
    return next(asset.file for asset in assets(project) if asset.key == key)


def weights_file(project: Project, kind: str, name: str) -> str:
    """Where the weights of a network lie: of `kind` "denoisers" or "classifiers", published or trained here."""
    entry = project.networks.get(f"{kind}.{name}")
    if entry and entry.checkpoint:
        return file_of(project, f"{kind}.{name}.checkpoint")
    return paths.WEIGHTS.format(experiment=project.experiment, kind=kind, network=name)


def space_downloads(project: Project) -> dict[str, str]:
    """Where the files lie that feature spaces need and the workflow fetches, by space."""
    rows = {space: space_of(space).download for space in project.evaluation.spaces}
    return {space: str(FOLDER / download.file) for space, download in rows.items() if download}


def space_files(project: Project) -> list[str]:
    """The files of weights behind the feature spaces, in the order of the spaces that have some."""
    spaces = [space for space in project.evaluation.spaces if space_of(space).weights]
    return [
        weights_file(project, "classifiers", classifier_of(space))
        if classifier_of(space)
        else space_downloads(project)[space]
        for space in spaces
    ]


def missing_files(project: Project) -> list[Missing]:
    """Files, folders and packages of data sets that are the user's to bring, and that are not there."""
    dataset = project.dataset
    prepared = paths.DATASET.format(experiment=project.experiment)
    place = f" (available from {dataset.homepage})" if dataset.homepage else ""
    sources = {"dataset.source": dataset.source, "dataset.validation_source": dataset.validation_source}
    missing = [
        Missing(
            f"{key}: '{source}' does not exist{why_absent(source)};"
            f" put your images there{place}, or name another folder, zip or npz",
            prepared,
        )
        for key, source in sources.items()
        if source and source not in BUNDLED and not os.path.exists(source)
    ]
    lacking = {key: why_not_bundled(source) for key, source in sources.items() if source}
    missing += [Missing(f"{key}: {reason}", prepared) for key, reason in lacking.items() if reason]
    for asset in _absent(project):
        if asset.is_remote or os.path.isfile(asset.source):
            continue
        fault = unreadable(Path(asset.source)) or (
            f"does not exist{why_absent(asset.source)}; put the file there, or name another"
        )
        if os.path.isdir(asset.source):
            fault = is_a_folder(Path(asset.source))
        missing.append(Missing(f"{asset.key}: '{asset.source}' {fault}", asset.file))
    return missing


def check_files(project: Project) -> None:
    """Check the files in FOLDER, fetched or put there by hand, against pinned and recorded SHA-256; record the others.

    Raises ArtifactError where one differs, or is a web page or the like, also where it waits to be linked to. A file is
    read once, and again when it has changed in any way.
    """
    from eddpm.io.checksums import Checksums
    from eddpm.io.files import write_text

    checksums = Checksums(Path(paths.ASSET_CHECKSUMS))
    for asset in assets(project):
        file, record = Path(asset.file), Path(f"{asset.file}.sha256")
        if not file.exists():
            if os.path.isfile(asset.source):
                refuse_impostor(asset.source)
            continue
        refuse_impostor(file)
        recorded = next(iter(record.read_text(encoding="utf-8").split()), None) if record.exists() else None
        found = checksums.digest(file)
        wanted, place = (asset.sha256, asset.key) if asset.sha256 else (recorded, record)
        if wanted and found != wanted:
            raise ArtifactError(
                f"{file}: has SHA-256 {found}, not the {wanted} of {place}; bring the right file, or correct the other"
            )
        if found != recorded:
            write_text(record, f"{found}  {asset.name}\n")
    if FOLDER.exists():
        checksums.save()


def check_reference(project: Project) -> None:
    """Raise ArtifactError where `evaluation.reference` is there already, and no batch of images as the data set's.

    Headers alone are read. The pictures of a zip would take a look at each: measuring refuses those.
    """
    from eddpm.io.batches import ImageFile

    dataset = project.dataset
    for asset in assets(project):
        there = [path for path in (Path(asset.file), Path(asset.source)) if path.is_file()]
        if asset.key == "evaluation.reference" and there and there[0].suffix.lower() != ".zip":
            found, wanted = ImageFile(there[0]).shape, (dataset.image_size, dataset.image_size, dataset.image_channels)
            if found != wanted:
                raise ArtifactError(
                    f"{asset.key}: images of {there[0]} are {found}, those of the data set {wanted} (height, width,"
                    " channels); name a batch of such images, or null for the training images"
                )


def downloads(project: Project) -> list[str]:
    """A line for each file that will be fetched."""
    remote = (asset for asset in _absent(project) if asset.is_remote)
    lines = (f"{asset.file}: will be fetched from {masked(asset.source)}" for asset in remote)
    return list(dict.fromkeys(lines))


def not_here_yet(project: Project) -> list[str]:
    """A line for each missing file and each download."""
    missing = [file.message for file in missing_files(project)]
    return [f"Not here yet: {line}" for line in missing + downloads(project)]


def _absent(project: Project) -> list[Asset]:
    return [asset for asset in assets(project) if not Path(asset.file).exists()]
