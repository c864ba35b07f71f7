"""recogniser, new recordings -> timeline, its figure; and recogniser -> an ONNX model."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.inference.nodes import (
    draw_timeline,
    export_recogniser,
    recognise_recordings,
    refuse_left_out,
)


def create_pipeline(protocol: str) -> Pipeline:
    """Return the pipeline that uses the recogniser of a protocol on new recordings."""
    nodes = [
        Node(
            func=recognise_recordings,
            inputs=["new_recordings", "recogniser", "params:inference"],
            outputs="timeline",
            name="recognise_recordings",
        ),
        Node(
            func=draw_timeline,
            inputs="timeline",
            outputs=["timeline_picture", "timeline_left_out"],
            name="draw_timeline",
        ),
        Node(func=refuse_left_out, inputs="timeline_left_out", outputs=None, name="refuse_left_out"),
    ]
    return pipeline(nodes, inputs={"recogniser": f"{protocol}.recogniser"}, tags="inference")


def create_export(protocol: str) -> Pipeline:
    """Return the pipeline that exports the recogniser of a protocol."""
    node = Node(
        func=export_recogniser,
        inputs=["recogniser", "params:inference"],
        outputs="onnx_model",
        name="export_recogniser",
    )
    return pipeline([node], inputs={"recogniser": f"{protocol}.recogniser"}, tags="export")
