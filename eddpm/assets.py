"""What a project needs from outside: published files, which the workflow fetches, and what only the user can bring."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from eddpm.config import INCEPTION_FILE
from eddpm.errors import ArtifactError
from eddpm.paths import why_absent
from eddpm.project import TEMPERED, Project

FOLDER = Path("resources/assets")


class Asset(NamedTuple):
    """A file that the rule fetch_asset downloads, or links to where it lies."""

    key: str  # where the project names it
    name: str  # in FOLDER
    source: str  # a URL, or a path
    sha256: str | None  # null: recorded when it comes

    @property
    def file(self) -> str:
        return str(FOLDER / self.name)

    @property
    def is_remote(self) -> bool:
        return _is_url(self.source)


class Missing(NamedTuple):
    """What the user has to bring: where it is named and what to do, and the output that waits for it."""

    message: str
    output: str


def assets(project: Project) -> list[Asset]:
    """Every such file that the project names, once for each place that names it."""
    named = [
        Asset(f"{kind}.{name}.checkpoint", _file_name(entry.checkpoint.source), *_origin(entry.checkpoint))
        for kind in ("denoisers", "classifiers")
        for name, entry in getattr(project, kind).items()
        if entry.checkpoint
    ]
    evaluation = project.evaluation
    if evaluation.reference:
        reference = evaluation.reference
        named.append(Asset("evaluation.reference", _file_name(reference), reference, evaluation.reference_sha256))
    if "inception" in evaluation.spaces:
        named.append(Asset("evaluation.inception", INCEPTION_FILE, *_origin(evaluation.inception)))
    return named


def _origin(entry) -> tuple[str, str | None]:
    return entry.source, entry.sha256


def asset_file(source: str) -> str:
    """Where the file of a source lies once it is fetched."""
    return str(FOLDER / _file_name(source))


def _file_name(source: str) -> str:
    return Path(urlsplit(source).path if _is_url(source) else source).name


def _is_url(source: str) -> bool:
    return "://" in source


def weights_file(project: Project, kind: str, name: str) -> str:
    """Where the weights of a network lie: of `kind` "denoisers" or "classifiers", published or of our own making."""
    entry = getattr(project, kind)[name.removesuffix(TEMPERED)]
    if entry.checkpoint and not name.endswith(TEMPERED):
        return asset_file(entry.checkpoint.source)
    return f"results/{project.experiment}/{kind}/{name}/model.safetensors"


def missing_files(project: Project) -> list[Missing]:
    """What the project names, below the working directory, that is not there and that nobody can fetch."""
    dataset = project.dataset
    prepared = f"resources/datasets/{project.experiment}/dataset.json"
    place = f" (they are to be had from {dataset.homepage})" if dataset.homepage else ""
    sources = {"dataset.source": dataset.source, "dataset.validation_source": dataset.validation_source}
    missing = [
        Missing(
            f"{key}: '{source}' does not exist{why_absent(source)};"
            f" put your images there{place}, or name another folder, zip or npz",
            prepared,
        )
        for key, source in sources.items()
        if source not in (None, "digits") and not os.path.exists(source)
    ]
    return missing + [
        Missing(
            f"{asset.key}: '{asset.source}' does not exist{why_absent(asset.source)};"
            " put the file there, or name another",
            asset.file,
        )
        for asset in _absent(project)
        if not asset.is_remote and not os.path.isfile(asset.source)
    ]


def check_files(project: Project) -> None:
    """Whether what lies in FOLDER, fetched or put there by hand, is what was pinned or recorded; records the rest.

    Raises ArtifactError where it is not. A file is read once, and again when it has changed.
    """
    from eddpm.artifacts import sha256, write_text

    for asset in assets(project):
        file, record = Path(asset.file), Path(f"{asset.file}.sha256")
        if not file.exists():
            continue
        recorded = next(iter(record.read_text().split()), None) if record.exists() else None
        known = recorded and record.stat().st_mtime >= file.stat().st_mtime
        found = recorded if known else sha256(file)
        wanted, place = (asset.sha256, asset.key) if asset.sha256 else (recorded, record)
        if wanted and found != wanted:
            raise ArtifactError(
                f"{file}: has SHA-256 {found}, not the {wanted} of {place}; bring the right file, or correct the other"
            )
        if not known:
            write_text(record, f"{found}  {asset.name}\n")


def downloads(project: Project) -> list[str]:
    """The files that will be fetched, a line each."""
    lines = [f"{asset.file}: will be fetched from {asset.source}" for asset in _absent(project) if asset.is_remote]
    return list(dict.fromkeys(lines))


def not_here_yet(project: Project) -> list[str]:
    """All of both, as one list for the user."""
    return [
        f"Not here yet: {line}" for line in (*(file.message for file in missing_files(project)), *downloads(project))
    ]


def _absent(project: Project) -> list[Asset]:
    return [asset for asset in assets(project) if not Path(asset.file).exists()]
