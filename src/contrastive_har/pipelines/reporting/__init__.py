"""Stage: reporting."""

from contrastive_har.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
