"""Raw files -> recordings, recordings_summary; and a folder of a user -> a proposed dataset.yml."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.ingestion.nodes import describe_recordings, ingest, summarise_recordings


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


def create_description() -> Pipeline:
    """Return the pipeline that looks at a folder of a user's recordings."""
    node = Node(
        func=describe_recordings,
        inputs="new_recordings",
        outputs="proposed_description",
        name="describe_recordings",
        tags="describe",
    )
    return Pipeline([node])
