"""The configuration of the project, with the plans that protocols make of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

from contrastive_har.refining import refined_keys


class ProjectConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which adds to the parameters the plans that protocols make for each of their parts."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind.

        Raises:
            ParameterValidationError: if a protocol's settings are not valid.
        """
        found: dict[str, Any] = super().__getitem__(key)
        if key != "parameters":
            return found
        from kedro.validation.exceptions import ParameterValidationError

        from contrastive_har.protocols import PLANS, ProtocolError, plans_of  # take seconds to import

        if PLANS in found:
            return found
        try:
            return {**found, PLANS: plans_of(found)}
        except ProtocolError as error:
            raise ParameterValidationError(f"Parameter validation failed:\n- {error}") from error


def load_configuration(project: Path, **options: Any) -> OmegaConfigLoader:
    """Return the configuration of a project that has been bootstrapped, without plans; options are the loader's."""
    return OmegaConfigLoader(str(project / settings.CONF_SOURCE), **{**settings.CONFIG_LOADER_ARGS, **options})


def configured(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as configured, without plans."""
    from contrastive_har.protocols import PLANS

    return {name: value for name, value in parameters.items() if name != PLANS}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    return list(refined_keys(before, now))
