"""Stage: ingestion."""

from contrastive_har.pipelines.ingestion.pipeline import create_description, create_pipeline

__all__ = ["create_description", "create_pipeline"]
