"""Fetches a public data set's official files: ``python -m contrastive_har.sources.download DATASET``."""

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
_PATIENCE = 60  # seconds without an answer


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not what it should be; the message names the cure."""


def download(dataset: str, folder: Path) -> Path:
    """Fetch a data set's archive, unless it is there, and check it.

    A broken-off download is kept beside the archive and gone on from. The publishers of these data sets state no
    checksums; the first download's is noted in ``checksums.json``, and the same file is expected ever after.

    Args:
        dataset: One of :func:`contrastive_har.sources.downloadable_sources`.
        folder: Where the archive goes.

    Raises:
        DownloadError: if the server does not answer, or the file is not the one expected.
    """
    address = describe_source(dataset).download
    if not address:
        raise DownloadError(
            f"'{dataset}' cannot be downloaded; these can: {', '.join(downloadable_sources())}. "
            "uci_har and watch come with the installation."
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = address.rsplit("/", 1)[1]
    notes = folder / CHECKSUMS
    try:
        known: dict[str, str] = dict(json.loads(notes.read_text("utf-8"))) if notes.exists() else {}
    except (ValueError, TypeError) as error:
        raise DownloadError(f"{notes}: no notes of checksums ({error}). Delete it and the old archive.") from error
    try:
        path = Path(pooch.retrieve(address, known.get(name), name, folder, downloader=_resuming(folder / f".{name}")))
    except (requests.RequestException, OSError) as error:
        raise DownloadError(f"{address}: {error}. Try again: what has arrived is kept.") from error
    except ValueError as error:
        (folder / f".{name}").unlink(missing_ok=True)
        raise DownloadError(
            f"{address} is not the file noted in {notes} ({error}). If its publisher has replaced it, delete that "
            "note and the old archive."
        ) from error
    if not zipfile.is_zipfile(path):
        path.unlink()
        raise DownloadError(
            f"{address} did not send a zip archive but, it may be, a page that says why. Open it in a browser, and put "
            f"the archive into {folder}."
        )
    with write_atomically(notes) as staged:
        staged.write_text(json.dumps({**known, name: f"sha256:{pooch.file_hash(str(path))}"}, indent=2), "utf-8")
    return path


def _resuming(part: Path) -> Any:
    """Return a downloader for pooch that keeps what has arrived in ``part`` until all of it has."""

    def fetch(address: str, output: str, _: object) -> None:
        arrived = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={arrived}-"} if arrived else {}
        with requests.get(address, headers=headers, stream=True, timeout=_PATIENCE) as answer:
            whole = answer.status_code == requests.codes.requested_range_not_satisfiable  # nothing is left to send
            if not whole:
                answer.raise_for_status()
                resumed = answer.status_code == requests.codes.partial_content
                left = int(answer.headers.get("Content-Length", 0)) or None
                arrived = arrived if resumed else 0
                total = left and arrived + left
                with (
                    part.open("ab" if resumed else "wb") as file,
                    tqdm(
                        total=total, initial=arrived, unit="B", unit_scale=True, desc=part.name[1:], disable=None
                    ) as bar,
                ):
                    for chunk in answer.iter_content(_CHUNK):
                        bar.update(file.write(chunk))
                if total and part.stat().st_size < total:
                    raise OSError(f"the connection broke off after {part.stat().st_size} of {total} bytes")
        shutil.move(part, output)

    return fetch


def main() -> None:
    """Download the data set named on the command line into ``data/01_raw``."""
    parser = argparse.ArgumentParser(prog="make data", description=__doc__)
    parser.add_argument("dataset", help=f"one of {', '.join(downloadable_sources())}")
    parser.add_argument("--folder", type=Path, help="where to put it (where the project looks for it, in data/01_raw)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        path = download(arguments.dataset, arguments.folder or Path("data/01_raw") / raw_folder(arguments.dataset))
    except (DownloadError, ValueError) as error:
        sys.exit(str(error))
    logging.getLogger(__name__).info("%s is there; it is read in place.", path)


if __name__ == "__main__":
    main()
