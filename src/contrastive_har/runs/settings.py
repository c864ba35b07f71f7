"""The configuration of the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from omegaconf import OmegaConf

from contrastive_har.refining import is_protocol, refined_keys, suggest

_CHECKED = ("parameters", "globals")  # the others are validated where they are used


class ProjectConfiguration(OmegaConfigLoader):
    """Refuses parameters that do not exist, which would change nothing.

    ``conf/base`` defines the parameters. Another environment may have protocols of its own. What protocols contain is
    checked where they are validated.
    """

    def _read_raw_config(self, key: str) -> Any:
        raw = base, environment, *_ = super()._read_raw_config(key)
        if key in _CHECKED:
            known: dict[str, Any] = {}
            for config in base.values():
                known |= OmegaConf.to_container(config, resolve=False)  # type: ignore[arg-type]
            for path, config in environment.items():
                given: Any = OmegaConf.to_container(config, resolve=False)
                own = {name for name, value in given.items() if is_protocol(value) or name.startswith("_")}
                _require_known({name: given[name] for name in given if name not in own}, known, str(path))
                known |= {name: given[name] for name in own}
            if key == "parameters":
                _require_known(self.runtime_params or {}, known, "--params")
        return raw


def _require_known(given: Mapping[str, Any], known: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """Refuse keys that are not known.

    Raises:
        ValueError: naming the nearest known key.
    """
    for name, value in given.items():
        if name not in known:
            among = [f"{prefix}{one}" for one in known]
            raise ValueError(f"{where}: there is no parameter '{prefix}{name}'. {suggest(f'{prefix}{name}', among)}")
        below = known[name]
        if isinstance(value, Mapping) and isinstance(below, Mapping) and below and not is_protocol(below):
            _require_known(value, below, where, f"{prefix}{name}.")


def load_configuration(project: Path, **options: Any) -> ProjectConfiguration:
    """Return the configuration of a bootstrapped project; ``options`` are those of the loader."""
    return ProjectConfiguration(str(project / settings.CONF_SOURCE), **{**settings.CONFIG_LOADER_ARGS, **options})


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    return list(refined_keys(before, now))
