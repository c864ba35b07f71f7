"""Use: new recordings to a timeline of activities, and a recogniser to an ONNX model."""

from contrastive_har.pipelines.inference.pipeline import create_export, create_pipeline

__all__ = ["create_export", "create_pipeline"]
