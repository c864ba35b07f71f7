"""The same nodes for many protocols, splits and methods: names filled in, and put into a namespace."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kedro.pipeline import Pipeline, pipeline

from contrastive_har.protocols import PLANS


def bind(function: Callable[..., Any], **values: Any) -> Callable[..., Any]:
    """Return ``function`` with keyword arguments filled in.

    Unlike ``functools.partial`` it keeps name and annotations, by which Kedro labels nodes and validates parameters.
    """

    @functools.wraps(function)
    def bound(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords, **values)

    signature = inspect.signature(function)
    free = [parameter for name, parameter in signature.parameters.items() if name not in values]
    bound.__signature__ = signature.replace(parameters=free)  # type: ignore[attr-defined]
    return bound


def in_namespace(
    stage: Pipeline, namespace: str, inputs: Mapping[str, str], plan: str | None = None, tags: str | None = None
) -> Pipeline:
    """Return a stage in a namespace ``protocol``, ``protocol.split`` or ``protocol.split.method``.

    Its parameter ``protocol`` becomes that protocol's, its parameter ``plan`` one of the protocol's plans; the others
    are those of all protocols.

    Args:
        stage: Its nodes.
        namespace: Where they go, with their data sets.
        inputs: Data sets from elsewhere: what the stage calls them, and what the catalog does.
        plan: Which of the protocol's plans, such as ``pretraining.simclr``.
        tags: Of the nodes.
    """
    protocol = namespace.partition(".")[0]
    parameters = {name: name for name in stage.inputs() if name.startswith("params:")}
    for local, name in (("params:protocol", protocol), ("params:plan", f"{PLANS}.{protocol}.{plan}")):
        if local in parameters:
            parameters[local] = f"params:{name}"
    return pipeline(stage, namespace=namespace, inputs=dict(inputs), parameters=parameters, tags=tags)
