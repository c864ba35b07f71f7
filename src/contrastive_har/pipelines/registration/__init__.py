"""Stage: registration."""

from contrastive_har.pipelines.registration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
