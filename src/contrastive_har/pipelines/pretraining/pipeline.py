"""windows, splits -> history, encoders: once a split and method."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import bind, in_namespace
from contrastive_har.pipelines.pretraining.nodes import pretrain_encoders


def create_pipeline(protocol: str, splits: list[str], methods: list[str]) -> Pipeline:
    """Return the pre-training stage of a protocol."""
    return sum((_of_cell(protocol, split, method) for split in splits for method in methods), Pipeline([]))


def _of_cell(protocol: str, split: str, method: str) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=bind(pretrain_encoders, split=split, method=method),
                inputs=["windows", "splits", "checkpoints", "params:protocol", "params:compute", "params:seed"],
                outputs=["history", "encoders"],
                name="pretrain_encoders",
            )
        ]
    )
    return in_namespace(
        stage,
        f"{protocol}.{split}.{method}",
        inputs={"windows": f"{protocol}.windows", "splits": f"{protocol}.splits"},
        tags="pretraining",
    )
