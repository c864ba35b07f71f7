"""Data sets for the Kedro catalog, saved atomically and with versions, and the connection to MLflow."""

from contrastive_har.catalog.atomic import AtomicDataset
from contrastive_har.catalog.descriptions import DescriptionDataset
from contrastive_har.catalog.formats import (
    BytesDataset,
    EncodersDataset,
    FactsDataset,
    FigureDataset,
    FolderDataset,
    HeadsDataset,
    RecogniserDataset,
    RecordingsDataset,
    RolesDataset,
    TableDataset,
    TextDataset,
    TimelineDataset,
    WindowsDataset,
)
from contrastive_har.catalog.registry import RegisteredModelDataset
from contrastive_har.catalog.tracking import MlflowRunsDataset

__all__ = [
    "AtomicDataset",
    "BytesDataset",
    "DescriptionDataset",
    "EncodersDataset",
    "FactsDataset",
    "FigureDataset",
    "FolderDataset",
    "HeadsDataset",
    "MlflowRunsDataset",
    "RecogniserDataset",
    "RecordingsDataset",
    "RegisteredModelDataset",
    "RolesDataset",
    "TableDataset",
    "TextDataset",
    "TimelineDataset",
    "WindowsDataset",
]
