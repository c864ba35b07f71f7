"""Unlabelled recordings: files of any length, read in pieces as training data are, in the units of a model.

Needed are the channels of the model, by name, and time stamps or a sampling rate. A ``dataset.yml`` beside the files
says how they are written, as for training data (docs/your_data.md): where columns have other names, which units they
have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contrastive_har.files.stamps import explain
from contrastive_har.signals.arrays import edges
from contrastive_har.signals.recordings import BadRecordingError, Piece, Rejection
from contrastive_har.signals.sensors import Channel, channels_from_modalities
from contrastive_har.signals.units import factor
from contrastive_har.sources.candidate import NoRecordingError
from contrastive_har.sources.duplicates import same_name
from contrastive_har.sources.own.description_files import divide, read_description_file, refuse_misnamed
from contrastive_har.sources.own.forms import refuse_other_form
from contrastive_har.sources.own.joining import join
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.parts import LOOKED_AT, Part, factors_of
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.regular import measured_rate
from contrastive_har.sources.own.roles import (
    Kind,
    groups_of,
    is_other_table,
    kinds_of,
    refuse_ignored,
    refuse_missing_roles,
)
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading
from contrastive_har.sources.own.tables import Block, Table
from contrastive_har.use.streams import Expected, Stream, warn


class _Description(BaseModel):
    """The part of ``dataset.yml`` that unlabelled recordings need beside how files are written."""

    model_config = ConfigDict(extra="ignore")

    sampling_rate_hz: float | None = Field(default=None, gt=0)
    channels: tuple[Channel, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _expand_modalities(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("modalities"), dict):
            return {**values, "channels": channels_from_modalities(values["modalities"])}
        return values


def columns_of(path: Path, channels: Sequence[str]) -> set[str]:
    """Return which channels a file has, or all files of a folder that have any.

    Raises:
        BadRecordingError: if there is no file, or ``dataset.yml`` is invalid.
    """
    reading, _ = _describe(path.parent if path.is_file() else path)
    common = set(channels)
    for _, kinds in _found(path, reading, channels)[0]:
        found: set[str] = set()
        for kind in kinds:
            found.update(kind.channels_in(kind.names, channels))
        common &= found or common
    return common


def open_new_recordings(
    path: Path,
    channels: Sequence[Channel],
    model_hz: float,
    longest_gap: float,
    typical: NDArray[np.float64] | None = None,
) -> Iterator[Piece | Rejection]:
    """Read a file, or all files of a folder in the order of their names, in pieces.

    A file that cannot be used is a rejection, and the others go on. Pieces of it may come before.

    Args:
        path: The file or folder.
        channels: Channels to read, in this order and in these units.
        model_hz: Rate that the model learned from.
        longest_gap: Seconds without samples that are interpolated.
        typical: Samples as the model knows them (samples, channels); of channels whose unit is not known, those far
            from all of them are impossible.

    Raises:
        BadRecordingError: if there is no file, if the only one cannot be used, or ``dataset.yml`` is invalid; the
            message names file, row and cure.
    """
    folder = path.parent if path.is_file() else path
    reading, description = _describe(folder)
    groups, passed_over = _found(path, reading, [channel.name for channel in channels])
    for other in passed_over:
        yield Rejection(other.name, f"{folder / other.name}: passed over: {other.reason}.", passed_over=True)
    if not groups:
        raise BadRecordingError(f"{path}: no CSV or Parquet file. Put your recordings there; see docs/use.md.")
    expected = Expected(description.sampling_rate_hz, model_hz, longest_gap, reading, typical)
    reader = _Reader(channels, expected, description, folder)
    files: dict[str, Path] = {}  # by recording
    for name, kinds in groups:
        try:
            for piece in reader.read(name, kinds[0]) if len(kinds) == 1 else reader.join(name, kinds):
                _refuse_same_name(piece, files)
                yield piece
        except MemoryError:
            raise
        except Exception as error:  # damaged files cause errors that their readers do not document
            known = isinstance(error, BadRecordingError)
            files = {name: file for name, file in files.items() if file != Path(kinds[0].place.where)}
            reason = str(error) if known else f"{kinds[0].place.where}: cannot be read ({explain(error)}). Correct it."
            if len(groups) == 1:
                raise BadRecordingError(reason) from error
            yield Rejection(name, reason, isinstance(error, NoRecordingError), Path(kinds[0].place.where))


def _refuse_same_name(piece: Piece, files: dict[str, Path]) -> None:
    if (other := files.setdefault(piece.recording, piece.file)) != piece.file:
        raise same_name(piece.recording, str(piece.file), str(other))


def _describe(folder: Path) -> tuple[Reading, _Description]:
    path = folder / DESCRIPTION_FILE
    refuse_misnamed(folder)
    if not path.exists():
        return Reading(), _Description()
    reading, content = divide(read_description_file(folder), path)
    try:
        return reading, _Description.model_validate(content)
    except ValidationError as error:
        raise BadRecordingError(f"{path}: {explain(error)}. See docs/use.md.") from error


def _found(
    path: Path, reading: Reading, channels: Sequence[str]
) -> tuple[list[tuple[str, list[Kind]]], list[PassedOver]]:
    places = find_places(path)
    passed_over = [one for one in places if isinstance(one, PassedOver)]
    kinds, others = kinds_of((one for one in places if isinstance(one, Place)), reading)
    passed_over += [PassedOver(place.name, "no recording") for place, _ in others]
    return groups_of(kinds, channels), passed_over


class _Reader:
    """Reads files in the units of a model."""

    def __init__(
        self,
        channels: Sequence[Channel],
        expected: Expected,
        description: _Description,
        folder: Path,
    ) -> None:
        self.channels, self._expected = channels, expected
        units = {channel.name: channel.unit for channel in description.channels}
        self._units = [units.get(channel.name, channel.unit) for channel in channels]
        for channel, unit in zip(channels, self._units, strict=True):
            try:
                factor(unit, channel.unit)
            except ValueError as error:
                raise BadRecordingError(
                    f"{folder / DESCRIPTION_FILE}: channel '{channel.name}' is in {unit}, the model expects "
                    f"{channel.unit}. Convert the recordings."
                ) from error

    def factors(self, kind: Kind, channels: Sequence[Channel]) -> NDArray[np.float64]:
        """Return what samples of a file are multiplied with to be in the units of the model, (channels,)."""
        own = [channel.model_copy(update={"unit": self._unit(channel)}) for channel in channels]
        described = factors_of(kind, own, kind.place.where)
        return described * [factor(self._unit(channel), channel.unit) for channel in channels]

    def _unit(self, channel: Channel) -> str:
        return self._units[[one.name for one in self.channels].index(channel.name)]

    def read(self, name: str, kind: Kind) -> Iterator[Piece]:
        """Read the recordings of one file, a block of rows at a time.

        Args:
            name: Name of its recording, if it says no other.
            kind: The file.
        """
        table = open_table(kind.place, kind.layout)
        self._check(table, kind, self.channels)
        column, stamps = kind.column("recording"), kind.stamps_in(table.names)
        if stamps is None and self._expected.rate is None:
            raise BadRecordingError(
                f"{kind.place.where}: no column '{kind.column('timestamp')}', and no {DESCRIPTION_FILE} beside it with "
                "sampling_rate_hz, so its sampling rate is unknown. Add either."
            )
        texts = [column] if column in table.names and "recording" not in kind.values else []
        factors = self.factors(kind, self.channels)
        current: Stream | None = None
        done: set[str] = set()
        for block in table.blocks([kind.column(channel.name) for channel in self.channels], texts, stamps):
            for own_name, part in _by_recording(block, texts, name):
                if current is None or current.name != own_name:
                    if current is not None:
                        yield from current.finish()
                        done.add(current.name)
                    if own_name in done:
                        raise BadRecordingError(
                            f"{kind.place.where}, row {table.line(part.first)}: recording '{own_name}' continues after "
                            "others. Sort the rows by recording, then by time."
                        )
                    current = Stream(own_name, kind, table, self.channels, factors, self._expected)
                yield from current.push(part)
        if current is None:
            raise BadRecordingError(f"{kind.place.where}: no samples. The file is empty or truncated; copy it again.")
        yield from current.finish()

    def join(self, name: str, kinds: Sequence[Kind]) -> Iterator[Piece]:
        """Read the files of the sensors of one recording, which are in memory as a whole, and put them on one clock."""
        parts: list[Part] = []
        order: list[str] = []
        for kind in kinds:
            table = open_table(kind.place, kind.layout)
            names = kind.channels_in(table.names, [one.name for one in self.channels if one.name not in order])
            if not names and kind.channels_in(table.names, [one.name for one in self.channels]):
                raise BadRecordingError(
                    f"{kind.place.where}: its channels are in another file of recording '{name}' too. Correct the "
                    f"patterns in {DESCRIPTION_FILE}."
                )
            if names:
                parts.append(self._part(table, kind, [one for one in self.channels if one.name in names]))
                order += names
        if missing := [one.name for one in self.channels if one.name not in order]:
            raise BadRecordingError(
                f"{kinds[0].place.where}: recording '{name}' has no file with {', '.join(map(repr, missing))}. Add it."
            )
        found = [measured_rate(np.unique(part.seconds[:LOOKED_AT])) for part in parts if part.seconds is not None]
        rate = self._expected.rate or max((one for one in found if one), default=self._expected.model_hz)
        counts: Counter[str] = Counter()
        reading = self._expected.reading.model_copy(update={"longest_gap": self._expected.longest_gap})
        joined = join(parts, rate, reading, counts).regular
        warn(kinds[0].place.where, name, [f"{count} {what}" for what, count in (+counts).items()])
        samples = joined.samples[:, [order.index(channel.name) for channel in self.channels]]
        yield Piece(name, Path(kinds[0].place.where), 1, joined.clock / rate, samples, rate)

    def _part(self, table: Table, kind: Kind, channels: Sequence[Channel]) -> Part:
        """Read the rows of one sensor, in the units of the model."""
        self._check(table, kind, channels)
        stamps = kind.stamps_in(table.names)
        if stamps is None:
            raise BadRecordingError(
                f"{kind.place.where}: no time stamps, by which the sensors could be joined. Write 'timestamp: "
                f"{{column: ...}}' in {DESCRIPTION_FILE}."
            )
        blocks = list(table.blocks([kind.column(channel.name) for channel in channels], [], stamps))
        if not blocks:
            raise BadRecordingError(f"{kind.place.where}: no samples. The file is empty or truncated; copy it again.")
        seconds = np.concatenate([block.seconds for block in blocks if block.seconds is not None])
        numbers = np.concatenate([block.numbers for block in blocks]) * self.factors(kind, channels)
        plain = replace(kind, layout=kind.layout.model_copy(update={"units": {}}))  # they are converted
        return Part(plain, table, channels, np.arange(len(seconds)), numbers, seconds, None, blocks[0].are_local)

    def _check(self, table: Table, kind: Kind, channels: Sequence[Channel]) -> None:
        missing = [one.name for one in channels if kind.column(one.name) not in table.names]
        if missing:
            message = (
                f"{kind.place.where}: no column {', '.join(map(repr, missing))}. The model needs "
                f"{', '.join(channel.name for channel in channels)}; found {', '.join(map(repr, table.names))[:500]}."
            )
            if len(missing) == len(channels):
                refuse_other_form(table, [kind.column(one) for one in missing])
                if is_other_table(kind, table, missing):
                    raise NoRecordingError(message)
            raise BadRecordingError(
                f"{message} Write 'columns: {{{missing[0]}: ...}}' in a {DESCRIPTION_FILE} beside it."
            )
        refuse_missing_roles(kind, table)
        used = [kind.column(role) for role in ("recording", *(one.name for one in channels))]
        refuse_ignored(kind, table, ["timestamp"], used, self._expected.reading)


def _by_recording(block: Block, texts: Sequence[str], name: str) -> Iterator[tuple[str, Block]]:
    """Divide a block of rows into the recordings that follow one another in it."""
    if not texts:
        yield name, block
        return
    names = block.texts[texts[0]]
    for begin, end in pairwise(edges(np.diff(names.codes) != 0, len(names))):
        seconds = None if block.seconds is None else block.seconds[begin:end]
        yield str(names[begin]), Block(block.first + begin, block.numbers[begin:end], {}, seconds, block.are_local)
