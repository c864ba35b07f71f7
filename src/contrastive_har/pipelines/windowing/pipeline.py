"""recordings -> windows -> splits, leakage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import in_namespace
from contrastive_har.pipelines.windowing.nodes import assign_roles, audit_leakage, cut


def create_pipeline(protocol: str) -> Pipeline:
    """Return the windowing stage of a protocol."""
    stage = Pipeline(
        [
            Node(
                func=cut,
                inputs=["recordings", "params:protocol", "params:engine"],
                outputs="windows",
                name="cut_windows",
            ),
            Node(
                func=assign_roles,
                inputs=["windows", "params:protocol", "params:seed"],
                outputs="splits",
                name="assign_roles",
            ),
            Node(
                func=audit_leakage,
                inputs=["windows", "splits", "params:protocol"],
                outputs="leakage",
                name="audit_leakage",
            ),
        ]
    )
    return in_namespace(
        stage,
        protocol,
        inputs={"recordings": "recordings"},
        tags="windowing",
    )
