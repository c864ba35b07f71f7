"""The same nodes for many protocols, splits and methods: names filled in, and put into a namespace."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kedro.pipeline import Pipeline, pipeline


def bind(function: Callable[..., Any], **names: str) -> Callable[..., Any]:
    """Return ``function`` with keyword arguments filled in.

    Unlike ``functools.partial`` it keeps name and annotations, by which Kedro labels nodes and validates parameters.
    """

    @functools.wraps(function)
    def bound(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords, **names)

    signature = inspect.signature(function)
    free = [parameter for name, parameter in signature.parameters.items() if name not in names]
    bound.__signature__ = signature.replace(parameters=free)  # type: ignore[attr-defined]
    return bound


def in_namespace(
    stage: Pipeline, namespace: str, inputs: Mapping[str, str] | None = None, tags: str | None = None
) -> Pipeline:
    """Return a stage in a namespace ``protocol``, ``protocol.split`` or ``protocol.split.method``.

    Its parameter ``protocol`` becomes that protocol's; the others are those of all protocols.

    Args:
        stage: Its nodes.
        namespace: Where they go, with their data sets.
        inputs: Data sets from elsewhere: what the stage calls them, and what the catalog does.
        tags: Of the nodes.
    """
    parameters = {name: name for name in stage.inputs() if name.startswith("params:")}
    if "params:protocol" in parameters:
        parameters["params:protocol"] = f"params:{namespace.partition('.')[0]}"
    return pipeline(stage, namespace=namespace, inputs=dict(inputs or {}), parameters=parameters, tags=tags)
