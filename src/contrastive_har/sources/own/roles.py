"""Which column of a file is what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise

import yaml

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, FileLayout, Reading, Timestamp, quoted
from contrastive_har.sources.own.tables import Table
from contrastive_har.sources.own.times import are_numbers, is_date, is_value

_FEWEST = 20  # rows by which columns are judged
_KINDS, _LONGEST = 10, 50  # names of sensors that may alternate, and letters of a name
_OFTEN = 0.25  # share of rows that differ from the one before where they alternate
_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]|\{.*?\}")


@dataclass(frozen=True)
class Kind:
    """A file, and how it is written.

    Attributes:
        place: The file.
        layout: How it is written.
        fields: Values that its name has, by the pattern of the layout.
    """

    place: Place
    layout: FileLayout
    fields: Mapping[str, str]

    @property
    def values(self) -> dict[str, str]:
        """Values of what the file has no column for."""
        return {**self.layout.values, **self.fields}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; none if the file cannot be read, which is said when its rows are."""
        try:
            return tuple(open_table(self.place, self.layout).names)
        except BadRecordingError:
            return ()

    def column(self, role: str) -> str:
        """Return the name of the column of a role or a channel, if the file has it."""
        if role == "timestamp" and role not in self.layout.columns:
            return self.layout.timestamp.column
        return self.layout.columns.get(role, role)

    def stamps_in(self, names: Collection[str]) -> Timestamp | None:
        """Return how time stamps are written and in which column; None if it is not among ``names``."""
        column = self.column("timestamp")
        return self.layout.timestamp.model_copy(update={"column": column}) if column in names else None

    def channels_in(self, names: Collection[str], channels: Iterable[str]) -> list[str]:
        """Return the channels whose columns are among ``names``."""
        return [channel for channel in channels if self.column(channel) in names]


def kinds_of(places: Iterable[Place], reading: Reading) -> tuple[list[Kind], list[tuple[Place, Kind | None]]]:
    """Find the layout of each file: the first whose pattern suits its name.

    Returns:
        The recordings' files, and all others: those with activities, and those that no pattern suits.
    """
    found: list[Kind] = []
    others: list[tuple[Place, Kind | None]] = []
    intervals = [reading.intervals] if reading.intervals is not None else []
    layouts = [*intervals, *reading.layouts]
    patterns = [(layout, layout.regex) for layout in layouts]
    for place in places:
        matches = ((layout, pattern.fullmatch(place.plain.as_posix())) for layout, pattern in patterns)
        kind = next((Kind(place, layout, match.groupdict()) for layout, match in matches if match), None)
        if kind is None or kind.layout is reading.intervals:
            others.append((place, kind))
        else:
            found.append(kind)
    return found, others


def plain(name: str) -> str:
    """Return a name in small letters, without what stands in brackets, blanks and signs."""
    return "".join(letter for letter in _BRACKETS.sub("", name).casefold() if letter.isalnum())


def looks_like(names: Iterable[str], role: str) -> list[str]:
    """Return the names under which others keep a role, such as ``Time (s)`` for ``timestamp``."""
    return [name for name in names if plain(name) in column_names()[role]]


def groups_of(kinds: Sequence[Kind], channels: Collection[str]) -> list[tuple[str, list[Kind]]]:
    """Join the files of one recording.

    They are those whose names say the same ``{recording}``; else, where kinds of files have different channels, those
    of a folder that have only some.

    Returns:
        Files by the name of their recording.
    """
    several = len({id(kind.layout) for kind in kinds}) > 1
    # By the name of the recording, and what tells it from others of that name.
    groups: dict[tuple[str, str], list[Kind]] = {}
    for kind in kinds:
        name = kind.values.get("recording")
        is_part = (several or name is not None) and not _is_whole(kind, channels)
        if name is None and is_part:
            name = kind.place.plain.parent.as_posix()
            name = kind.place.path.parent.name if name == "." else name
        others = "/".join([value for field, value in kind.fields.items() if field != "recording"] + [name or ""])
        key = (kind.place.stem if name is None else name, others if is_part else kind.place.name)
        groups.setdefault(key, []).append(kind)
    counts = Counter(name for name, _ in groups)
    return [(name if counts[name] == 1 else full, group) for (name, full), group in groups.items()]


def _is_whole(kind: Kind, channels: Collection[str]) -> bool:
    return len(kind.channels_in(kind.names, channels)) in (0, len(channels))


def refuse_missing_roles(kind: Kind, table: Table) -> None:
    """Refuse a file without a column that is declared, or with a first column that has values but no name.

    Raises:
        BadRecordingError: if there is one.
    """
    for role in ("timestamp", "activity", "recording"):
        declared = role in kind.layout.columns or (role == "timestamp" and kind.layout.timestamp.column != role)
        if declared and kind.column(role) not in table.names:
            raise BadRecordingError(
                f"{table.place.where}: no column '{kind.column(role)}'; found "
                f"{', '.join(repr(name) for name in table.names if name)[:500]}. Correct '{role}' in "
                f"{DESCRIPTION_FILE}."
            )
    if table.names and table.names[0] == "" and kind.column("timestamp") not in table.names:
        values = [row[0].strip() for row in table.sample if row]
        if not _counts_rows(values):
            raise BadRecordingError(
                f"{table.place.where}: the first column has no name. Name it, 'timestamp' if it is the time, in "
                "the file."
            )


