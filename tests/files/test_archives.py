"""Archives made to harm: entries that point outside, unpack to enormous files, or lie about themselves."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources import archive
from tests.files.formats import motion_sense_csv, opened, put_zip

ARCHIVES = [
    ("motion_sense", "A_DeviceMotion_data/wlk_7/sub_1.csv"),
    ("usc_had", "USC-HAD/Subject1/a1t1.mat"),
]


def put_nested(path: Path, inside: str, content: bytes, inner: str = "inner.zip") -> None:
    put_zip(path.with_name("made.zip"), inside, content)
    put_zip(path, inner, path.with_name("made.zip").read_bytes())
    path.with_name("made.zip").unlink()


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
@pytest.mark.parametrize("prefix", ["../", "a/../../", "/", "..\\", "C:\\", "\\\\server\\share\\", "link"])
def test_archives_that_point_outside_are_refused(dataset: str, inside: str, prefix: str, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "raw"
    folder.mkdir(parents=True)
    entry = zipfile.ZipInfo(inside if prefix == "link" else prefix + inside)
    if prefix == "link":
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    put_zip(folder / "data.zip", entry, b"../../secret")  # type: ignore[arg-type]
    before = files_below(tmp_path)
    with pytest.raises(BadRecordingError, match=r"data\.zip: its entry .* points out of the archive"):
        opened(dataset, lambda path: path)(folder)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
def test_a_file_that_unpacks_to_an_enormous_one_is_refused(
    dataset: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LARGEST", 1 << 16)
    put_zip(tmp_path / "data.zip", inside, bytes(1 << 24))
    with pytest.raises(BadRecordingError, match=r"data\.zip: .* unpacks to more than 65536 bytes"):
        opened(dataset, lambda path: path)(tmp_path)


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
@pytest.mark.parametrize(
    ("what", "local", "central", "value"),
    [
        ("encrypted", 6, 8, struct.pack("<H", 1)),
        ("an unknown compression", 8, 10, struct.pack("<H", 77)),
        ("a declared size of 4 GiB", 22, 24, struct.pack("<L", 2**32 - 2)),
        ("a compressed size of 4 GiB", 18, 20, struct.pack("<L", 2**32 - 2)),
        ("another checksum", 14, 16, b"\0\0\0\0"),
    ],
)
def test_archives_that_lie_are_refused(
    dataset: str, inside: str, what: str, local: int, central: int, value: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "data.zip"
    put_zip(path, inside, b"content" * 100)
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + local, content.index(b"PK\x01\x02") + central):
        content[start : start + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(BadRecordingError, match=r"data\.zip"):
        opened(dataset, lambda path: path)(tmp_path)


def test_an_archive_in_an_archive_is_read_where_it_is(tmp_path: Path) -> None:
    put_nested(tmp_path / "data.zip", "A_DeviceMotion_data/wlk_7/sub_1.csv", motion_sense_csv())
    before = files_below(tmp_path)
    (recording,) = opened("motion_sense", lambda path: path)(tmp_path)
    assert recording.name == "wlk_7, subject 1"
    assert files_below(tmp_path) == before
    other = motion_sense_csv().replace(b"0.1", b"0.2")
    put_nested(tmp_path / "data.zip", "A_DeviceMotion_data/wlk_8/sub_1.csv", other)
    assert [item.name for item in opened("motion_sense", lambda path: path)(tmp_path)] == ["wlk_8, subject 1"]


@pytest.mark.parametrize(
    ("inside", "content", "message"),
    [
        ("../A_DeviceMotion_data/wlk_7/sub_1.csv", b"", r"inner\.zip: its entry .* points out of the archive"),
        ("A_DeviceMotion_data/wlk_7/sub_1.csv", bytes(1 << 20), r"sub_1\.csv: unpacks to more than 65536 bytes"),
        ("A_DeviceMotion_data/wlk_7/sub_1.csv", b"oops", r"data\.zip: inner\.zip: .*sub_1\.csv: no column"),
    ],
)
def test_an_archive_in_an_archive_is_trusted_no_more(
    inside: str, content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LARGEST", 1 << 16)
    put_nested(tmp_path / "data.zip", inside, content)
    with pytest.raises(BadRecordingError, match=message):
        opened("motion_sense", lambda path: path)(tmp_path)


def test_a_broken_or_enormous_archive_in_an_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zip(tmp_path / "data.zip", "inner.zip", b"not a zip")
    with pytest.raises(BadRecordingError, match=r"data\.zip: inner\.zip: not a readable zip archive"):
        opened("motion_sense", lambda path: path)(tmp_path)
    monkeypatch.setattr(archive, "_LARGEST_ARCHIVE", 1 << 16)
    put_zip(tmp_path / "data.zip", "inner.zip", bytes(1 << 20))
    with pytest.raises(BadRecordingError, match=r"data\.zip: inner\.zip unpacks to more than 65536 bytes"):
        opened("motion_sense", lambda path: path)(tmp_path)
