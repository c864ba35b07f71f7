"""Stage: pretraining."""

from contrastive_har.pipelines.pretraining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
