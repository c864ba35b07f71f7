"""Downloads the official files of a public data set: ``python -m contrastive_har.sources.download DATASET``."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm.auto import tqdm

from contrastive_har.files.atomic import write_atomically
from contrastive_har.sources import describe_source, downloadable_sources, raw_folder

CHECKSUMS = "checksums.json"
_CHUNK = 1 << 16
_TIMEOUT = 60  # seconds without a response


class DownloadError(RuntimeError):
    """A file could not be downloaded, or is not the expected one; the message names the cure."""


def download(dataset: str, folder: Path) -> list[Path]:
    """Download the archives of a data set, unless they exist, and check them.

    An interrupted download is kept beside the archives and continued. The publishers of these data sets state no
    checksums: that of the first download is stored in ``checksums.json`` and expected of later ones.

    Args:
        dataset: One of :func:`contrastive_har.sources.downloadable_sources`.
        folder: Folder to put the archives into.

    Returns:
        The archives, in the order of the description.

    Raises:
        DownloadError: if the server does not respond, or the file is not the expected one.
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
    return [_download_archive(address, folder) for address in description.download]


def _download_archive(address: str, folder: Path) -> Path:
    name = address.rsplit("/", 1)[1]
    checksum_file = folder / CHECKSUMS
    try:
        checksums: dict[str, str] = dict(json.loads(checksum_file.read_text("utf-8"))) if checksum_file.exists() else {}
    except (ValueError, TypeError) as error:
        raise DownloadError(f"{checksum_file}: no checksums ({error}). Delete it and the old archive.") from error
    try:
        downloader = _resuming(folder / f".{name}")
        path = Path(pooch.retrieve(address, checksums.get(name), name, folder, downloader=downloader))
    except (requests.RequestException, OSError) as error:
        raise DownloadError(f"{address}: {error}. Try again: the part received so far is kept.") from error
    except ValueError as error:
        (folder / f".{name}").unlink(missing_ok=True)
        raise DownloadError(
            f"{address} does not have the checksum in {checksum_file} ({error}). If its publisher has replaced it, "
            "delete that checksum and the old archive."
        ) from error
    if not zipfile.is_zipfile(path):
        path.unlink()
        raise DownloadError(
            f"{address} did not send a zip archive but possibly a page with the reason. Open it in a browser, and "
            f"put the archive into {folder}."
        )
    with write_atomically(checksum_file) as staged:
        staged.write_text(json.dumps({**checksums, name: f"sha256:{pooch.file_hash(str(path))}"}, indent=2), "utf-8")
    return path


def _resuming(part: Path) -> Any:
    """Return a downloader for pooch that keeps an incomplete download in ``part`` and continues it."""

    def fetch(address: str, output: str, _: object) -> None:
        received = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={received}-"} if received else {}
        with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            complete = response.status_code == requests.codes.requested_range_not_satisfiable  # already complete
            if not complete:
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                remaining = int(response.headers.get("Content-Length", 0)) or None
                received = received if resumed else 0
                total = remaining and received + remaining
                with (
                    part.open("ab" if resumed else "wb") as file,
                    tqdm(
                        total=total, initial=received, unit="B", unit_scale=True, desc=part.name[1:], disable=None
                    ) as bar,
                ):
                    for chunk in response.iter_content(_CHUNK):
                        bar.update(file.write(chunk))
                if total and part.stat().st_size < total:
                    raise OSError(f"the connection was interrupted after {part.stat().st_size} of {total} bytes")
        shutil.move(part, output)

    return fetch


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
