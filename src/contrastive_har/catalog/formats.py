"""File formats of the project as Kedro data sets; the functions that read and write them are in the core.

They write directly to their path: in the catalog each is wrapped in an ``AtomicDataset``.
"""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview, JSONPreview, TablePreview

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tables import read_facts, read_table, write_facts, write_table
from contrastive_har.learning.evaluation.trained import TrainedHead, read_heads, write_heads
from contrastive_har.learning.pretraining.encoders import EncoderSet, read_encoders, write_encoders
from contrastive_har.signals.recordings import Recordings, read_recordings, write_recordings
from contrastive_har.signals.roles import Roles, read_roles, write_roles
from contrastive_har.signals.windows import Windows, WindowStream, read_windows, write_windows
from contrastive_har.use.cards import describe_recogniser
from contrastive_har.use.recogniser_files import read_recogniser, write_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.timelines import Timeline, read_timeline, write_timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # slow to import

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class _FileDataset(AbstractDataset[_In, _Out], Generic[_In, _Out]):
    """One file."""

    def __init__(self, *, filepath: str) -> None:
        self._path = Path(filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}

    def _exists(self) -> bool:
        return self._path.is_file()


class FolderDataset(AbstractDataset[None, Path]):
    """A folder whose files the catalog does not list; loaded as its path, whether or not it exists.

    Args:
        filepath: The folder.
        metadata: For kedro-viz and other plugins.

    Raises:
        ValueError: if there is no path.
    """

    def __init__(self, *, filepath: str | None, metadata: dict[str, Any] | None = None) -> None:
        if not filepath:
            raise ValueError("a folder has no path. Give it, as in --params=recordings=PATH.")
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the path."""
        return self._path

    def save(self, data: None) -> None:
        """Refuse: a folder is never saved as a whole.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self._path} is a folder, which is never saved as a whole.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class RecordingsDataset(_FileDataset[Recordings, Recordings]):
    """Recordings as Parquet, streamed in both directions."""

    def load(self) -> Recordings:
        """Open the file lazily."""
        return read_recordings(self._path)

    def save(self, data: Recordings) -> None:
        """Consume the stream of recordings."""
        write_recordings(data, self._path)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first samples of the first recording."""
        recordings = read_recordings(self._path)
        first = next(iter(recordings))
        samples = pd.DataFrame(first.samples[:nrows], columns=recordings.description.channel_names)
        columns = {"subject": first.subject, "recording": first.name, "sample": first.sample[:nrows]}
        return _table_preview(samples.assign(**columns, activity=first.activity[:nrows]))


class WindowsDataset(_FileDataset[WindowStream, Windows]):
    """Windows as Parquet: saved from a stream, loaded as arrays."""

    def load(self) -> Windows:
        """Read all windows."""
        return read_windows(self._path)

    def save(self, data: WindowStream) -> None:
        """Consume the stream of windows."""
        write_windows(data, self._path)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return subject, recording, samples and activity of the first windows."""
        return _table_preview(read_windows(self._path).table.head(nrows))


class EncodersDataset(_FileDataset[EncoderSet, EncoderSet]):
    """Encoders as safetensors with a JSON header."""

    def load(self) -> EncoderSet:
        """Read the encoders; nothing in the file is executed."""
        return read_encoders(self._path)

    def save(self, data: EncoderSet) -> None:
        """Write the encoders."""
        write_encoders(data, self._path)

    def preview(self) -> JSONPreview:
        """Return fingerprint, settings and the shapes of the weights."""
        encoders = read_encoders(self._path)
        shape = {name: list(weights.shape) for name, weights in encoders.weights[0].items()}
        about = {
            "fingerprint": encoders.fingerprint,
            "repeats": encoders.repeats,
            "settings": encoders.settings.model_dump(mode="json"),
            "weights": shape,
        }
        return JSONPreview(json.dumps(about))


class HeadsDataset(_FileDataset[list[TrainedHead], list[TrainedHead]]):
    """Trained heads as safetensors with a JSON header."""

    def load(self) -> list[TrainedHead]:
        """Read the heads; nothing in the file is executed."""
        return read_heads(self._path)

    def save(self, data: list[TrainedHead]) -> None:
        """Write the heads."""
        write_heads(data, self._path)


