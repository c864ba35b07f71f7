"""recordings -> windows, windows_summary -> roles, leakage, method_check of each split."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import in_namespace
from contrastive_har.pipelines.windowing.nodes import (
    assign_roles,
    audit_leakage,
    check_methods,
    cut,
    summarise_windows,
)


def create_pipeline(protocol: str, splits: list[str]) -> Pipeline:
    """Return the windowing stage of a protocol."""
    stages = [_cutting(protocol), *(_of_split(protocol, split) for split in splits)]
    return sum(stages, Pipeline([]))


def _cutting(protocol: str) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=cut,
                inputs=["recordings", "params:plan", "params:engine"],
                outputs="windows",
                name="cut_windows",
            ),
            Node(
                func=summarise_windows,
                inputs=["recordings", "windows"],
                outputs="windows_summary",
                name="summarise_windows",
            ),
        ]
    )
    return in_namespace(stage, protocol, inputs={"recordings": "recordings"}, plan="windows", tags="windowing")


def _of_split(protocol: str, split: str) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=assign_roles,
                inputs=["windows", "params:plan"],
                outputs="roles",
                name="assign_roles",
            ),
            Node(
                func=audit_leakage,
                inputs=["windows", "roles", "params:plan"],
                outputs="leakage",
                name="audit_leakage",
            ),
            Node(
                func=check_methods,
                inputs=["windows", "roles", "params:protocol"],
                outputs="method_check",
                name="check_methods",
            ),
        ]
    )
    return in_namespace(
        stage,
        f"{protocol}.{split}",
        inputs={"windows": f"{protocol}.windows"},
        plan=f"splits.{split}",
        tags="windowing",
    )
