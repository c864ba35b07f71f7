"""Downloads the official files of a public data set: ``python -m contrastive_har.sources.download DATASET``."""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import zipfile
from pathlib import Path
from typing import Annotated

import requests
from pydantic import Field, TypeAdapter, ValidationError
from tqdm.auto import tqdm

from contrastive_har.files.atomic import sync, write_atomically
from contrastive_har.files.fingerprints import CHECKSUMS
from contrastive_har.files.locks import locked
from contrastive_har.files.stamps import explain
from contrastive_har.sources import describe_source, downloadable_sources, raw_folder

_CHUNK = 1 << 16
_TIMEOUT = 60  # seconds without a response
_CHECKSUMS: TypeAdapter[dict[str, str]] = TypeAdapter(
    dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]]
)


class DownloadError(RuntimeError):
    """A file could not be downloaded, or is not the expected one; the message names the cure."""


def download(dataset: str, folder: Path) -> list[Path]:
    """Download the archives of a data set, unless they exist, and check them.

    An archive must have the checksum in the data set's description, or else the one that was noted in
    ``checksums.json`` when it was seen first; then all files in it are tested. A download is moved to its place when it
    has been checked. Until then it is kept beside it, and continued if the server still has the same file. Files that
    are in their place are never changed or deleted.

    Args:
        dataset: One of :func:`contrastive_har.sources.downloadable_sources`.
        folder: Folder to put the archives into.

    Returns:
        The archives, in the order of the description.

    Raises:
        DownloadError: if the server does not respond, or a file is not the expected one.
    """
    description = describe_source(dataset)
    if description.request:
        raise DownloadError(f"'{dataset}' cannot be downloaded. Request {description.request} at {description.url}.")
    if not description.download:
        raise DownloadError(
            f"'{dataset}' cannot be downloaded; these can: {', '.join(downloadable_sources())}. "
            "uci_har and watch come with the installation."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):  # another download of the same waits, and finds it there
        return [_provide(address, folder, description.checksums) for address in description.download]


def _provide(address: str, folder: Path, published: dict[str, str]) -> Path:
    """Return the path of an archive, which is downloaded if it is not there."""
    name = address.rsplit("/", 1)[1]
    path, part = folder / name, folder / f".{name}"
    for existing in (path, part, folder / CHECKSUMS):
        if existing.exists() and not existing.is_file():
            raise DownloadError(f"{existing} is not a regular file. Move it away.")
    noted = _read_checksums(folder / CHECKSUMS)
    expected = published.get(name) or noted.get(name)
    where = "the data set's description" if name in published else str(folder / CHECKSUMS)
    is_there = path.exists()
    if not is_there:
        _fetch(address, part)
    found = _checksum(path if is_there else part)
    fault = None
    if expected and found != expected:
        fault = f"does not have the checksum in {where}"
    elif not expected:
        fault = _find_fault(path if is_there else part)
    if fault and is_there:
        raise DownloadError(
            f"{path} {fault}. Delete or replace it and run again{'' if name in published else _IF_REPLACED}."
        )
    if fault:
        _discard(part)
        raise DownloadError(
            f"{address} {fault}. It may have sent a page with a reason, or a damaged file: run again, or open it in a "
            f"browser and put the archive into {folder}{_IF_REPLACED if name in noted else ''}."
        )
    if not is_there:
        part.replace(path)
        _discard(part)
    if name not in noted:
        with write_atomically(folder / CHECKSUMS) as staged:
            staged.write_bytes(_CHECKSUMS.dump_json({**noted, name: found}, indent=2))
    return path


_IF_REPLACED = f"; if its publisher has replaced it, delete its line in {CHECKSUMS}"


def _read_checksums(path: Path) -> dict[str, str]:
    try:
        return _CHECKSUMS.validate_json(path.read_bytes()) if path.exists() else {}
    except (OSError, ValidationError) as error:
        raise DownloadError(f"{path}: no checksums ({explain(error)}). Delete it; they are noted again.") from error


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise DownloadError(f"{path}: cannot be read ({explain(error)}). Move it away.") from error


