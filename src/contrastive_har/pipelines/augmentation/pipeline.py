"""windows -> augmentation_preview."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.augmentation.nodes import preview_views
from contrastive_har.pipelines.binding import in_namespace


def create_pipeline(protocol: str) -> Pipeline:
    """Return the augmentation stage of a protocol."""
    stage = Pipeline(
        [
            Node(
                func=preview_views,
                inputs=["windows", "params:plan", "params:report"],
                outputs="augmentation_preview",
                name="preview_views",
            )
        ]
    )
    return in_namespace(stage, protocol, inputs={"windows": f"{protocol}.windows"}, plan="views", tags="augmentation")
