"""scores and what they were computed from, recogniser -> summary, figures, tracked runs, report."""

from __future__ import annotations

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, from_cells, from_splits, in_namespace, inverted, with_charts
from contrastive_har.pipelines.reporting.drawing import (
    draw_answer,
    draw_budgets,
    draw_cluster_agreement,
    draw_confusion_matrices,
    draw_critical_differences,
    draw_embedding_map,
    draw_label_efficiency,
    draw_losses,
    draw_subjects,
    draw_training_curves,
)
from contrastive_har.pipelines.reporting.nodes import (
    compare_methods,
    describe_runs,
    gather_facts,
    gather_runs,
    list_metrics,
    measure_complexity,
    summarise_scores,
    write_html,
    write_markdown,
)
from contrastive_har.pipelines.reporting.sections import RECOGNISER, SWEEP, WORDS, Section
from contrastive_har.scores.cells import Cell

_SPLIT_CHARTED = ("training_curves", "confusion_matrices", "subjects", "embedding_map")
_SPLIT_FIGURES = (*with_charts(*_SPLIT_CHARTED), "critical_differences")
_SPLIT_FACTS = ("leakage", "roles")
_CHARTED = ("answer", "label_efficiency", "loss_curves", "cluster_agreement")
_FIGURES = (*with_charts(*_CHARTED), "budgets", "augmentation_preview")
_TABLES = ("windows", "windows_summary", "scores", "summary", "comparisons", "complexity")


def create_pipeline(cells: list[Cell], sweeps: bool = False, spells: bool = False, chooses: bool = False) -> Pipeline:
    """Return the reporting stage of a protocol.

    Args:
        cells: All cells of the protocol.
        sweeps: Whether the protocol's rows differ in one setting.
        spells: Whether a head of the protocol spells the names of activities.
        chooses: Whether a recogniser is chosen.
    """
    by_split = {cell.split: [other for other in cells if other.split == cell.split] for cell in cells}
    optional = ((SWEEP, sweeps), (WORDS, spells), (RECOGNISER, chooses))
    sections = [section for section, chosen in optional if chosen]
    stages = [_statistics(cells[0].protocol), _histories(cells), _tracking(cells), _report(cells, sections)]
    stages += [_complexity(by_split[cells[0].split])]
    stages += [_of_split(split, of_split) for split, of_split in by_split.items()]
    stages += [_of_cell(cell) for cell in cells]
    stages += [section.create(by_split) for section in sections]
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
                func=draw_answer,
                inputs=["summary", "comparisons", "windows", "params:protocol", "params:report"],
                outputs=with_charts("answer"),
                name="draw_answer",
            ),
            Node(
                func=draw_label_efficiency,
                inputs=["summary", "params:protocol"],
                outputs=with_charts("label_efficiency"),
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
    return in_namespace(stage, protocol, inputs={name: f"{protocol}.{name}" for name in ("scores", "windows")})


def _histories(cells: list[Cell]) -> Pipeline:
    histories = from_cells(cells, "history")
    drawing = {"loss_curves": draw_losses, "cluster_agreement": draw_cluster_agreement}
    nodes = [
        Node(
            func=draw,
            inputs={"protocol": "params:protocol", **histories},
            outputs=with_charts(figure),
            name=draw.__name__,
        )
        for figure, draw in drawing.items()
    ]
    return in_namespace(Pipeline(nodes), cells[0].protocol, inputs=inverted(histories))


def _tracking(cells: list[Cell]) -> Pipeline:
    described = from_cells(cells, "described_runs")
    node = Node(
        func=gather_runs,
        inputs=["windows", *described.values()],
        outputs="tracked_runs",
        name="gather_runs",
    )
    protocol = cells[0].protocol
    return in_namespace(Pipeline([node]), protocol, inputs={"windows": f"{protocol}.windows", **inverted(described)})


def _complexity(cells: list[Cell]) -> Pipeline:
    trained = {**from_cells(cells, "encoders"), **from_cells(cells, "heads")}
    node = Node(
        func=measure_complexity,
        inputs={"windows": "windows", **trained},
        outputs="complexity",
        name="measure_complexity",
    )
    protocol = cells[0].protocol
    return in_namespace(Pipeline([node]), protocol, inputs={"windows": f"{protocol}.windows", **inverted(trained)})


def _report(cells: list[Cell], sections: list[Section]) -> Pipeline:
    protocol = cells[0].protocol

    def of_splits(names: Iterable[str]) -> dict[str, str]:
        return {known: local for name in names for known, local in from_splits(cells, name).items()}

    tables = [*_TABLES, *(name for section in sections for name in section.tables)]
    figures = [*_FIGURES, *(name for section in sections for name in section.figures)]
    facts = of_splits([*_SPLIT_FACTS, *(name for section in sections for name in section.split_tables)])
    pictures = of_splits([*_SPLIT_FIGURES, *(name for section in sections for name in section.split_figures)])
    histories = from_cells(cells, "history")
    stage = Pipeline(
        [
            Node(
                func=gather_facts,
                inputs={
                    "protocol": "params:protocol",
                    "report": "params:report",
                    "compute": "params:compute",
                    "seed": "params:seed",
                    "texts": "params:texts",
                    "run": "params:run",
                    **{name: name for name in ("recordings_summary", *tables)},
                    **facts,
                    **histories,
                },
                outputs="report_facts",
                name="gather_facts",
            ),
            Node(
                func=write_html,
                inputs={
                    "facts": "report_facts",
                    **{name: name for name in figures},
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
    outside = {"recordings_summary": "recordings_summary"}
    outside |= {name: f"{protocol}.{name}" for name in (*tables, *figures)}
    return in_namespace(stage, protocol, inputs={**outside, **inverted({**histories, **facts, **pictures})})


def _of_split(split: str, cells: list[Cell]) -> Pipeline:
    namespace = f"{cells[0].protocol}.{split}"
    artifacts = ("predictions", "learning_curves", "scores", "embeddings")
    by_method = {name: {cell.method: f"{cell.method}__{name}" for cell in cells} for name in artifacts}
    stage = Pipeline(
        [
            Node(
                func=draw_confusion_matrices,
                inputs={"windows": "windows", "protocol": "params:protocol", **by_method["predictions"]},
                outputs=with_charts("confusion_matrices"),
                name="draw_confusion_matrices",
            ),
            Node(
                func=draw_training_curves,
                inputs={"protocol": "params:protocol", **by_method["learning_curves"]},
                outputs=with_charts("training_curves"),
                name="draw_training_curves",
            ),
            Node(
                func=draw_subjects,
                inputs={"protocol": "params:protocol", **by_method["scores"]},
                outputs=with_charts("subjects"),
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
                outputs=with_charts("embedding_map"),
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
    artifacts = ("history", "predictions", "learning_curves", "scores")
    node = Node(
        func=bind(describe_runs, cell=cell),
        inputs={
            "protocol": "params:protocol",
            "report": "params:report",
            "compute": "params:compute",
            "seed": "params:seed",
            "texts": "params:texts",
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
