"""The configuration of the project, with the plans of its protocols."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

from contrastive_har.refining import refined_keys


class ProjectConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which adds the plans of all protocols to the parameters."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return a part of the configuration, such as ``parameters``.

        Raises:
            ParameterValidationError: if a protocol's settings are not valid.
        """
        configuration: dict[str, Any] = super().__getitem__(key)
        if key != "parameters":
            return configuration
        from kedro.validation.exceptions import ParameterValidationError

        from contrastive_har.protocols import PLANS, ProtocolError, plans_of  # slow to import

        if PLANS in configuration:
            return configuration
        try:
            return {**configuration, PLANS: plans_of(configuration)}
        except ProtocolError as error:
            raise ParameterValidationError(f"Parameter validation failed:\n- {error}") from error


def load_configuration(project: Path, **options: Any) -> OmegaConfigLoader:
    """Return the configuration of a bootstrapped project, without plans; ``options`` are those of the loader."""
    return OmegaConfigLoader(str(project / settings.CONF_SOURCE), **{**settings.CONFIG_LOADER_ARGS, **options})


def configured(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as configured, without plans."""
    from contrastive_har.protocols import PLANS

    return {name: value for name, value in parameters.items() if name != PLANS}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    return list(refined_keys(before, now))
