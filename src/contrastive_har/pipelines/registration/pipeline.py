"""encoders and heads of all methods, scores, roles -> recogniser, stored and registered."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import bind, from_cells, from_splits, in_namespace, inverted
from contrastive_har.pipelines.registration.nodes import choose_recogniser, register_recogniser
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell]) -> Pipeline:
    """Return the registration stage of a protocol.

    Args:
        cells: Cells to choose from; their splits have validation windows.
    """
    protocol = cells[0].protocol
    trained = {**from_cells(cells, "encoders"), **from_cells(cells, "heads"), **from_splits(cells, "roles")}
    stage = Pipeline(
        [
            Node(
                func=bind(choose_recogniser, protocol=protocol),
                inputs={"windows": "windows", "scores": "scores", "plan": "params:plan", **trained},
                outputs="recogniser",
                name="choose_recogniser",
            ),
            Node(
                func=register_recogniser,
                inputs="recogniser",
                outputs="registered_recogniser",
                name="register_recogniser",
            ),
        ]
    )
    return in_namespace(stage, protocol, inputs=inverted(trained), plan="registration", tags="registration")
