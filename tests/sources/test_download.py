"""Official archives are fetched with progress, gone on from when broken off, and checked ever after."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.sources import describe_source, download, downloadable_sources, source_names


def archive(name: bytes = b"recordings.bin") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(name.decode(), bytes(range(256)) * 5000)
    return content.getvalue()


CONTENT = archive()


class Server:
    """Serves CONTENT on a free loopback port; may break off, and not say which version it serves."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.break_after: int | None = None
        self.ranges: list[str | None] = []
        self.header = "ETag"
        self.shift = 0
        self.refuses = False
        self.length = ""
        self.checksums: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                version = f'"{hashlib.sha256(outer.content).hexdigest()}"'
                if self.headers.get("If-Range", version) != version:
                    asked = None
                if outer.refuses:
                    self.send_response(416)
                    self.end_headers()
                    return
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                if start >= len(outer.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(outer.content)}")
                    self.end_headers()
                    return
                rest = outer.content[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", outer.length or str(len(rest)))
                if asked:
                    first = start + outer.shift
                    self.send_header("Content-Range", f"bytes {first}-{len(outer.content) - 1}/{len(outer.content)}")
                self.send_header(outer.header, version)
                self.end_headers()
                self.wfile.write(rest[: outer.break_after])

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    address = f"http://127.0.0.1:{server.http.server_port}"
    addresses = {"usc_had": (f"{address}/data.zip",), "utd_mhad": (f"{address}/one.zip", f"{address}/two.zip")}

    def described(name: str) -> DatasetDescription:
        return describe_source(name).model_copy(update={"download": addresses[name], "checksums": server.checksums})

    monkeypatch.setattr(download, "describe_source", described)
    yield server
    server.http.shutdown()


def left_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder but that of its lock."""
    yield from (path for path in folder.iterdir() if path.name != ".lock")


def test_a_file_is_fetched_once_and_its_checksum_noted(server: Server, tmp_path: Path) -> None:
    (path,) = download.download("usc_had", tmp_path)
    assert path.read_bytes() == CONTENT
    download.download("usc_had", tmp_path)
    assert len(server.ranges) == 1
    assert sorted(file.name for file in left_in(tmp_path)) == ["checksums.json", "data.zip"]


def test_a_broken_off_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.break_after = 300_000
    with pytest.raises(download.DownloadError, match="Try again: the part received so far is kept"):
        download.download("usc_had", tmp_path)
    assert not (tmp_path / "data.zip").exists()
    server.break_after = None
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={300_000 // 2**16 * 2**16}-"]


def test_a_download_is_continued_only_if_it_is_the_same_file(server: Server, tmp_path: Path) -> None:
    server.break_after = 300_000
    with pytest.raises(download.DownloadError):
        download.download("usc_had", tmp_path)
    server.break_after, server.content = None, archive(b"newer")
    assert download.download("usc_had", tmp_path)[0].read_bytes() == server.content


def test_another_part_than_the_one_asked_for_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.break_after, server.shift = 300_000, 1
    for message in ("Try again", r"another part than the one asked for\. Try again\."):
        with pytest.raises(download.DownloadError, match=message):
            download.download("usc_had", tmp_path)
    server.break_after = None
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges[-1] is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a\r\nRange: bytes=0-", "ä".encode()])
def test_a_download_whose_version_cannot_be_read_begins_anew(server: Server, tmp_path: Path, content: bytes) -> None:
    server.break_after = 300_000
    with pytest.raises(download.DownloadError):
        download.download("usc_had", tmp_path)
    server.break_after = None
    (tmp_path / ".data.zip.version").write_bytes(content)
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_two_downloads_at_once_are_one(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: download.download("usc_had", tmp_path / "raw"), range(4)))
    assert {path.read_bytes() for paths in found for path in paths} == {CONTENT}
    assert server.ranges == [None]


def test_a_download_of_an_unknown_version_begins_anew(server: Server, tmp_path: Path) -> None:
    server.break_after, server.header = 300_000, "X-Nothing"
    with pytest.raises(download.DownloadError):
        download.download("usc_had", tmp_path)
    server.break_after = None
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_complete_download_that_was_not_checked_is_used(server: Server, tmp_path: Path) -> None:
    (path,) = download.download("usc_had", tmp_path)
    version = hashlib.sha256(CONTENT).hexdigest()
    path.rename(tmp_path / ".data.zip")
    (tmp_path / ".data.zip.version").write_text(f'"{version}"')
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT)}-"]
    path.rename(tmp_path / ".data.zip")
    (tmp_path / ".data.zip.version").write_text(f'"{version}"')
    with (tmp_path / ".data.zip").open("ab") as longer:
        longer.write(b"x")
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT
    assert sorted(file.name for file in left_in(tmp_path)) == ["checksums.json", "data.zip"]


def test_a_damaged_archive_is_neither_kept_nor_noted(server: Server, tmp_path: Path) -> None:
    damaged = bytearray(CONTENT)
    damaged[len(CONTENT) // 2] ^= 1
    server.content = bytes(damaged)
    with pytest.raises(download.DownloadError, match=r"is damaged: recordings\.bin"):
        download.download("usc_had", tmp_path)
    assert not list(left_in(tmp_path))
    server.content = CONTENT
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"notes of the user", CONTENT[:-100]])
def test_a_file_of_the_user_is_never_changed(server: Server, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(download.DownloadError, match=r"data\.zip is no zip archive .*Delete or replace it"):
        download.download("usc_had", tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == content
    (tmp_path / "data.zip").unlink()
    download.download("usc_had", tmp_path)
    (tmp_path / "data.zip").write_bytes(archive(b"mine"))
    with pytest.raises(download.DownloadError, match=r"checksum in .*delete its line in checksums\.json"):
        download.download("usc_had", tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == archive(b"mine")


@pytest.mark.parametrize("content", ["[1]", '{"data.zip": 5}', '{"data.zip": "sha256:0"}', "\xff", "{"])
def test_checksums_that_are_none_are_refused(server: Server, tmp_path: Path, content: str) -> None:
    (tmp_path / "checksums.json").write_text(content, "latin-1")
    with pytest.raises(download.DownloadError, match=r"checksums\.json: no checksums .*Delete it"):
        download.download("usc_had", tmp_path)
    (tmp_path / "checksums.json").unlink()
    download.download("usc_had", tmp_path)


@pytest.mark.parametrize("name", ["data.zip", ".data.zip", "checksums.json"])
def test_what_is_no_file_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir):
        make(tmp_path / name)
        with pytest.raises(download.DownloadError, match=rf"{name} is not a regular file\. Move it away"):
            download.download("usc_had", tmp_path)
        (tmp_path / name).rename(tmp_path / make.__name__)


def test_published_checksums_are_required(server: Server, tmp_path: Path) -> None:
    right = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    server.checksums = {"data.zip": right.replace("a", "b")}
    with pytest.raises(download.DownloadError, match="does not have the checksum in the data set's description"):
        download.download("usc_had", tmp_path)
    assert not list(left_in(tmp_path))
    server.checksums = {"data.zip": right}
    download.download("usc_had", tmp_path)
    with pytest.raises(ValueError, match=r"'checksums' has \['other.zip'\], which 'download' has not"):
        DatasetDescription.model_validate({**dict(describe_source("usc_had")), "checksums": {"other.zip": right}})


def test_another_file_than_the_first_time_is_refused(server: Server, tmp_path: Path) -> None:
    (path,) = download.download("usc_had", tmp_path)
    path.unlink()
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(download.DownloadError, match=r"does not have the checksum in .*checksums\.json"):
        download.download("usc_had", tmp_path)
    assert not path.exists()


def test_a_page_instead_of_the_archive_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>Please log in.</html>"
    with pytest.raises(download.DownloadError, match=r"is no zip archive .* put the archive into"):
        download.download("usc_had", tmp_path)
    assert not list(left_in(tmp_path))
    server.content = CONTENT
    assert download.download("usc_had", tmp_path)[0].read_bytes() == CONTENT


def test_each_of_several_archives_is_fetched_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        paths = download.download("utd_mhad", tmp_path)
        assert paths == [tmp_path / "one.zip", tmp_path / "two.zip"]
        assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT]
    assert len(server.ranges) == 2
    assert set(json.loads((tmp_path / "checksums.json").read_text())) == {"one.zip", "two.zip"}
    paths[1].unlink()
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(download.DownloadError, match=r"two\.zip does not have the checksum"):
        download.download("utd_mhad", tmp_path)
    assert paths[0].read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ()), ("http://a/b.zip", ("http://a/b.zip",)), (["https://a", "http://b"], ("https://a", "http://b"))],
)
def test_a_description_has_one_address_or_several(given: object, expected: tuple[str, ...]) -> None:
    description = DatasetDescription.model_validate({**dict(describe_source("usc_had")), "download": given})
    assert description.download == expected
    assert DatasetDescription.model_validate_json(description.model_dump_json()) == description


def test_what_cannot_be_downloaded_is_said(tmp_path: Path) -> None:
    assert set(source_names()) - set(downloadable_sources()) == {"uci_har", "watch", "mmact", "my_data"}
    with pytest.raises(download.DownloadError, match="'uci_har' cannot be downloaded; these can: motion_sense"):
        download.download("uci_har", tmp_path)
    with pytest.raises(download.DownloadError, match=r"'mmact' cannot be downloaded. Request .* at https://mmact19"):
        download.download("mmact", tmp_path)
    with pytest.raises(ValueError, match="unknown data set 'nope'"):
        download.download("nope", tmp_path)


def test_a_server_that_refuses_every_range_ends_the_download(server: Server, tmp_path: Path) -> None:
    server.break_after = len(CONTENT) // 2
    with pytest.raises(download.DownloadError, match="Connection broken"):
        download.download("usc_had", tmp_path)
    server.refuses, server.ranges = True, []
    with pytest.raises(download.DownloadError, match=r"data\.zip: 416 .*Try again"):
        download.download("usc_had", tmp_path)
    assert len(server.ranges) == 2, "with the range, then without"


def test_a_length_that_is_no_number_is_passed_over(server: Server, tmp_path: Path) -> None:
    server.length = "abc"
    (path,) = download.download("usc_had", tmp_path)
    assert path.read_bytes() == CONTENT
