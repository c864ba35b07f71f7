"""Node functions for one split or method: the same function with its names filled in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


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
