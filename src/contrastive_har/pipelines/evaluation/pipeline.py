"""encoders -> predictions, curves, classifiers, embeddings -> scores: once a split and method, then all together."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, in_namespace
from contrastive_har.pipelines.evaluation.nodes import (
    combine_scores,
    embed_test_windows,
    evaluate_encoders,
    score_predictions,
)


def create_pipeline(protocol: str, splits: list[str], methods: list[str]) -> Pipeline:
    """Return the evaluation stage of a protocol."""
    # Inside the stage a name of another namespace is written with underscores.
    scores = {f"{split}__{method}": f"{protocol}.{split}.{method}.scores" for split in splits for method in methods}
    together = pipeline(
        [
            Node(
                func=combine_scores,
                inputs=list(scores),
                outputs="scores",
                name="combine_scores",
            )
        ],
        namespace=protocol,
        inputs=scores,
    )
    cells = (_of_cell(protocol, split, method) for split in splits for method in methods)
    return pipeline(sum(cells, together), tags="evaluation")


def _of_cell(protocol: str, split: str, method: str) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=bind(evaluate_encoders, split=split, method=method),
                inputs=["windows", "splits", "encoders", "params:protocol", "params:compute", "params:seed"],
                outputs=["predictions", "learning_curves", "classifiers"],
                name="evaluate_encoders",
            ),
            Node(
                func=bind(score_predictions, protocol=protocol, split=split, method=method),
                inputs=["windows", "predictions", "learning_curves"],
                outputs="scores",
                name="score_predictions",
            ),
            Node(
                func=bind(embed_test_windows, split=split),
                inputs=["windows", "splits", "encoders", "params:protocol", "params:report", "params:compute"],
                outputs="embeddings",
                name="embed_test_windows",
            ),
        ]
    )
    return in_namespace(
        stage,
        f"{protocol}.{split}.{method}",
        inputs={"windows": f"{protocol}.windows", "splits": f"{protocol}.splits"},
    )
