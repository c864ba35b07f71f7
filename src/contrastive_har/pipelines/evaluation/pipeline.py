"""encoders -> predictions, learning curves, heads, embeddings -> scores: once per split and method, then combined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, concatenate, from_cells, in_namespace, inverted
from contrastive_har.pipelines.evaluation.nodes import (
    embed_test_windows,
    evaluate_encoders,
    score_predictions,
)
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell]) -> Pipeline:
    """Return the evaluation stage of a protocol."""
    scores = from_cells(cells, "scores")
    node = Node(func=concatenate, inputs=list(scores.values()), outputs="scores", name="combine_scores")
    combine = in_namespace(Pipeline([node]), cells[0].protocol, inputs=inverted(scores))
    return pipeline(sum((_of_cell(cell) for cell in cells), combine), tags="evaluation")


def _of_cell(cell: Cell) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=evaluate_encoders,
                inputs=["windows", "roles", "encoders", "params:plan", "params:compute"],
                outputs=["predictions", "learning_curves", "heads"],
                name="evaluate_encoders",
            ),
            Node(
                func=bind(score_predictions, cell=cell),
                inputs=["windows", "predictions", "learning_curves"],
                outputs="scores",
                name="score_predictions",
            ),
            Node(
                func=embed_test_windows,
                inputs=["windows", "roles", "encoders", "params:plan", "params:report", "params:compute"],
                outputs="embeddings",
                name="embed_test_windows",
            ),
        ]
    )
    return in_namespace(
        stage,
        cell.namespace,
        inputs={"windows": f"{cell.protocol}.windows", "roles": f"{cell.protocol}.{cell.split}.roles"},
        plan=f"evaluation.{cell.method}",
    )