def refuse_ignored(kind: Kind, table: Table, roles: Sequence[str], used: Collection[str], reading: Reading) -> None:
    """Refuse a file with a column that looks like a needed one and is not declared.

    Args:
        kind: The file.
        table: Its table.
        roles: ``timestamp``, ``activity`` or channels that are looked for.
        used: Columns that are used as something else.
        reading: How the files are read.

    Raises:
        BadRecordingError: if there is one; names it and what to write.
    """
    own = {kind.column(role) for role in roles}
    unused = [name for name in table.names if name and name not in own | {*used, *reading.ignored}]
    unused = [name for name in unused if name not in kind.layout.columns.values()]
    _refuse_alternating(unused, table)
    for role in roles:
        if kind.column(role) in table.names or role in kind.values:
            continue
        alike = looks_like(unused, role) if role in column_names() else [n for n in unused if plain(n) == plain(role)]
        if role == "timestamp":
            alike = most_likely_clock(alike, table) or ascending(unused, table)[0]
        if alike:
            name = quoted(alike[0])
            cure = f"timestamp: {{column: {name}}}" if role == "timestamp" else f"columns: {{{role}: {name}}}"
            what = {"timestamp": "time stamps", "activity": "activities"}.get(role, f"channel '{role}'")
            looks = "look" if len(alike) > 1 else "looks"
            raise BadRecordingError(
                f"{table.place.where}: {' and '.join(map(repr, alike))} {looks} like {what}, but {DESCRIPTION_FILE} "
                f"does not say so. Write '{cure}' there, or 'ignored: [{', '.join(map(quoted, alike))}]' if it is "
                "something else."
            )


def refuse_said_twice(kind: Kind, table: Table, reading: Reading) -> None:
    """Refuse a file with a column of what its name, ``values`` or intervals say.

    Raises:
        BadRecordingError: if there is one; it would be ignored.
    """
    said = {**dict.fromkeys(kind.values, "'values'"), **dict.fromkeys(kind.fields, "the name of the file")}
    if reading.intervals is not None:
        said["activity"] = "'intervals'"
    for role, by in said.items():
        column = kind.column(role)
        if column in table.names and column not in reading.ignored:
            raise BadRecordingError(
                f"{table.place.where}: '{role}' is said by {by} and by column '{column}'. Write 'ignored: "
                f"[{quoted(column)}]' in {DESCRIPTION_FILE} if the column does not count."
            )


def ascending(names: Iterable[str], table: Table) -> tuple[list[str], list[str]]:
    """Return the columns that ascend from row to row as time stamps do under any name, and those that count the rows.

    Of Parquet files the rows are not looked at.
    """
    found = [name for name, cells in cells_of(names, table).items() if _ascends(cells, table.layout.decimal)]
    counts = [name for name in found if _counts_rows(cells_of([name], table)[name])]
    return [name for name in found if name not in counts], counts


def most_likely_clock(alike: Sequence[str], table: Table) -> list[str]:
    """Return columns that may be time stamps, those that change from row to row first."""
    cells = cells_of(alike, table)
    return sorted(alike, key=lambda name: len(set(cells.get(name, "12"))) < 2)


def is_other_table(kind: Kind, table: Table, channels: Sequence[str]) -> bool:
    """Return whether a table without any of the channels is no recording.

    It has fewer columns of numbers than that, or nothing that looks like time stamps or subjects.
    """
    cells = cells_of([name for name in table.names if name], table)
    if table.sample and sum(are_numbers(one, table.layout.decimal) for one in cells.values()) < len(channels):
        return True
    declares = kind.layout.header or kind.layout.columns
    return not declares and not any(looks_like(table.names, role) for role in ("timestamp", "subject"))


def cells_of(names: Iterable[str], table: Table) -> dict[str, list[str]]:
    """Return the cells of the first rows that are not empty, by column."""
    places = {name: table.names.index(name) for name in names if table.sample}
    return {
        name: [cell for row in table.sample if index < len(row) and (cell := row[index].strip())]
        for name, index in places.items()
    }


def _ascends(cells: Sequence[str], decimal: str) -> bool:
    if len(cells) < _FEWEST:
        return False
    if is_date(cells[0]):
        return list(cells) == sorted(cells) and cells[0] != cells[-1]
    if not are_numbers(cells, decimal):
        return False
    numbers = [float(cell.replace(decimal, ".")) for cell in cells]
    return all(before < after for before, after in pairwise(numbers))


def _counts_rows(cells: Sequence[str]) -> bool:
    return any(cells == [str(first + index) for index in range(len(cells))] for first in (0, 1))


def _refuse_alternating(names: Sequence[str], table: Table) -> None:
    """Refuse rows of several sensors that alternate, which a column tells apart."""
    for name, cells in cells_of(names, table).items():
        kinds = dict.fromkeys(cells)
        changes = sum(before != after for before, after in pairwise(cells))
        are_names = 1 < len(kinds) <= _KINDS and max(map(len, kinds)) <= _LONGEST and not any(map(is_value, kinds))
        if are_names and len(cells) >= _FEWEST and changes > _OFTEN * len(cells):
            raise BadRecordingError(
                f"{table.place.where}: column '{name}' alternates between {' and '.join(map(repr, list(kinds)[:3]))}, "
                f"as if rows of several sensors do. Put each into a file of its own, or write 'ignored: "
                f"[{quoted(name)}]' in {DESCRIPTION_FILE} if it means something else."
            )


@cache
def column_names() -> dict[str, frozenset[str]]:
    """Return the names under which others keep the time stamps, activities, subjects and recordings."""
    text = resources.files(__package__).joinpath("column_names.yml").read_text(encoding="utf-8")
    return {role: frozenset(names) for role, names in yaml.safe_load(text).items()}
