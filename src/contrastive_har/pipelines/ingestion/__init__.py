"""Stage: ingestion."""

from contrastive_har.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
