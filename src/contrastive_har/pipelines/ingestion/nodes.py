"""Raw files to recordings."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from contrastive_har.signals import summaries
from contrastive_har.signals.engines import EngineSettings
from contrastive_har.signals.recordings import Recordings
from contrastive_har.sources import IngestionSettings, open_source
from contrastive_har.sources.own.describing import propose


def ingest(raw_files: Path, settings: IngestionSettings, engine: EngineSettings) -> Recordings:
    """Open the raw files of a data set as a stream of checked recordings."""
    return open_source(raw_files, settings, engine)


def summarise_recordings(recordings: Recordings) -> pd.DataFrame:
    """Count recordings and seconds per subject and activity, and list what was rejected and why."""
    summary = summaries.summarise_recordings(recordings)
    logging.getLogger(__name__).info("%s", summaries.describe_summary(summary))
    for row in summary.dropna(subset=["doubted"]).itertuples(index=False):
        logging.getLogger(__name__).warning("Recording '%s': %s", row.doubted, row.reason)
    return summary


def describe_recordings(new_recordings: Path) -> str:
    """Look at a folder of a user's recordings, and propose a description of them."""
    return propose(new_recordings)
