"""Fingerprints are of content: of data, and of what code says to the machine."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from contrastive_har.files import fingerprints, hashes
from contrastive_har.files.fingerprints import (
    CHECKSUMS,
    COMPUTING,
    SHOWING,
    code_version,
    fingerprint_folder,
    meaning_of,
)
from contrastive_har.files.hashes import FileHashes

PACKAGE = Path(fingerprints.__file__).parents[1]
NOT_COMPUTING = {
    *("joblib", "threadpoolctl", "cloudpickle", "psutil"),  # processes, threads and memory
    *("kedro", "kedro_datasets", "mlflow", "pluggy", "click", "rich"),  # what surrounds the nodes
    *("starlette", "uvicorn", "fastapi"),  # the page to label in, and the service of a model
    *(
        "pydantic",
        "omegaconf",
        "yaml",
        "tqdm",
        "requests",
        "pooch",
    ),  # settings, progress, downloads, which have checksums
    *("safetensors", "onnx", "onnxscript"),  # formats
    "distributed",  # computes what one process computes
}

SOURCE = '''"""A module."""

# A comment.
LIMIT = 3


class Thing:
    """A class."""

    def double(self, value: int) -> int:
        """Return the double."""
        return 2 * value  # twice
'''


def meaning(folder: Path, text: str, name: str = "module.py") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return meaning_of(folder / name)


def test_comments_and_docstrings_mean_nothing(tmp_path: Path) -> None:
    before = meaning(tmp_path, SOURCE)
    assert meaning(tmp_path, SOURCE.replace("# A comment.\n", "\n\n\n").replace("twice", "two times")) == before
    assert meaning(tmp_path, SOURCE.replace("A class", "Another class").replace("A module", "Other")) == before
    for old, new in (("2 *", "3 *"), ("LIMIT = 3", "LIMIT = 4"), ("double", "triple"), ("2 * value", "2 + value")):
        assert meaning(tmp_path, SOURCE.replace(old, new)) != before
    settings = meaning(tmp_path, "a: 1  # one\n", "units.yml")
    assert meaning(tmp_path, "# in g\na: 1\n", "units.yml") == settings
    assert meaning(tmp_path, "a: 2\n", "units.yml") != settings


TEXTS = {"title": "T", "citation": "C", "url": "https://example.org", "licence": "L"}


def test_texts_of_descriptions_mean_nothing(tmp_path: Path) -> None:
    entry = {"sampling_rate_hz": 50, "activities": {1: "title", "title": "walk"}}
    other = {**entry, **TEXTS, "download": ["https://example.org/a.zip"], "request": "R"}
    mine = meaning(tmp_path, yaml.safe_dump(entry), "dataset.yml")
    public = meaning(tmp_path, yaml.safe_dump({"mine": entry}), "descriptions.yml")
    assert meaning(tmp_path, "# mine\n" + yaml.safe_dump(other), "dataset.yml") == mine
    assert meaning(tmp_path, yaml.safe_dump({"mine": other}), "descriptions.yml") == public
    for changed in ({"sampling_rate_hz": 51}, {"activities": {1: "title"}}, {"activities": {1: "title", "title": ""}}):
        assert meaning(tmp_path, yaml.safe_dump(entry | changed), "dataset.yml") != mine
        assert meaning(tmp_path, yaml.safe_dump({"mine": entry | changed}), "descriptions.yml") != public
    elsewhere = [meaning(tmp_path, yaml.safe_dump(content), "units.yml") for content in (entry, other)]
    assert elsewhere[0] != elsewhere[1]


def test_editors_files_and_other_encodings_are_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE / "files", copy / "files")
    monkeypatch.setattr(fingerprints, "__file__", str(copy / "files/fingerprints.py"))

    def now(shows: bool = False) -> str:
        return code_version.__wrapped__(shows=shows)

    before, shown = now(), now(shows=True)
    (copy / "files/.#tables.py").symlink_to("somebody@somewhere.1234:5678")
    (copy / "files/broken.py").symlink_to("nowhere.py")
    assert now() == before
    (copy / "report.html.j2").write_text("{# a comment #}")
    (copy / "published.csv").write_text("a,b\n")
    assert now() == before, "only reports depend on templates and published numbers"
    assert now(shows=True) != shown
    (copy / "files/latin1.py").write_bytes("NAME = 'Zürich'\n".encode("latin-1"))
    assert now() != before


def test_every_package_that_computes_counts() -> None:
    imported: dict[str, str] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0]: path.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported[node.module.partition(".")[0]] = path.name
    foreign = imported.keys() - sys.stdlib_module_names - {PACKAGE.name} - NOT_COMPUTING
    packages = packages_distributions()
    known = {name.lower() for name in (*COMPUTING, *SHOWING)}
    counted = {name for name in foreign if known & {package.lower() for package in packages[name]}}
    assert foreign == counted, {name: imported[name] for name in foreign - counted}
    assert {"torch", "pandas", "scipy", "xgboost", "sklearn", "tokenizers", "pyarrow"} <= counted


def test_another_version_of_a_package_is_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version.__wrapped__()
    known = fingerprints.version
    monkeypatch.setattr(fingerprints, "version", lambda name: "0" if name == "matplotlib" else known(name))
    assert code_version.__wrapped__() == before
    monkeypatch.setattr(fingerprints, "version", lambda name: "0" if name == "scipy" else known(name))
    assert code_version.__wrapped__() != before


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.csv").write_text("1,2\n")
    return tmp_path / "raw"


def test_data_is_what_files_hold(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_SETTLED", -1)
    memory = tmp_path / "hashes.json"

    def now() -> str:
        return fingerprint_folder(raw, FileHashes(memory))

    file, before = raw / "a.csv", now()
    file.touch()
    assert now() == before
    restored = tmp_path / "backup.csv"
    shutil.copy2(file, restored)
    restored.replace(file)
    assert now() == before
    kept = file.stat()
    restored.write_text("1,3\n")
    os.utime(restored, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    restored.replace(file)  # as rsync does
    assert file.stat().st_mtime_ns == kept.st_mtime_ns
    changed = now()
    assert changed != before
    with file.open("r+") as opened:  # as cp -p does
        opened.write("1,2\n")
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert now() == before
    for hidden in (".~lock.a.csv#", ".archive.zip", CHECKSUMS):
        (raw / hidden).write_text("3")
        assert now() == before
    for broken in (b"", b"[]", b"\xff", b'{"x": 5}', f'{{"{file}": [1, 2]}}'.encode()):
        memory.write_bytes(broken)
        assert now() == before
    file.rename(raw / "b.csv")
    assert now() != before


def test_a_file_that_stays_is_read_once(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, read = tmp_path / "hashes.json", list[Path]()

    def compute(path: Path) -> str:
        read.append(path)
        return "hash"

    for settled, count in ((10**18, 1), (-1, 2), (-1, 2)):  # one that has just changed may change again unnoticed
        monkeypatch.setattr(hashes, "_SETTLED", settled)
        fingerprint_folder(raw, FileHashes(memory, compute))
        assert len(read) == count


def test_files_in_linked_folders_and_with_undecodable_names_count(tmp_path: Path) -> None:
    """As they are read; a link back to the folder itself ends nowhere."""
    raw, linked, memory = tmp_path / "raw", tmp_path / "linked", tmp_path / "memory.json"
    raw.mkdir()
    linked.mkdir()
    (linked / "s1.csv").write_text("1")
    (raw / "study").symlink_to(linked)
    (raw / "circle").symlink_to(raw)
    (raw / os.fsdecode(b"\xe4.csv")).write_text("1")
    found = [fingerprint_folder(raw, FileHashes(memory))]
    (linked / "s1.csv").write_text("2")
    found.append(fingerprint_folder(raw, FileHashes(memory)))
    (linked / "s2.csv").write_text("2")
    found.append(fingerprint_folder(raw, FileHashes(memory)))
    (raw / os.fsdecode(b"\xe4.csv")).rename(raw / os.fsdecode(b"\xe5.csv"))
    found.append(fingerprint_folder(raw, FileHashes(memory)))
    assert len(set(found)) == 4
    assert fingerprint_folder(raw, FileHashes(memory)) == found[-1]
