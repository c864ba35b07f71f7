"""Runs of the project, compared."""

from contrastive_har.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
