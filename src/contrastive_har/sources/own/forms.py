"""How text files seem to be written: delimiter, lines before the header, no header, a line of units below it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, quoted
from contrastive_har.sources.own.tables import Table
from contrastive_har.sources.own.text_tables import NOT_A_NUMBER, TextTable
from contrastive_har.sources.own.times import are_numbers, is_date, is_value

_DELIMITERS = (",", ";", "\t", "|", " ")
_LOOKED_AT, _ALIKE = 200, 0.9  # lines, and the share of those after a header that have as many cells


def form_of(table: TextTable) -> dict[str, Any]:
    """Return delimiter, decimal mark, lines before the header and names of columns without one, as far as not declared.

    The header is the first line that nearly all lines after it have the columns of, or one more; lines without any
    number or time go before others, then those of more columns.
    """
    best: tuple[bool, int, int] = (False, 1, 0)
    delimiter = table.delimiter
    for mark in dict.fromkeys([table.delimiter, *_DELIMITERS]):
        if mark == " " != table.delimiter and best[1] > 1:  # texts have blanks in any case
            continue
        rows = [_cells(line, mark) for line in table.lines[:_LOOKED_AT]]
        counts = [len(row) for row in rows]
        for skipped, (row, count) in enumerate(zip(rows[:-1], counts[:-1], strict=True)):
            following = [other for other in counts[skipped + 1 :] if other]
            alike = sum(0 <= other - count <= 1 for other in following)
            if count > 1 and alike > _ALIKE * len(following) and 0 <= counts[skipped + 1] - count <= 1:
                found = (not any(map(is_value, row)), count, -skipped)
                best, delimiter = (found, mark) if found > best else (best, delimiter)
                break
    is_header, count, skipped = best[0], best[1], -best[2]
    found_form: dict[str, Any] = {}
    if count == 1:
        return found_form
    if table.skipped + skipped:
        found_form["skip_lines"] = table.skipped + skipped
    if delimiter != table.delimiter:
        found_form["delimiter"] = delimiter
    cells = [cell for line in table.lines[skipped + 1 : skipped + 50] for cell in _cells(line, delimiter)]
    if any("," in cell and are_numbers([cell], ",") for cell in cells) and not any(
        are_numbers([cell]) and "." in cell for cell in cells
    ):
        found_form["decimal"] = ","
    if not is_header and not table.layout.header:
        found_form["header"] = _names(_cells(table.lines[skipped], delimiter))
    elif _has_units(rows := [_cells(line, delimiter) for line in table.lines[skipped : skipped + 7]]):
        found_form |= {"skip_lines": table.skipped + skipped + 2, "header": rows[0]}
    return found_form


def refuse_other_form(table: Table, names: Sequence[str]) -> None:
    """Refuse a text file that seems to be written in another way than declared.

    Args:
        table: The table.
        names: Columns that are looked for, of which it has none.

    Raises:
        BadRecordingError: if there is another way in which it has more columns; says what to write.
    """
    if not isinstance(table, TextTable) or not (found := form_of(table)):
        return
    declared = table.layout.model_dump()
    further = {key: value for key, value in found.items() if declared[key] != value}
    if not further or (set(further) == {"decimal"}):
        return
    what = "has no header" if "header" in further else "has other columns than it seems"
    if "header" in further:
        further["header"] = _with_names(further["header"], names)
    elif {"delimiter", "skip_lines"} & set(further):
        what = f"no column {', '.join(map(repr, names))} in '{table.names[0][:60]}...', but there are others below it"
    raise BadRecordingError(f"{table.place.where}: {what}. Write '{cure(further)}' in {DESCRIPTION_FILE}.")


def refuse_units(table: Table) -> None:
    """Refuse a file with a line of units below its header.

    Raises:
        BadRecordingError: if it has one; says what to write.
    """
    if isinstance(table, TextTable) and not table.layout.header and _has_units([table.names, *table.sample[:6]]):
        form = {"skip_lines": table.skipped + 2, "header": table.names}
        raise BadRecordingError(
            f"{table.place.where}, row {table.first_line}: no numbers, as in a line of units. Write '{cure(form)}' in "
            f"{DESCRIPTION_FILE}."
        )


def cure(form: dict[str, Any]) -> str:
    """Return what to write in ``dataset.yml`` for a form, one entry beside the other."""
    return "', '".join(f"{key}: {_written(value)}" for key, value in form.items())


def _written(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return str(value) if isinstance(value, int) else '"\\t"' if value == "\t" else f'"{value}"'


def _cells(line: str, delimiter: str) -> list[str]:
    row = next(
        csv.reader(
            [line.strip(" \r\n" if delimiter == " " else "\r\n")],
            delimiter=delimiter,
            skipinitialspace=delimiter == " ",
        ),
        [],
    )
    return [cell.strip() for cell in row]


def _names(row: Sequence[str]) -> list[str]:
    """Return names for the columns of a row of values."""
    names = []
    for index, cell in enumerate(row):
        is_first_time = is_date(cell) and "timestamp" not in names
        names.append("timestamp" if is_first_time else f"column_{index + 1}")
    return names


def _with_names(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return a header with the names that are looked for, if it has as many columns for them."""
    unnamed = [name for name in header if name != "timestamp"]
    return [*(["timestamp"] if "timestamp" in header else []), *names] if len(unnamed) == len(names) else [*header]


def _has_units(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the line after the header has words where all lines after it have numbers."""
    if len(rows) < 3 or len({len(row) for row in rows}) > 1:
        return False
    units, following = rows[1], rows[2:]
    numeric = [index for index in range(len(units)) if all(are_numbers([row[index]]) for row in following)]
    words = [units[index] for index in numeric]
    return len(words) > 1 and not any(is_value(word) or word in NOT_A_NUMBER for word in words)
