"""encoders and heads of all methods, scores -> recogniser, stored and registered."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind
from contrastive_har.pipelines.registration.nodes import choose_recogniser
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell]) -> Pipeline:
    """Return the registration stage of a protocol.

    Args:
        cells: To choose from; their splits have validation windows.
    """
    protocol = cells[0].protocol
    # Inside the stage a name of another namespace is written with underscores; ``outside`` says where it really is.
    trained = {
        cell.artifact(kind): f"{cell.split}__{cell.method}__{kind}" for cell in cells for kind in ("encoders", "heads")
    }
    node = Node(
        func=bind(choose_recogniser, protocol=protocol),
        inputs={"windows": "windows", "scores": "scores", **trained},
        outputs=["recogniser", "registered_recogniser"],
        name="choose_recogniser",
    )
    outside = {local: name for name, local in trained.items()}
    return pipeline([node], namespace=protocol, inputs=outside, tags="registration")
