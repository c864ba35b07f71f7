"""runs -> run_comparison, run_comparison_page."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.comparison.nodes import compare_runs, write_comparison


def create_pipeline() -> Pipeline:
    """Return the pipeline that compares runs: ``--pipeline=compare --params=runs=ID+ID``."""
    nodes = [
        Node(
            func=compare_runs,
            inputs=["params:compared_runs", "params:report"],
            outputs="run_comparison",
            name="compare_runs",
        ),
        Node(
            func=write_comparison,
            inputs=["params:compared_runs", "run_comparison", "params:report"],
            outputs="run_comparison_page",
            name="write_comparison",
        ),
    ]
    return pipeline(nodes, tags="comparison")
