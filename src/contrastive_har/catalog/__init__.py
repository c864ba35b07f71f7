"""Storage: our data sets for the Kedro catalog, each save atomic and versioned, and the bridge to MLflow."""

from contrastive_har.catalog.atomic import AtomicDataset
from contrastive_har.catalog.formats import (
    EncodersDataset,
    FactsDataset,
    FigureDataset,
    FolderDataset,
    RecordingsDataset,
    TableDataset,
    WindowsDataset,
)
from contrastive_har.catalog.tracking import MlflowRunsDataset

__all__ = [
    "AtomicDataset",
    "EncodersDataset",
    "FactsDataset",
    "FigureDataset",
    "FolderDataset",
    "MlflowRunsDataset",
    "RecordingsDataset",
    "TableDataset",
    "WindowsDataset",
]
