"""encoders -> trials: once per split and method, then combined -> summary, comparisons, figure, page.

And new recordings -> the windows of them that are worth a label.
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, concatenate, from_cells, in_namespace, inverted
from contrastive_har.pipelines.labelling.nodes import (
    draw_curves,
    propose_windows,
    summarise,
    try_on_encoders,
    write_report,
)
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell]) -> Pipeline:
    """Return the labelling stage of a protocol."""
    return pipeline(sum((_of_cell(cell) for cell in cells), _report(cells)), tags="labelling")


def create_proposals() -> Pipeline:
    """Return the pipeline that proposes windows of recordings to label."""
    node = Node(
        func=propose_windows,
        inputs=["new_recordings", "params:labelling"],
        outputs="proposed_windows",
        name="propose_windows",
    )
    return pipeline([node], tags="labelling")


def _of_cell(cell: Cell) -> Pipeline:
    node = Node(
        func=bind(try_on_encoders, cell=cell),
        inputs=["windows", "roles", "encoders", "params:plan", "params:compute"],
        outputs="trials",
        name="try_on_encoders",
    )
    return in_namespace(
        Pipeline([node]),
        cell.namespace,
        inputs={"windows": f"{cell.protocol}.windows", "roles": f"{cell.protocol}.{cell.split}.roles"},
        plan=f"choosing.{cell.method}",
    )


def _report(cells: list[Cell]) -> Pipeline:
    trials = from_cells(cells, "trials")
    nodes = [
        Node(func=concatenate, inputs=list(trials.values()), outputs="trials", name="combine_trials"),
        Node(
            func=summarise,
            inputs=["trials", "params:protocol", "params:report"],
            outputs=["trials_summary", "trials_comparisons"],
            name="summarise_trials",
        ),
        Node(
            func=draw_curves,
            inputs=["trials_summary", "params:protocol"],
            outputs="trials_curves",
            name="draw_trials_curves",
        ),
        Node(
            func=write_report,
            inputs=["trials_summary", "trials_comparisons", "params:protocol", "params:report"],
            outputs="trials_report",
            name="write_trials_report",
        ),
    ]
    return in_namespace(Pipeline(nodes), cells[0].protocol, inputs=inverted(trials))
