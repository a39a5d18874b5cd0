"""Published files: fetched once, checked, never altered."""

import http.client
from pathlib import Path

from eddpm.artifacts import atomic, sha256
from eddpm.errors import ArtifactError
from eddpm.runtime import say


def fetch_asset(source: str, digest: str, asset: Path) -> None:
    """Bring a file from a URL, or link to one on disk, provided that its SHA-256 is `digest` (hexadecimal)."""
    if "://" in source:
        _download(source, digest, asset)
        return
    path = Path(source).absolute()
    if not path.is_file():
        raise ArtifactError(f"{source}: does not exist; give the path of {asset.name}, or its URL")
    if (found := sha256(path)) != digest:
        raise ArtifactError(f"{source}: has SHA-256 {found}, not {digest}; it is another file, or a damaged one")
    if asset.exists() and asset.samefile(path):
        return  # in its place already
    with atomic(asset) as temporary:
        temporary.symlink_to(path)
    say(f"{asset}: {path}")


def _download(url: str, digest: str, asset: Path) -> None:
    from torch.hub import download_url_to_file

    try:
        with atomic(asset) as temporary:
            download_url_to_file(url, str(temporary), hash_prefix=digest, progress=True)
    except (OSError, http.client.HTTPException) as error:  # urllib's are OSErrors
        reason = getattr(error, "reason", error)
        raise ArtifactError(
            f"{url}: cannot be fetched ({reason}); fetch it elsewhere, and put it where no download is needed:"
            f" {asset.absolute()}, or anywhere as the `source` of the configuration"
        ) from None
    except RuntimeError:
        raise ArtifactError(f"{url}: what came has not the SHA-256 {digest}; try again, or fetch it by hand") from None
    say(f"{asset}: {url}")
