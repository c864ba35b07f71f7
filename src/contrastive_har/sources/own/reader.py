"""The recordings in files of a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.signals.sensors import Channel
from contrastive_har.sources.candidate import Candidate, NoRecordingError
from contrastive_har.sources.own.forms import refuse_other_form
from contrastive_har.sources.own.intervals import IntervalTable
from contrastive_har.sources.own.labels import Labels, spelled
from contrastive_har.sources.own.loading import Loader
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.parts import Part
from contrastive_har.sources.own.roles import (
    Kind,
    is_other_table,
    looks_like,
    refuse_ignored,
    refuse_missing_roles,
    refuse_said_twice,
)
from contrastive_har.sources.own.rows import NamedRows, edges_of, sections
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading
from contrastive_har.sources.own.tables import Table


class Reader:
    """Reads the files of a folder.

    Args:
        description: What recordings have in common.
        reading: How the files are written.
        labels: Names of activities.
        intervals: Intervals of activities.
    """

    def __init__(
        self, description: DatasetDescription, reading: Reading, labels: Labels, intervals: Sequence[IntervalTable]
    ) -> None:
        self._description, self._reading, self._labels = description, reading, labels
        self._loader = Loader(description, reading, intervals)

    def candidates(self, name: str, kinds: Sequence[Kind]) -> Iterator[Candidate]:
        """Find the recordings in files that belong together; one that cannot be read is a failed one."""
        where = kinds[0].place.where
        try:
            if len(kinds) == 1:
                yield from self._in_file(name, kinds[0])
            else:
                yield self._in_files(name, kinds)
        except Exception as error:  # noqa: BLE001 - raised again when the candidate is loaded; other files are still read
            yield Candidate.failed(name, where, error)

    def _in_file(self, name: str, kind: Kind) -> Iterator[Candidate]:
        """Find the recordings of one file: by its column ``recording``, else by its subjects and groups."""
        table = open_table(kind.place, kind.layout)
        self._check(table, kind, self._description.channels)
        done: set[str] = set()
        for section, is_last in sections(self._rows(kind, table, self._description.channels)):
            found = list(self._divide(name, section, is_only=is_last and not done))
            for own_name, rows in found:
                if own_name in done:
                    raise BadRecordingError(
                        f"{rows.part.at(0)}: recording '{own_name}' continues after others. Sort the rows by "
                        "recording, then by time."
                    )
                done.add(own_name)
            del section
            while found:
                own_name, rows = found.pop(0)
                candidate = Candidate(own_name, kind.place.where, partial(self._loader.load, own_name, [rows]))
                del rows
                yield candidate
                del candidate
        if not done:
            raise BadRecordingError(f"{kind.place.where}: a header but no rows. The file is truncated; copy it again.")

    def _divide(self, name: str, section: NamedRows, is_only: bool) -> Iterator[tuple[str, NamedRows]]:
        if "recording" in section.names:
            column = section.names["recording"]
            for code in pd.unique(column.codes):
                yield str(column.categories[code]), section.take(np.flatnonzero(column.codes == code))
            return
        edges = edges_of(section)
        if is_only and len(edges) == 2:
            yield name, section
            return
        for begin, end in pairwise(edges):
            rows = section.take(slice(begin, end))
            yield "/".join([name, *(str(names[0]) for names in rows.names.values())]), rows

    def _in_files(self, name: str, kinds: Sequence[Kind]) -> Candidate:
        """Join the files of the sensors of one recording."""
        several: list[NamedRows] = []
        seen: dict[str, str] = {}
        for kind in kinds:
            table = open_table(kind.place, kind.layout)
            channels = [one for one in self._description.channels if kind.column(one.name) in table.names]
            if not channels:
                raise BadRecordingError(
                    f"{kind.place.where}: no column of a channel; found {', '.join(map(repr, table.names))}. Correct "
                    f"'columns' in {DESCRIPTION_FILE}."
                )
            for channel in channels:
                if channel.name in seen:
                    raise BadRecordingError(
                        f"{kind.place.where}: '{channel.name}' of recording '{name}' is in {seen[channel.name]} too. "
                        f"Correct the patterns in {DESCRIPTION_FILE}."
                    )
                seen[channel.name] = kind.place.where
            self._check(table, kind, channels)
            blocks = list(self._rows(kind, table, channels))
            if not blocks:
                raise BadRecordingError(f"{kind.place.where}: a header but no rows. Copy it again.")
            if blocks[0].part.seconds is None:
                raise BadRecordingError(
                    f"{kind.place.where}: no time stamps, by which the sensors of recording '{name}' could be joined. "
                    f"Write 'timestamp: {{column: ...}}' in {DESCRIPTION_FILE}."
                )
            several.append(NamedRows.joined(blocks))
        if missing := [one for one in self._description.channel_names if one not in seen]:
            raise BadRecordingError(
                f"{kinds[0].place.where}: recording '{name}' has no file with {', '.join(map(repr, missing))}. Add "
                f"it, or correct 'columns' or 'pattern' in {DESCRIPTION_FILE}."
            )
        return Candidate(name, kinds[0].place.where, partial(self._loader.load, name, several))

    def _check(self, table: Table, kind: Kind, channels: Sequence[Channel]) -> None:
        """Look at the columns of a file.

        Raises:
            NoRecordingError: if it has none of a recording.
            BadRecordingError: if one is missing, or one that looks like a needed one is not declared.
        """
        where, names = kind.place.where, [name for name in table.names if name]
        needed = [channel.name for channel in channels]
        missing = [one for one in needed if kind.column(one) not in names]
        if len(missing) == len(needed):
            self._refuse_other_table(kind, table, missing)
        if len(channels) == len(self._description.channels):  # sensors' files need not all say whose they are
            missing = [
                *(one for one in ("subject", *self._description.groups) if kind.column(one) not in names),
                *missing,
            ]
            missing = [one for one in missing if one not in kind.values]
        if missing:
            cure = f"Rename the column, or write 'columns: {{{missing[0]}: ...}}' in {DESCRIPTION_FILE}"
            if missing[0] == "subject":
                alike = looks_like(names, "subject")
                cure += f" ('{alike[0]}' may be it)" if alike else ""
                cure += "; if the file has none, 'values: {subject: ...}' or 'pattern: \"{subject}.csv\"'"
            raise BadRecordingError(
                f"{where}: no column {', '.join(repr(kind.column(one)) for one in missing)}; found "
                f"{', '.join(map(repr, names))[:500]}. {cure}."
            )
        optional = ("timestamp", "activity") if self._reading.intervals is None else ("timestamp",)
        used = ("subject", "recording", *self._description.groups, *self._description.channel_names)
        refuse_ignored(kind, table, optional, [kind.column(role) for role in used], self._reading)
        refuse_missing_roles(kind, table)
        refuse_said_twice(kind, table, self._reading)

    @staticmethod
    def _refuse_other_table(kind: Kind, table: Table, channels: Sequence[str]) -> None:
        """Refuse a table without channels: of another delimiter, with lines before the header, or something else."""
        columns = [kind.column(one) for one in channels]
        refuse_other_form(table, columns)
        if is_other_table(kind, table, channels):
            raise NoRecordingError(
                f"{table.place.where}: passed over: no column {', '.join(map(repr, columns))}; found "
                f"{', '.join(map(repr, table.names))[:500]}. If it is a recording, write 'columns: {{{channels[0]}: "
                f"...}}' in {DESCRIPTION_FILE}."
            )

    def _rows(self, kind: Kind, table: Table, channels: Sequence[Channel]) -> Iterator[NamedRows]:
        """Read a file in blocks of rows."""
        roles = [one for one in ("recording", "subject", *self._description.groups) if one not in kind.values]
        columns = {one: kind.column(one) for one in roles if kind.column(one) in table.names}
        activity = kind.column("activity") if self._reading.intervals is None else ""
        has_activity = activity in table.names and "activity" not in kind.values
        stamps = kind.stamps_in(table.names)
        texts = [*columns.values(), *([activity] if has_activity else [])]
        constant = None
        if "activity" in kind.values:
            constant = self._labels.of(kind.values["activity"], kind.place.where)
        for block in table.blocks([kind.column(one.name) for one in channels], list(dict.fromkeys(texts)), stamps):
            rows = block.first + np.arange(len(block.numbers))
            codes = None
            if constant is not None:
                codes = np.full(len(rows), constant, np.int16)
            elif has_activity:
                codes = self._codes(block.texts[activity], table, rows)
            part = Part(kind, table, channels, rows, block.numbers, block.seconds, codes, block.are_local)
            yield NamedRows(
                part, {one: self._checked(one, block.texts[name], table, rows) for one, name in columns.items()}
            )

    def _codes(self, names: pd.Categorical, table: Table, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        known = [self._labels.codes.get(str(name)) for name in names.categories]
        unknown = np.array([code is None for code in known], bool)[names.codes]
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            self._labels.of(str(names[row]), f"{table.place.where}, row {table.line(int(rows[row]))}")
        codes = np.array([UNLABELLED if code is None else code for code in known], np.int16)
        return np.asarray(codes[names.codes])

    def _checked(self, role: str, names: pd.Categorical, table: Table, rows: NDArray[np.int64]) -> pd.Categorical:
        """Return names of subjects, recordings or groups in one spelling."""
        one_spelling = []
        for code, name in enumerate(names.categories):
            present = np.flatnonzero(names.codes == code)
            if not len(present):
                one_spelling.append("")
                continue
            try:
                one_spelling.append(spelled(role, str(name), self._reading))
            except ValueError as error:
                where = f"{table.place.where}, row {table.line(int(rows[present[0]]))}"
                raise BadRecordingError(f"{where}: '{role}' {error}.") from error
        categories, places = np.unique(one_spelling, return_inverse=True)
        return pd.Categorical.from_codes(places[names.codes].astype(np.int32), categories.astype(object))
