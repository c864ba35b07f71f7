"""Reuse of nodes for many protocols, splits and methods: bound arguments and namespaces."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from kedro.pipeline import Pipeline, pipeline

from contrastive_har.protocols import PLANS
from contrastive_har.scores.cells import Cell

CHART = "_chart"
"""End of the names of charts, after that of the figure."""


def bind(function: Callable[..., Any], **values: Any) -> Callable[..., Any]:
    """Return ``function`` with keyword arguments filled in.

    Unlike ``functools.partial``, this keeps name and annotations, by which Kedro labels nodes and validates parameters.
    """

    @functools.wraps(function)
    def bound(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords, **values)

    signature = inspect.signature(function)
    free = [parameter for name, parameter in signature.parameters.items() if name not in values]
    bound.__signature__ = signature.replace(parameters=free)  # type: ignore[attr-defined]
    return bound


def in_namespace(
    stage: Pipeline,
    namespace: str,
    inputs: Mapping[str, str],
    plan: str | None = None,
    tags: str | None = None,
    outputs: Mapping[str, str] = MappingProxyType({}),
) -> Pipeline:
    """Return a stage in a namespace ``protocol``, ``protocol.split`` or ``protocol.split.method``.

    The stage's parameter ``protocol`` is mapped to the settings of the protocol, and ``plan`` to one of its plans; the
    other parameters are shared by all protocols.

    Args:
        stage: Pipeline with local names.
        namespace: Namespace of the nodes and their data sets.
        inputs: Data sets outside the namespace: catalog name by local name.
        plan: The plan of the protocol, such as ``pretraining.simclr``.
        tags: Tags of the nodes.
        outputs: Results that belong into another namespace: catalog name by local name.
    """
    protocol = namespace.partition(".")[0]
    parameters = {name: name for name in stage.inputs() if name.startswith("params:")}
    for local, name in (("params:protocol", protocol), ("params:plan", f"{PLANS}.{protocol}.{plan}")):
        if local in parameters:
            parameters[local] = f"params:{name}"
    return pipeline(
        stage, namespace=namespace, inputs=dict(inputs), outputs=dict(outputs), parameters=parameters, tags=tags
    )


def from_cells(cells: Iterable[Cell], name: str) -> dict[str, str]:
    """Return the local name of an artifact of each cell by its catalog name; underscores replace the dots."""
    return {cell.artifact(name): f"{cell.split}__{cell.method}__{name}" for cell in cells}


def from_splits(cells: Iterable[Cell], name: str) -> dict[str, str]:
    """Return the local name of an artifact of each split of some cells by its catalog name."""
    return {f"{cell.protocol}.{cell.split}.{name}": f"{cell.split}__{name}" for cell in cells}


def inverted(names: Mapping[str, str]) -> dict[str, str]:
    """Return catalog names by local name, given the reverse."""
    return {local: name for name, local in names.items()}


def concatenate(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the tables of all splits and methods as one long table."""
    return pd.concat(tables, ignore_index=True)


def with_charts(*figures: str) -> list[str]:
    """Return the names of figures, each followed by the name of the chart that shows the same in a browser."""
    return [name for figure in figures for name in (figure, f"{figure}{CHART}")]
