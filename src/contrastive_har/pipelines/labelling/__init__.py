"""Stage: labelling."""

from contrastive_har.pipelines.labelling.pipeline import create_pipeline

__all__ = ["create_pipeline"]
