"""Which column of a file is what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, FileLayout, Reading, Timestamp, quoted
from contrastive_har.sources.own.tables import Table

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
    try:
        names = open_table(kind.place, kind.layout).names
    except BadRecordingError:  # said when it is read
        return True
    return len(kind.channels_in(names, channels)) in (0, len(channels))


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
        if not any(values == [str(first + index) for index in range(len(values))] for first in (0, 1)):
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
    for role in roles:
        if kind.column(role) in table.names or role in kind.values:
            continue
        alike = looks_like(unused, role) if role in column_names() else [n for n in unused if plain(n) == plain(role)]
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


@cache
def column_names() -> dict[str, frozenset[str]]:
    """Return the names under which others keep the time stamps, activities, subjects and recordings."""
    text = resources.files(__package__).joinpath("column_names.yml").read_text(encoding="utf-8")
    return {role: frozenset(names) for role, names in yaml.safe_load(text).items()}
