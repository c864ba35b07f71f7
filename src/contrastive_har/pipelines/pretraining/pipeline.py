"""windows, roles -> history, encoders: once per split and method."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import in_namespace
from contrastive_har.pipelines.pretraining.nodes import pretrain_encoders
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell]) -> Pipeline:
    """Return the pre-training stage of a protocol."""
    return sum((_of_cell(cell) for cell in cells), Pipeline([]))


def _of_cell(cell: Cell) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=pretrain_encoders,
                inputs=["windows", "roles", "method_check", "params:plan", "params:compute", "checkpoints"],
                outputs=["history", "encoders"],
                name="pretrain_encoders",
            )
        ]
    )
    return in_namespace(
        stage,
        cell.namespace,
        inputs={
            "windows": f"{cell.protocol}.windows",
            "roles": f"{cell.protocol}.{cell.split}.roles",
            "method_check": f"{cell.protocol}.{cell.split}.method_check",
        },
        plan=f"pretraining.{cell.method}",
        tags="pretraining",
    )