class RolesDataset(_FileDataset[Roles, Roles]):
    """The roles of the windows in one split, as Parquet."""

    def load(self) -> Roles:
        """Read the roles."""
        return read_roles(self._path)

    def save(self, data: Roles) -> None:
        """Write the roles."""
        write_roles(data, self._path)

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return rows spread evenly over the table."""
        return _table_preview(_spread(self.load().table, nrows))


class RecogniserDataset(_FileDataset[TrainedRecogniser, TrainedRecogniser]):
    """A recogniser as safetensors with a JSON header."""

    def load(self) -> TrainedRecogniser:
        """Read the recogniser; nothing in the file is executed."""
        return read_recogniser(self._path)

    def save(self, data: TrainedRecogniser) -> None:
        """Write the recogniser."""
        write_recogniser(data, self._path)

    def preview(self) -> JSONPreview:
        """Return the facts about the recogniser."""
        return JSONPreview(json.dumps(describe_recogniser(read_recogniser(self._path))))


class TimelineDataset(_FileDataset[Timeline, pd.DataFrame]):
    """A timeline of activities as Parquet: saved while it is computed, loaded as a table."""

    def load(self) -> pd.DataFrame:
        """Read the timeline."""
        return read_timeline(self._path)

    def save(self, data: Timeline) -> None:
        """Consume the recordings."""
        write_timeline(data, self._path)

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return the first rows."""
        return _table_preview(self.load().head(nrows))


class BytesDataset(_FileDataset[bytes, bytes]):
    """A file of bytes, in any format."""

    def load(self) -> bytes:
        """Read the file."""
        return self._path.read_bytes()

    def save(self, data: bytes) -> None:
        """Write the file."""
        self._path.write_bytes(data)


class TextDataset(_FileDataset[str, str]):
    """A text in UTF-8, whatever the locale."""

    def load(self) -> str:
        """Read the text; one that is not UTF-8 is refused."""
        with refuse_broken(self._path, "UTF-8 text"):
            return self._path.read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Write the text."""
        self._path.write_text(data, encoding="utf-8")


class TableDataset(_FileDataset[pd.DataFrame, pd.DataFrame]):
    """A table as Parquet, stamped with what it holds and the schema version.

    Args:
        filepath: The file.
        kind: What the table holds, for example ``scores``.
    """

    def __init__(self, *, filepath: str, kind: str) -> None:
        super().__init__(filepath=filepath)
        self._kind = kind

    def load(self) -> pd.DataFrame:
        """Read the table after checking its stamp."""
        return read_table(self._path, self._kind)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table with its stamp."""
        write_table(data, self._path, self._kind)

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return rows spread evenly over the table."""
        return _table_preview(_spread(self.load(), nrows))


class FactsDataset(_FileDataset[dict[str, Any], dict[str, Any]]):
    """Plain values as JSON, stamped with what they are and the schema version.

    Args:
        filepath: The file.
        kind: What the file holds, for example ``leakage``.
    """

    def __init__(self, *, filepath: str, kind: str) -> None:
        super().__init__(filepath=filepath)
        self._kind = kind

    def load(self) -> dict[str, Any]:
        """Read the values after checking their stamp."""
        return read_facts(self._path, self._kind)

    def save(self, data: dict[str, Any]) -> None:
        """Write the values with their stamp."""
        write_facts(data, self._path, self._kind)

    def preview(self) -> JSONPreview:
        """Return the values."""
        return JSONPreview(json.dumps(self.load()))


class FigureDataset(_FileDataset["Figure", bytes]):
    """A Matplotlib figure as PNG; loaded as the bytes of the PNG."""

    def load(self) -> bytes:
        """Return the PNG."""
        return self._path.read_bytes()

    def save(self, data: "Figure") -> None:
        """Draw the figure."""
        from contrastive_har.reports.figures.style import draw_png  # slow to import

        self._path.write_bytes(draw_png(data))

    def preview(self) -> ImagePreview:
        """Return the picture."""
        return ImagePreview(base64.b64encode(self._path.read_bytes()).decode())


def _spread(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return ``rows`` rows spread evenly over a table."""
    return table.iloc[np.linspace(0, len(table) - 1, min(rows, len(table))).astype(int)]


def _table_preview(table: pd.DataFrame) -> TablePreview:
    return TablePreview(json.loads(table.to_json(orient="split", index=False)))
