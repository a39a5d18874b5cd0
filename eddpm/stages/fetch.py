"""Published files: fetched once, checked, never altered."""

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from tqdm import tqdm

from eddpm.config.assets import ADDRESSES
from eddpm.config.spaces import Download
from eddpm.errors import ArtifactError, reason_of
from eddpm.io.filekinds import HEAD, impostor, refuse_impostor, unreadable
from eddpm.io.files import atomic, sha256, write_text
from eddpm.io.log import progress
from eddpm.io.names import masked

logger = logging.getLogger(__name__)

TIMEOUT = 60  # seconds to connect, and between one piece of the file and the next
PAUSES = (1, 3, 10, None)  # seconds after each attempt
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # answers of HTTP that another attempt may change


def fetch_asset(
    source: Annotated[str, {"type": os.path.expanduser}, "a URL, or a path"],
    digest: Annotated[str | None, "SHA-256; named without a value: that of the first file to come"],
    asset: Path,
    record: Annotated[Path | None, "where the SHA-256 of the first file is recorded (ASSET.sha256)"] = None,
) -> None:
    """Bring a file from a URL, or link to one on disk, provided that its SHA-256 is `digest` (hexadecimal).

    In place of an address with secrets comes its label, as of `Asset`, with the address in the environment.
    A web page, a Git LFS pointer, text or nothing in its place is refused and never recorded.
    Without a digest, the first file to come is taken, and its SHA-256 recorded in `record` (None: beside it), in the
    format of sha256sum: a later fetch with that record gives the same file or an error.
    """
    source = json.loads(os.environ.get(ADDRESSES, "{}")).get(source, source)
    record = record or asset.with_name(f"{asset.name}.sha256")
    recorded = _recorded(record) if digest is None else None
    wanted = recorded or digest

    def check(found: str) -> None:
        remedy = f"bring that file, or delete {record} to take this one" if recorded else "try again, or bring it"
        _refuse_other(source, found, wanted, remedy)

    if "://" in source:
        found = _download(source, asset, check, bool(wanted), "or anywhere as the `source` of the configuration")
    else:
        found = _link(source, asset, check)
    if not wanted:
        write_text(record, f"{found}  {asset.name}\n")
        logger.info(f"{asset}: SHA-256 {found}, recorded in {record.name}")


def fetch_published(download: Download, folder: Path, otherwise: str) -> Path:
    """Bring a published file into a folder, checked. The error without a network ends with the way out `otherwise`."""
    path = folder / download.file

    def check(found: str) -> None:
        _refuse_other(download.source, found, download.sha256, "try again, or bring it")

    logger.info(f"{path}: is fetched from {download.source}")
    _download(download.source, path, check, True, otherwise)
    logger.info(f"{path}: SHA-256 {download.sha256}, as published")
    return path


def _refuse_other(source: str, found: str, wanted: str | None, remedy: str) -> None:
    if found != (wanted or found):
        raise ArtifactError(
            f"{masked(source)}: has SHA-256 {found}, not {wanted}; it is another file, or damaged: {remedy}"
        )


def _recorded(record: Path) -> str | None:
    """The SHA-256 in a record, if there is one. ArtifactError where something else is."""
    if not record.exists():
        return None
    if reason := unreadable(record, HEAD):
        raise ArtifactError(f"{record}: {reason}")
    found = record.read_text(encoding="utf-8", errors="replace").split()
    if found and not re.fullmatch("[0-9a-f]{64}", found[0]):
        raise ArtifactError(f"{record}: holds no SHA-256; write what `sha256sum` prints of the right file into it")
    return found[0] if found else None


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


def _download(url: str, asset: Path, check: Callable[[str], None], is_known: bool, otherwise: str) -> str:
    shown_url = masked(url)
    try:
        with atomic(asset) as temporary:
            if url.startswith("file://"):
                path = Path(url2pathname(urlsplit(url).path))
                if reason := unreadable(path):
                    raise ArtifactError(f"{shown_url}: {reason}")
                shutil.copyfile(path, temporary)
            else:
                _receive(url, temporary, is_known)
            with open(temporary, "rb") as file:
                if reason := impostor(file.read(HEAD)):
                    # Hugging Face's page about a file has nearly the file's address.
                    remedy = "; write /resolve/ in place of /blob/" if "/blob/" in url else ""
                    raise ArtifactError(f"{shown_url}: {reason}{remedy}")
            check(found := sha256(temporary))
    except (OSError, ValueError) as error:  # those of requests, and of addresses that are none
        raise ArtifactError(
            f"{shown_url}: cannot be fetched ({_cause(error)}); fetch it elsewhere, and put it where no download is"
            f" needed: {asset.absolute()}, {otherwise}"
        ) from None
    logger.info(f"{asset}: {shown_url}")
    return found


def _receive(url: str, path: Path, is_known: bool) -> None:
    """Write the answer to a file. After a break the next attempt asks for the rest of the same version alone.

    The end of a file must be announced unless its SHA-256 `is_known`: without, a part would look whole.
    """
    version = None
    with open(path, "wb") as file, progress(unit="B", unit_scale=True, desc=path.name) as bar:
        for pause in PAUSES:
            headers = {"Accept-Encoding": "identity"}  # the bytes of the file as they are
            if version:
                headers |= {"Range": f"bytes={file.tell()}-", "If-Range": version}
            try:
                with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                    response.raise_for_status()
                    version = response.headers.get("ETag")
                    _refuse_other_answer(response, file.tell() if "Range" in headers else 0, is_known)
                    if response.status_code != requests.codes.partial_content:
                        file.seek(0)
                        file.truncate()
                    return _write_body(response, file, bar)
            except requests.RequestException as error:
                refused = error.response is not None and error.response.status_code not in TEMPORARY
                no_address = isinstance(error, ValueError)
                if refused or no_address or pause is None:
                    raise
                logger.info(f"{masked(url)}: {_cause(error)}; another attempt in {pause} s")
                time.sleep(pause)


def _refuse_other_answer(response: requests.Response, start: int, is_known: bool) -> None:
    """Raises RequestException where an answer is not the bytes of the file from `start`, or has no end to check."""
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise requests.exceptions.InvalidHeader(f"it comes packed as {encoding}, which was not asked for")
    is_part = response.status_code == requests.codes.partial_content
    if is_part and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise requests.ConnectionError("another part of the file came than was asked for")
    has_end = _announced(response) is not None or response.headers.get("Transfer-Encoding") == "chunked"
    if not (has_end or is_known):
        raise requests.exceptions.InvalidHeader(
            "its length is not announced; give its SHA-256, which tells that it is whole"
        )


def _announced(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _write_body(response: requests.Response, file: BinaryIO, bar: tqdm) -> None:
    """Raises RequestException where fewer bytes come than were announced: urllib3 counts them."""
    start = file.tell()
    announced = _announced(response) or 0
    bar.reset(start + announced if announced else None)
    bar.update(start)
    for piece in response.iter_content(2**16):
        file.write(piece)
        bar.update(len(piece))


def _cause(error: BaseException) -> str:
    """The first of a chain of errors: the network's own, without the libraries' words around it."""
    while error.__context__ is not None:
        error = error.__context__
    return masked(reason_of(error))
