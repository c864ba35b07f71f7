"""Stage: tuning."""

from contrastive_har.pipelines.tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
