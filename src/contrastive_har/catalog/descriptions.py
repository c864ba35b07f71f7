"""The description of a user's recordings as a Kedro data set."""

import sys
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from contrastive_har.sources.own.describing import write_proposal
from contrastive_har.sources.own.settings import DESCRIPTION_FILE


class DescriptionDataset(AbstractDataset[str, str]):
    """A ``dataset.yml`` beside the recordings of a user; one that is there is never overwritten.

    Args:
        filepath: The folder of the recordings.
        metadata: For kedro-viz and other plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Read the description."""
        return (self._path / DESCRIPTION_FILE).read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Print the description, and write it if there is none."""
        sys.stdout.write(write_proposal(self._path, data))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
