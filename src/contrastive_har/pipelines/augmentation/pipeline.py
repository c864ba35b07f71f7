"""windows -> augmentation_preview."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.augmentation.nodes import preview_views


def create_pipeline(protocol: str) -> Pipeline:
    """Return the augmentation stage of a protocol."""
    stage = Pipeline(
        [
            Node(
                func=preview_views,
                inputs=["windows", "params:protocol", "params:report", "params:seed"],
                outputs="augmentation_preview",
                name="preview_views",
            )
        ]
    )
    return pipeline(
        stage,
        namespace=protocol,
        parameters={
            "params:protocol": f"params:{protocol}",
            "params:report": "params:report",
            "params:seed": "params:seed",
        },
        tags="augmentation",
    )
