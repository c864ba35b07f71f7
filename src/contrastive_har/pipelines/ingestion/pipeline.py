"""Raw files -> recordings, recordings_summary."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.ingestion.nodes import ingest, summarise_recordings


def create_pipeline() -> Pipeline:
    """Return the ingestion stage."""
    return Pipeline(
        [
            Node(
                func=ingest,
                inputs=["raw_files", "params:ingestion", "params:engine"],
                outputs="recordings",
                name="ingest",
                tags="ingestion",
            ),
            Node(
                func=summarise_recordings,
                inputs="recordings",
                outputs="recordings_summary",
                name="summarise_recordings",
                tags="ingestion",
            ),
        ]
    )
