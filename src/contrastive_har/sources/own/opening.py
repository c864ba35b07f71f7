"""Files as tables, by their endings."""

from __future__ import annotations

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.forms import refuse_other_form, refuse_units
from contrastive_har.sources.own.parquet_tables import ParquetTable
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.settings import FileLayout
from contrastive_har.sources.own.tables import Table
from contrastive_har.sources.own.text_tables import TextTable


def open_table(place: Place, layout: FileLayout) -> Table:
    """Look at the columns of a file.

    Raises:
        BadRecordingError: if it is empty, is not a table, has a line of units, or two columns have one name.
    """
    try:
        table = ParquetTable(place, layout) if place.suffix == ".parquet" else TextTable(place, layout)
    except BadRecordingError:
        raise
    except Exception as error:  # damaged archives cause errors that are not documented
        raise BadRecordingError(f"{place.where}: cannot be read ({explain(error)}). Copy it again.") from error
    refuse_units(table)
    if table.twice:
        refuse_other_form(table, [])
        table.refuse_twice()
    return table