def _find_fault(path: Path) -> str | None:
    """Return what is wrong with an archive, after reading all of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # noqa: BLE001 - the errors of damaged archives are not documented
        return f"is no zip archive that can be read ({explain(error)})"
    return f"is damaged: {damaged} has another checksum than the archive says" if damaged else None


def _fetch(address: str, part: Path) -> None:
    """Download a file to ``part``, or the rest of it, if the server has the same file as when it was begun.

    Raises:
        DownloadError: if that fails; the part received so far is kept.
    """
    identity = _noted_version(part)
    received = part.stat().st_size if part.exists() and identity else 0
    headers = {"Accept-Encoding": "identity"}
    if received:
        headers |= {"Range": f"bytes={received}-", "If-Range": identity}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if received and response.status_code == requests.codes.requested_range_not_satisfiable:
                if response.headers.get("Content-Range") != f"bytes */{received}":  # else all was received
                    _discard(part)
                    _fetch(address, part)
                return
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                received = 0
                _note_version(response, part)
            _receive(response, part, received)
    except (requests.RequestException, OSError) as error:
        kept = ": the part received so far is kept" if part.exists() else ""
        raise DownloadError(f"{address}: {error}. Try again{kept}.") from error


def _version_of(part: Path) -> Path:
    """Return the file that says of which version on the server a part is."""
    return part.with_name(f"{part.name}.version")


def _noted_version(part: Path) -> str:
    """Return what identifies the file on the server that a part is of; empty if it is not known."""
    try:
        identity = _version_of(part).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return identity if identity.isascii() and identity.isprintable() else ""


def _note_version(response: requests.Response, part: Path) -> None:
    """Note what identifies the file on the server; without it, an interrupted download begins anew."""
    version = _version_of(part)
    tag = response.headers.get("ETag", "")
    identity = tag if tag.startswith('"') else response.headers.get("Last-Modified")  # other tags are weak
    version.unlink(missing_ok=True)
    if identity:
        version.write_text(identity, "utf-8")


def _receive(response: requests.Response, part: Path, received: int) -> None:
    """Append the content of a response to the first ``received`` bytes of ``part``."""
    if received and not response.headers.get("Content-Range", "").startswith(f"bytes {received}-"):
        _discard(part)
        raise OSError("the server sent another part than the one asked for")
    length = response.headers.get("Content-Length", "")
    remaining = (int(length) if length.isascii() and length.isdigit() else 0) or None
    total = remaining and received + remaining
    with (
        part.open("ab" if received else "wb") as file,
        tqdm(total=total, initial=received, unit="B", unit_scale=True, desc=part.name[1:], disable=None) as bar,
    ):
        for chunk in response.iter_content(_CHUNK):
            bar.update(file.write(chunk))
    sync(part)
    if total and part.stat().st_size < total:
        raise OSError(f"the connection was interrupted after {part.stat().st_size} of {total} bytes")


def _discard(part: Path) -> None:
    for path in (part, _version_of(part)):
        path.unlink(missing_ok=True)


def main() -> None:
    """Download the data set named on the command line into ``data/01_raw``."""
    parser = argparse.ArgumentParser(prog="make data", description=__doc__)
    parser.add_argument("dataset", help=f"one of {', '.join(downloadable_sources())}")
    parser.add_argument("--folder", type=Path, help="folder of the archives (default: in data/01_raw)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        paths = download(arguments.dataset, arguments.folder or Path("data/01_raw") / raw_folder(arguments.dataset))
    except (DownloadError, ValueError) as error:
        sys.exit(str(error))
    for path in paths:
        logging.getLogger(__name__).info("%s is complete; it is read in place.", path)


if __name__ == "__main__":
    main()
