"""Published files: fetched once, checked, never altered."""

import http.client
from pathlib import Path

from eddpm.artifacts import atomic, sha256, write_text
from eddpm.errors import ArtifactError
from eddpm.runtime import say


def fetch_asset(source: str, digest: str | None, asset: Path) -> None:
    """Bring a file from a URL, or link to one on disk, provided that its SHA-256 is `digest` (hexadecimal).

    Without a digest, the first file to come is taken, and its SHA-256 recorded beside it, in the format of sha256sum:
    whoever brings that file again, with the record in place, gets the same one or an error.
    """
    record = asset.with_name(f"{asset.name}.sha256")
    recorded = record.read_text().split() if record.exists() else []
    wanted = digest or (recorded[0] if recorded else None)
    found = (_download if "://" in source else _link)(source, wanted, asset)
    if not wanted:
        write_text(record, f"{found}  {asset.name}\n")
        say(f"{asset}: SHA-256 {found}, recorded in {record.name}")


def _link(source: str, wanted: str | None, asset: Path) -> str:
    path = Path(source).absolute()
    if not path.is_file():
        raise ArtifactError(f"{source}: does not exist; give the path of {asset.name}, or its URL")
    if (found := sha256(path)) != (wanted or found):
        raise ArtifactError(
            f"{source}: has SHA-256 {found}, not {_wanted(wanted, asset)}; it is another file, or a damaged one"
        )
    if not (asset.exists() and asset.samefile(path)):  # in its place already
        with atomic(asset) as temporary:
            temporary.symlink_to(path)
        say(f"{asset}: {path}")
    return found


def _wanted(digest: str, asset: Path) -> str:
    return f"{digest} (of the configuration, or of {asset.name}.sha256)"


def _download(url: str, wanted: str | None, asset: Path) -> str:
    from torch.hub import download_url_to_file

    try:
        with atomic(asset) as temporary:
            download_url_to_file(url, str(temporary), hash_prefix=wanted, progress=True)
            found = sha256(temporary)
    except (OSError, http.client.HTTPException) as error:  # urllib's are OSErrors
        reason = getattr(error, "reason", error)
        raise ArtifactError(
            f"{url}: cannot be fetched ({reason}); fetch it elsewhere, and put it where no download is needed:"
            f" {asset.absolute()}, or anywhere as the `source` of the configuration"
        ) from None
    except RuntimeError:
        wanted = _wanted(wanted, asset)
        raise ArtifactError(f"{url}: what came has not the SHA-256 {wanted}; try again, or fetch it by hand") from None
    say(f"{asset}: {url}")
    return found
