"""Stage: windowing."""

from contrastive_har.pipelines.windowing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
