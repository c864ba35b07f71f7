"""The configuration of the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

from contrastive_har.refining import refined_keys


def load_configuration(project: Path, **options: Any) -> OmegaConfigLoader:
    """Return the configuration of a bootstrapped project; ``options`` are those of the loader."""
    return OmegaConfigLoader(str(project / settings.CONF_SOURCE), **{**settings.CONFIG_LOADER_ARGS, **options})


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    return list(refined_keys(before, now))
