"""Published files: fetched once, checked, never altered."""

import http.client
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.request import urlretrieve

from eddpm.errors import ArtifactError
from eddpm.io.filekinds import HEAD, impostor, refuse_impostor
from eddpm.io.files import atomic, sha256, write_text
from eddpm.io.log import progress

logger = logging.getLogger(__name__)


def fetch_asset(
    source: Annotated[str, {"type": os.path.expanduser}, "a URL, or a path"],
    digest: Annotated[str | None, "SHA-256; named without a value: that of the first file to come"],
    asset: Path,
    record: Annotated[Path | None, "where the SHA-256 of the first file is recorded (ASSET.sha256)"] = None,
) -> None:
    """Bring a file from a URL, or link to one on disk, provided that its SHA-256 is `digest` (hexadecimal).

    A web page, a Git LFS pointer, text or nothing in its place is refused and never recorded.
    Without a digest, the first file to come is taken, and its SHA-256 recorded in `record` (None: beside it), in the
    format of sha256sum: whoever brings that file again, with the record in place, gets the same one or an error.
    """
    record = record or asset.with_name(f"{asset.name}.sha256")
    recorded = record.read_text(encoding="utf-8").split() if digest is None and record.exists() else []
    wanted = recorded[0] if recorded else digest

    def check(found: str) -> None:
        if found != (wanted or found):
            remedy = f"bring that file, or delete {record} to take this one" if recorded else "try again, or bring it"
            raise ArtifactError(
                f"{source}: has SHA-256 {found}, not {wanted}; it is another file, or damaged: {remedy}"
            )

    found = (_download if "://" in source else _link)(source, asset, check)
    if not wanted:
        write_text(record, f"{found}  {asset.name}\n")
        logger.info(f"{asset}: SHA-256 {found}, recorded in {record.name}")


def _link(source: str, asset: Path, check: Callable[[str], None]) -> str:
    path = Path(source).absolute()
    if not path.exists():
        raise ArtifactError(f"{source}: does not exist; give the path of {asset.name}, or its URL")
    refuse_impostor(source)
    check(found := sha256(path))
    if not (asset.exists() and asset.samefile(path)):  # in its place already
        with atomic(asset) as temporary:
            temporary.symlink_to(path)
        logger.info(f"{asset}: {path}")
    return found


def _download(url: str, asset: Path, check: Callable[[str], None]) -> str:
    try:
        with atomic(asset) as temporary, progress(unit="B", unit_scale=True, desc=asset.name) as bar:

            def show(blocks: int, size: int, total: int) -> None:
                bar.total = total if total > 0 else None
                bar.update(blocks * size - bar.n)

            urlretrieve(url, temporary, show)  # raises where fewer bytes come than were announced
            with open(temporary, "rb") as file:
                if reason := impostor(file.read(HEAD)):
                    # Hugging Face's page about a file has nearly the file's address.
                    remedy = "; write /resolve/ in place of /blob/" if "/blob/" in url else ""
                    raise ArtifactError(f"{url}: {reason}{remedy}")
            check(found := sha256(temporary))
    except (OSError, http.client.HTTPException) as error:  # urllib's are OSErrors
        reason = getattr(error, "reason", error)
        raise ArtifactError(
            f"{url}: cannot be fetched ({reason}); fetch it elsewhere, and put it where no download is needed:"
            f" {asset.absolute()}, or anywhere as the `source` of the configuration"
        ) from None
    logger.info(f"{asset}: {url}")
    return found
