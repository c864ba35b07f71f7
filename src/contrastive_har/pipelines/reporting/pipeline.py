"""scores and everything they came from -> summary, figures, tracked runs, report."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, in_namespace
from contrastive_har.pipelines.reporting.nodes import (
    compare_methods,
    describe_runs,
    draw_budgets,
    draw_confusion_matrices,
    draw_critical_differences,
    draw_embedding_map,
    draw_histories,
    draw_label_efficiency,
    draw_subjects,
    gather_facts,
    gather_runs,
    list_metrics,
    summarise_scores,
    write_html,
    write_markdown,
)

_SPLIT_FIGURES = ("confusion_matrices", "subjects", "critical_differences", "embedding_map")
_FIGURES = ("label_efficiency", "budgets", "loss_curves", "cluster_agreement", "augmentation_preview")


def create_pipeline(protocol: str, splits: list[str], methods: list[str]) -> Pipeline:
    """Return the reporting stage of a protocol."""
    stages = [_of_protocol(protocol, splits, methods)]
    stages += [_of_split(protocol, split, methods) for split in splits]
    stages += [_of_cell(protocol, split, method) for split in splits for method in methods]
    return pipeline(sum(stages, Pipeline([])), tags="reporting")


def _of_protocol(protocol: str, splits: list[str], methods: list[str]) -> Pipeline:
    # Inside the stage a name of another namespace is written with underscores; ``outside`` says where it really is.
    cells = {f"{split}.{method}": f"{split}__{method}" for split in splits for method in methods}
    pictures = {f"{name}.{split}": f"{split}__{name}" for split in splits for name in _SPLIT_FIGURES}
    outside = {local: f"{protocol}.{cell}.history" for cell, local in cells.items()}
    outside |= {f"{split}__{name}": f"{protocol}.{split}.{name}" for split in splits for name in _SPLIT_FIGURES}
    described = {f"{local}__described_runs": f"{protocol}.{cell}.described_runs" for cell, local in cells.items()}
    stage = Pipeline(
        [
            Node(
                func=gather_runs,
                inputs=list(described),
                outputs="tracked_runs",
                name="gather_runs",
            ),
            Node(
                func=summarise_scores,
                inputs=["scores", "params:report"],
                outputs="summary",
                name="summarise_scores",
            ),
            Node(
                func=compare_methods,
                inputs=["scores", "params:protocol", "params:report"],
                outputs="comparisons",
                name="compare_methods",
            ),
            Node(
                func=list_metrics,
                inputs="summary",
                outputs="metrics",
                name="list_metrics",
            ),
            Node(
                func=draw_label_efficiency,
                inputs=["summary", "params:protocol"],
                outputs="label_efficiency",
                name="draw_label_efficiency",
            ),
            Node(
                func=draw_budgets,
                inputs=["summary", "params:protocol"],
                outputs="budgets",
                name="draw_budgets",
            ),
            Node(
                func=draw_histories,
                inputs={"protocol": "params:protocol", **cells},
                outputs=["loss_curves", "cluster_agreement"],
                name="draw_histories",
            ),
            Node(
                func=gather_facts,
                inputs={
                    "windows": "windows",
                    "recordings_summary": "recordings_summary",
                    "leakage": "leakage",
                    "scores": "scores",
                    "summary": "summary",
                    "compared": "comparisons",
                    "protocol": "params:protocol",
                    "report": "params:report",
                    "compute": "params:compute",
                    "seed": "params:seed",
                    **cells,
                },
                outputs="report_facts",
                name="gather_facts",
            ),
            Node(
                func=write_html,
                inputs={"facts": "report_facts", **{name: name for name in _FIGURES}, **pictures},
                outputs="report",
                name="write_html",
            ),
            Node(
                func=write_markdown,
                inputs="report_facts",
                outputs="report_summary",
                name="write_markdown",
            ),
        ]
    )
    return in_namespace(
        stage,
        protocol,
        inputs={"recordings_summary": "recordings_summary", **outside, **described},
    )


def _of_split(protocol: str, split: str, methods: list[str]) -> Pipeline:
    namespace = f"{protocol}.{split}"
    artifacts = ("predictions", "scores", "embeddings")
    by_method = {name: {method: f"{method}__{name}" for method in methods} for name in artifacts}
    stage = Pipeline(
        [
            Node(
                func=draw_confusion_matrices,
                inputs={"windows": "windows", "protocol": "params:protocol", **by_method["predictions"]},
                outputs="confusion_matrices",
                name="draw_confusion_matrices",
            ),
            Node(
                func=draw_subjects,
                inputs={"protocol": "params:protocol", **by_method["scores"]},
                outputs="subjects",
                name="draw_subjects",
            ),
            Node(
                func=bind(draw_critical_differences, split=split),
                inputs={"protocol": "params:protocol", "report": "params:report", **by_method["scores"]},
                outputs="critical_differences",
                name="draw_critical_differences",
            ),
            Node(
                func=draw_embedding_map,
                inputs={
                    "windows": "windows",
                    "protocol": "params:protocol",
                    "report": "params:report",
                    **by_method["embeddings"],
                },
                outputs="embedding_map",
                name="draw_embedding_map",
            ),
        ]
    )
    return in_namespace(
        stage,
        namespace,
        inputs={
            "windows": f"{protocol}.windows",
            **{f"{method}__{name}": f"{namespace}.{method}.{name}" for name in artifacts for method in methods},
        },
    )


def _of_cell(protocol: str, split: str, method: str) -> Pipeline:
    namespace = f"{protocol}.{split}.{method}"
    artifacts = ("encoders", "history", "predictions", "learning_curves", "scores")
    stage = Pipeline(
        [
            Node(
                func=bind(describe_runs, split=split, method=method),
                inputs=["windows", *artifacts, "params:protocol", "params:compute", "params:seed"],
                outputs="described_runs",
                name="describe_runs",
            )
        ]
    )
    return in_namespace(
        stage,
        namespace,
        inputs={"windows": f"{protocol}.windows", **{name: f"{namespace}.{name}" for name in artifacts}},
    )
