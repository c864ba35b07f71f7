"""windows, roles -> trials -> chosen settings -> scores: once per split and method, then combined -> summary, page."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind, concatenate, from_cells, in_namespace, inverted
from contrastive_har.pipelines.tuning.nodes import (
    ENCODERS,
    TRIAL,
    choose_settings,
    describe_runs,
    draw_rows,
    score_settings,
    summarise,
    try_setting,
    write_report,
)
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell], trials: int) -> Pipeline:
    """Return the tuning stage of a protocol.

    Args:
        cells: All cells of the protocol.
        trials: Number of settings that are tried in each cell.
    """
    stages = [*(_of_cell(cell, trials) for cell in cells), _report(cells)]
    return pipeline(sum(stages, Pipeline([])), tags="tuning")


def _of_cell(cell: Cell, trials: int) -> Pipeline:
    chosen = Pipeline(
        [
            Node(
                func=bind(choose_settings, cell=cell),
                inputs=[TRIAL.format(number) for number in range(trials)],
                outputs="trials",
                name="choose_settings",
            ),
            Node(
                func=bind(score_settings, cell=cell),
                inputs={
                    **{name: name for name in ("windows", "roles", "trials")},
                    **{name: f"params:{name}" for name in ("plan", "compute")},
                    **{ENCODERS.format(number): ENCODERS.format(number) for number in range(trials)},
                },
                outputs="tuned_scores",
                name="score_settings",
            ),
        ]
    )
    tried = (_trial(cell, number) for number in range(trials))
    return sum(tried, _in_cell(chosen, cell, 0))  # the first trial is the row as configured


def _trial(cell: Cell, number: int) -> Pipeline:
    node = Node(
        func=try_setting,
        inputs=["windows", "roles", "method_check", "params:plan", "params:compute", "checkpoints"],
        outputs=[TRIAL.format(number), ENCODERS.format(number)],
        name=f"try_setting_{number}",
    )
    return _in_cell(Pipeline([node]), cell, number)


def _in_cell(stage: Pipeline, cell: Cell, number: int) -> Pipeline:
    """Return a stage in the namespace of a cell, with the plan of one of its trials."""
    outside = {
        **{name: f"{cell.protocol}.{name}" for name in ("windows", "checkpoints")},
        **{name: f"{cell.protocol}.{cell.split}.{name}" for name in ("roles", "method_check")},
    }
    needed = {local: name for local, name in outside.items() if local in stage.inputs()}
    return in_namespace(stage, cell.namespace, inputs=needed, plan=f"trials.{cell.method}.{number}")


def _report(cells: list[Cell]) -> Pipeline:
    protocol = cells[0].protocol
    trials, scores = (from_cells(cells, name) for name in ("trials", "tuned_scores"))
    nodes = [
        Node(func=concatenate, inputs=list(trials.values()), outputs="trials", name="combine_trials"),
        Node(func=concatenate, inputs=list(scores.values()), outputs="tuned_scores", name="combine_scores"),
        Node(
            func=summarise,
            inputs=["trials", "tuned_scores", "params:report"],
            outputs="tuning_summary",
            name="summarise_tuning",
        ),
        Node(
            func=draw_rows,
            inputs=["tuning_summary", "params:protocol"],
            outputs="tuning_figure",
            name="draw_tuning",
        ),
        Node(
            func=write_report,
            inputs=["tuning_summary", "params:protocol", "params:report"],
            outputs="tuning_report",
            name="write_tuning_report",
        ),
        Node(
            func=describe_runs,
            inputs=["windows", "trials", "tuned_scores", "tuning_summary", "params:protocol"],
            outputs="tracked_runs",
            name="track_runs",
        ),
    ]
    inputs = {"windows": f"{protocol}.windows", **inverted(trials), **inverted(scores)}
    return in_namespace(Pipeline(nodes), protocol, inputs=inputs)
