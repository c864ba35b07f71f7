"""Stage: labelling."""

from contrastive_har.pipelines.labelling.pipeline import create_pipeline, create_proposals

__all__ = ["create_pipeline", "create_proposals"]
