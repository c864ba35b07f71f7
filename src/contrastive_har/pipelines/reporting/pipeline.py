"""scores and what they were computed from -> summary, figures, tracked runs, report."""

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
    draw_sweep,
    gather_facts,
    gather_runs,
    list_metrics,
    select_setting,
    summarise_scores,
    write_html,
    write_markdown,
)
from contrastive_har.scores.cells import Cell

_SPLIT_FIGURES = ("confusion_matrices", "subjects", "critical_differences", "embedding_map")
_FIGURES = ("label_efficiency", "budgets", "loss_curves", "cluster_agreement", "augmentation_preview")


def create_pipeline(cells: list[Cell], sweeps: bool = False) -> Pipeline:
    """Return the reporting stage of a protocol.

    Args:
        cells: All cells of the protocol.
        sweeps: Whether the protocol's rows differ in one setting.
    """
    splits = list(dict.fromkeys(cell.split for cell in cells))
    stages = [_statistics(cells[0].protocol), _histories(cells), _tracking(cells), _report(cells, splits, sweeps)]
    stages += [_of_split(split, [cell for cell in cells if cell.split == split]) for split in splits]
    stages += [_of_cell(cell) for cell in cells]
    stages += [_sweep(cells, splits)] if sweeps else []
    return pipeline(sum(stages, Pipeline([])), tags="reporting")


def _statistics(protocol: str) -> Pipeline:
    stage = Pipeline(
        [
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
        ]
    )
    return in_namespace(stage, protocol, inputs={"scores": f"{protocol}.scores"})


def _histories(cells: list[Cell]) -> Pipeline:
    histories = _from_cells(cells, "history")
    node = Node(
        func=draw_histories,
        inputs={"protocol": "params:protocol", **histories},
        outputs=["loss_curves", "cluster_agreement"],
        name="draw_histories",
    )
    return in_namespace(Pipeline([node]), cells[0].protocol, inputs=_inverted(histories))


def _tracking(cells: list[Cell]) -> Pipeline:
    described = _from_cells(cells, "described_runs")
    node = Node(
        func=gather_runs,
        inputs=list(described.values()),
        outputs="tracked_runs",
        name="gather_runs",
    )
    return in_namespace(Pipeline([node]), cells[0].protocol, inputs=_inverted(described))


def _sweep(cells: list[Cell], splits: list[str]) -> Pipeline:
    """Return the nodes of a protocol whose rows differ in one setting."""
    protocol, histories = cells[0].protocol, _from_cells(cells, "history")
    choosing = Node(
        func=select_setting,
        inputs={"protocol": "params:protocol", "scores": "scores", **histories},
        outputs="selection",
        name="select_setting",
    )
    nodes = [choosing]
    # Not in the namespaces of the splits, which nodes of the protocol would interrupt.
    for split in splits:
        of_split = {cell.method: histories[cell.artifact("history")] for cell in cells if cell.split == split}
        drawing = Node(
            func=bind(draw_sweep, split=split),
            inputs={"summary": "summary", "protocol": "params:protocol", **of_split},
            outputs=f"{split}__sweep",
            name=f"draw_sweep_of_{split}",
        )
        nodes.append(drawing)
    outside = {name: f"{protocol}.{name}" for name in ("scores", "summary")}
    drawn = {f"{split}__sweep": f"{protocol}.{split}.sweep" for split in splits}
    return in_namespace(Pipeline(nodes), protocol, inputs={**outside, **_inverted(histories)}, outputs=drawn)


def _report(cells: list[Cell], splits: list[str], sweeps: bool) -> Pipeline:
    protocol = cells[0].protocol
    names = ("windows", "recordings_summary", "scores", "summary", "comparisons", *(["selection"] if sweeps else []))
    local_inputs = {name: name for name in names}
    split_figures = (*_SPLIT_FIGURES, *(["sweep"] if sweeps else []))
    histories = _from_cells(cells, "history")
    leakage = {f"{protocol}.{split}.leakage": f"{split}__leakage" for split in splits}
    pictures = {f"{protocol}.{split}.{name}": f"{split}__{name}" for split in splits for name in split_figures}
    stage = Pipeline(
        [
            Node(
                func=gather_facts,
                inputs={
                    "protocol": "params:protocol",
                    "report": "params:report",
                    "compute": "params:compute",
                    "seed": "params:seed",
                    **local_inputs,
                    **leakage,
                    **histories,
                },
                outputs="report_facts",
                name="gather_facts",
            ),
            Node(
                func=write_html,
                inputs={
                    "facts": "report_facts",
                    **{name: name for name in _FIGURES},
                    **{name.partition(".")[2]: local for name, local in pictures.items()},
                },
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
    of_protocol = [*(name for name in names if name != "recordings_summary"), *_FIGURES]
    outside = {"recordings_summary": "recordings_summary", **{name: f"{protocol}.{name}" for name in of_protocol}}
    return in_namespace(stage, protocol, inputs={**outside, **_inverted({**histories, **leakage, **pictures})})


def _of_split(split: str, cells: list[Cell]) -> Pipeline:
    namespace = f"{cells[0].protocol}.{split}"
    artifacts = ("predictions", "scores", "embeddings")
    by_method = {name: {cell.method: f"{cell.method}__{name}" for cell in cells} for name in artifacts}
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
            "windows": f"{cells[0].protocol}.windows",
            **{f"{cell.method}__{name}": cell.artifact(name) for name in artifacts for cell in cells},
        },
    )


def _of_cell(cell: Cell) -> Pipeline:
    artifacts = ("encoders", "history", "predictions", "learning_curves", "scores")
    node = Node(
        func=bind(describe_runs, cell=cell),
        inputs={
            "protocol": "params:protocol",
            "compute": "params:compute",
            "seed": "params:seed",
            **{name: name for name in ("windows", *artifacts)},
        },
        outputs="described_runs",
        name="describe_runs",
    )
    return in_namespace(
        Pipeline([node]),
        cell.namespace,
        inputs={"windows": f"{cell.protocol}.windows", **{name: cell.artifact(name) for name in artifacts}},
    )


def _from_cells(cells: list[Cell], name: str) -> dict[str, str]:
    """Return the local name of an artifact of each cell by its catalog name; underscores replace the dots."""
    return {cell.artifact(name): f"{cell.split}__{cell.method}__{name}" for cell in cells}


def _inverted(names: dict[str, str]) -> dict[str, str]:
    return {local: name for name, local in names.items()}
