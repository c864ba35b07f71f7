"""windows, roles -> history, encoders: once per split and method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kedro.pipeline import Node, Pipeline

from contrastive_har.pipelines.binding import in_namespace
from contrastive_har.pipelines.pretraining.nodes import pretrain_encoders, take_encoders
from contrastive_har.scores.cells import Cell


def create_pipeline(cells: list[Cell], trained_once: Mapping[str, str]) -> Pipeline:
    """Return the pre-training stage of a protocol.

    Args:
        cells: All cells of the protocol.
        trained_once: Methods that take the encoders of another one: its name by theirs.
    """
    parts = (
        _taken(cell, replace(cell, method=trained_once[cell.method])) if cell.method in trained_once else _trained(cell)
        for cell in cells
    )
    return sum(parts, Pipeline([]))


def _taken(cell: Cell, trained: Cell) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=take_encoders,
                inputs=["windows", "roles", "trained_history", "trained_encoders", "params:plan"],
                outputs=["history", "encoders"],
                name="take_encoders",
            )
        ]
    )
    return in_namespace(
        stage,
        cell.namespace,
        inputs={
            "windows": f"{cell.protocol}.windows",
            "roles": f"{cell.protocol}.{cell.split}.roles",
            "trained_history": trained.artifact("history"),
            "trained_encoders": trained.artifact("encoders"),
        },
        plan=f"pretraining.{cell.method}",
        tags="pretraining",
    )


def _trained(cell: Cell) -> Pipeline:
    stage = Pipeline(
        [
            Node(
                func=pretrain_encoders,
                inputs=["windows", "roles", "method_check", "params:plan", "params:compute", "checkpoints"],
                outputs=["history", "encoders"],
                name="pretrain_encoders",
            )
        ]
    )
    return in_namespace(
        stage,
        cell.namespace,
        inputs={
            **{name: f"{cell.protocol}.{name}" for name in ("windows", "checkpoints")},
            "roles": f"{cell.protocol}.{cell.split}.roles",
            "method_check": f"{cell.protocol}.{cell.split}.method_check",
        },
        plan=f"pretraining.{cell.method}",
        tags="pretraining",
    )
