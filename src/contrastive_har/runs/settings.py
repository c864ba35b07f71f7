"""The project's settings: read outside a session, and as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from pydantic import BaseModel


def load_configuration(project: Path, **options: Any) -> OmegaConfigLoader:
    """Return the configuration of a project that has been bootstrapped; options are the loader's."""
    return OmegaConfigLoader(str(project / settings.CONF_SOURCE), **{**settings.CONFIG_LOADER_ARGS, **options})


def plain(value: Any) -> Any:
    """Return validated settings as plain values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return value


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    found = []
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}")
    return found
