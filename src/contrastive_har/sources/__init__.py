"""Sources: the official files of a public data set, or your own files, as recordings.

A source is one module with ``files(folder, description)``, which yields files that can be read independently, and one
entry in ``descriptions.yml``. Everything else (checks, rejection, duplicates) is done here for all sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module, resources
from pathlib import Path
from typing import Literal, Protocol, cast

import yaml
from pydantic import field_validator

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.engines import LOCAL, EngineSettings
from contrastive_har.signals.recordings import BadRecordingError, Recording, Recordings, Rejection
from contrastive_har.sources.candidate import Candidate, File, NoRecordingError
from contrastive_har.sources.duplicates import SeenRecordings
from contrastive_har.strict import StrictModel

OWN_DATA = "my_data"

__all__ = [
    "OWN_DATA",
    "Candidate",
    "File",
    "IngestionSettings",
    "describe_source",
    "downloadable_sources",
    "modalities_of_sources",
    "open_source",
    "raw_folder",
    "source_names",
    "texts_of",
]


class IngestionSettings(StrictModel):
    """Settings of ingestion.

    Attributes:
        dataset: One of :func:`source_names`.
        on_bad_recording: Whether a bad recording is reported and left out (``reject``) or stops the run (``fail``).
    """

    dataset: str
    on_bad_recording: Literal["reject", "fail"] = "reject"

    @field_validator("dataset")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in source_names():
            raise ValueError(f"unknown data set '{name}'; known: {', '.join(source_names())}")
        return name


class _Source(Protocol):
    def files(self, folder: Path, description: DatasetDescription) -> Iterator[File]: ...


def source_names() -> list[str]:
    """Return the names ``dataset`` may take."""
    return [*_descriptions(), OWN_DATA]


def describe_source(name: str) -> DatasetDescription:
    """Return the description of a public data set.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in _descriptions():
        raise ValueError(f"unknown data set '{name}'; known: {', '.join(_descriptions())}")
    entry = {key: value for key, value in _descriptions()[name].items() if key != "module"}
    return DatasetDescription.model_validate({"name": name, **entry})


def texts_of(dataset: str, folder: Path) -> dict[str, str]:
    """Return what only reports show of a description, as it is now.

    Args:
        dataset: Name of the data set.
        folder: Folder of its files; of a user's own, nothing is returned if their description is missing or invalid.
    """
    if dataset != OWN_DATA:
        return describe_source(dataset).texts
    from contrastive_har.sources.my_data import describe

    try:
        return describe(folder).texts
    except BadRecordingError:
        return {}


@cache
def modalities_of_sources() -> frozenset[str]:
    """Return the modalities that any public data set has."""
    return frozenset(name for source in _descriptions() for name in describe_source(source).layout(1).modalities)


def downloadable_sources() -> list[str]:
    """Return the public data sets whose files can be downloaded."""
    return [name for name in _descriptions() if describe_source(name).download]


def raw_folder(dataset: str) -> str:
    """Return the name of the folder of a data set's files, which data sets read by one module share."""
    return _module(dataset)


def open_source(folder: Path, settings: IngestionSettings, engine: EngineSettings = LOCAL) -> Recordings:
    """Open a data set; nothing but its description is read until the recordings are iterated.

    Args:
        folder: Folder of its files; it need not exist for data sets that are installed as packages.
        settings: Data set, and what happens to bad recordings.
        engine: Engine that reads the files.

    Raises:
        BadRecordingError: at once, if the description of your own data is unusable; while streaming, if
            ``on_bad_recording`` is ``fail``.
    """
    distinct: frozenset[str] | None = None
    files: Callable[[Path, DatasetDescription], Iterator[File]]
    if settings.dataset == OWN_DATA:
        from contrastive_har.sources import my_data

        description, reading = my_data.read_description(folder)
        files = partial(my_data.files, reading=reading)
        distinct = frozenset(reading.subjects.values())  # said to be different people although names are similar
    else:
        description = describe_source(settings.dataset)
        files = cast(_Source, import_module(f"{__name__}.{_module(settings.dataset)}")).files

    def stream() -> Iterator[Recording | Rejection]:
        seen = SeenRecordings(distinct)
        rejected: list[str] = []
        passed_over: list[str] = []
        accepted = 0
        for where, found in engine.map(partial(_read, description=description), files(folder, description)):
            rejection = found if isinstance(found, Rejection) else seen.reject_repetition(found, where)
            if rejection is None:
                accepted += 1
                yield found
                continue
            if rejection.passed_over:
                logging.getLogger(__name__).info("%s", rejection.reason)
                passed_over.append(rejection.reason)
                yield rejection
                continue
            if settings.on_bad_recording == "fail":
                raise BadRecordingError(rejection.reason)
            rejected.append(rejection.reason)
            yield rejection
        if settings.on_bad_recording == "fail" and not accepted and passed_over:
            raise BadRecordingError("; ".join(passed_over[:5]))
        if rejected:
            logging.getLogger(__name__).warning(
                "%d recordings left out, for reasons that recordings_summary lists. The first: %s",
                *(len(rejected), rejected[0]),
            )

    return Recordings(description, stream)


def _module(dataset: str) -> str:
    return str(_descriptions().get(dataset, {}).get("module", dataset))


def _read(file: File, description: DatasetDescription) -> Iterator[tuple[str, Recording | Rejection]]:
    """Read the recordings of a file, each with its file for messages; a bad one does not stop the others."""
    for candidate in file():
        try:
            yield candidate.where, candidate.read(description)
        except BadRecordingError as error:
            yield candidate.where, Rejection(candidate.name, str(error), isinstance(error, NoRecordingError))


@cache
def _descriptions() -> dict[str, dict[str, object]]:
    text = resources.files(__name__).joinpath("descriptions.yml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast; not in every build of PyYAML
    return cast(dict[str, dict[str, object]], yaml.load(text, loader))  # noqa: S506 - both are safe
