"""Stage: augmentation."""

from contrastive_har.pipelines.augmentation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
