"""Sections of the report that some protocols have: of a sweep, of words, and of a recogniser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import bind, from_cells, from_splits, in_namespace, inverted
from contrastive_har.pipelines.reporting.drawing import draw_reliability, draw_sweep, draw_word_graph
from contrastive_har.pipelines.reporting.nodes import assess_calibration, score_recordings, score_words, select_setting
from contrastive_har.scores.cells import Cell


@dataclass(frozen=True)
class Section:
    """One section: its nodes, and the results that the report contains.

    Attributes:
        create: Returns the nodes, given the cells by split.
        tables: Names of tables of the protocol.
        figures: Names of figures of the protocol.
        split_tables: Names of tables of each split.
        split_figures: Names of figures of each split.
    """

    create: Callable[[Mapping[str, list[Cell]]], Pipeline]
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    split_tables: tuple[str, ...] = ()
    split_figures: tuple[str, ...] = ()


def _sweep(by_split: Mapping[str, list[Cell]]) -> Pipeline:
    cells = [cell for of_split in by_split.values() for cell in of_split]
    protocol, histories = cells[0].protocol, from_cells(cells, "history")
    choosing = Node(
        func=select_setting,
        inputs={"protocol": "params:protocol", "scores": "scores", **histories},
        outputs="selection",
        name="select_setting",
    )
    nodes = [choosing]
    # Not in the namespaces of the splits, which nodes of the protocol would interrupt.
    for split, of_split in by_split.items():
        drawing = Node(
            func=bind(draw_sweep, split=split),
            inputs={
                "summary": "summary",
                "protocol": "params:protocol",
                **{cell.method: histories[cell.artifact("history")] for cell in of_split},
            },
            outputs=f"{split}__sweep",
            name=f"draw_sweep_of_{split}",
        )
        nodes.append(drawing)
    outside = {name: f"{protocol}.{name}" for name in ("scores", "summary")}
    drawn = {f"{split}__sweep": f"{protocol}.{split}.sweep" for split in by_split}
    return in_namespace(Pipeline(nodes), protocol, inputs={**outside, **inverted(histories)}, outputs=drawn)


def _words(by_split: Mapping[str, list[Cell]]) -> Pipeline:
    protocol = next(cell.protocol for of_split in by_split.values() for cell in of_split)
    drawing = Node(
        func=draw_word_graph,
        inputs={"windows": "windows", "protocol": "params:protocol"},
        outputs="word_graph",
        name="draw_word_graph",
    )
    windows = {"windows": f"{protocol}.windows"}
    stage = in_namespace(Pipeline([drawing]), protocol, inputs=windows)
    for split, of_split in by_split.items():
        predictions = {cell.method: f"{cell.method}__predictions" for cell in of_split}
        scoring = Node(
            func=score_words,
            inputs={"windows": "windows", "protocol": "params:protocol", **predictions},
            outputs="word_scores",
            name="score_words",
        )
        outside = {predictions[cell.method]: cell.artifact("predictions") for cell in of_split}
        stage += in_namespace(Pipeline([scoring]), f"{protocol}.{split}", inputs={**windows, **outside})
    return stage


def _recogniser(by_split: Mapping[str, list[Cell]]) -> Pipeline:
    cells = [cell for of_split in by_split.values() for cell in of_split]
    protocol, roles = cells[0].protocol, from_splits(cells, "roles")
    chosen = {"windows": "windows", "recogniser": "recogniser", **roles}
    nodes = [
        Node(func=assess_calibration, inputs=chosen, outputs="calibration", name="assess_calibration"),
        Node(func=draw_reliability, inputs="calibration", outputs="reliability", name="draw_reliability"),
        Node(
            func=score_recordings,
            inputs={**chosen, "recordings": "recordings", "inference": "params:inference"},
            outputs="whole_recordings",
            name="score_recordings",
        ),
    ]
    outside = {name: f"{protocol}.{name}" for name in ("windows", "recogniser")}
    return in_namespace(Pipeline(nodes), protocol, inputs={"recordings": "recordings", **outside, **inverted(roles)})


SWEEP = Section(create=_sweep, tables=("selection",), split_figures=("sweep",))
"""Of a protocol whose rows differ in one setting."""
WORDS = Section(create=_words, figures=("word_graph",), split_tables=("word_scores",))
"""Of a protocol with a head that spells the names of activities."""
RECOGNISER = Section(
    create=_recogniser, tables=("recogniser", "calibration", "whole_recordings"), figures=("reliability",)
)
"""Of a protocol that chooses a recogniser."""
