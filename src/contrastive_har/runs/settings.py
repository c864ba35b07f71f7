"""The configuration of the project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ValidationError

from contrastive_har.refining import is_protocol, is_replaced, refined_keys, suggest

_PACKAGE = Path(__file__).parents[1]
_CHECKED = ("parameters", "globals")  # the others are validated where they are used
_NEAR = 0.75  # similarity of names, from which one is taken for a misspelling of the other
_Settings = TypeVar("_Settings", bound=BaseModel)


class ProjectConfiguration(OmegaConfigLoader):
    """Refuses parameters that do not exist, which would change nothing.

    ``conf/base`` defines the parameters. Another environment may have protocols of its own. What protocols contain is
    checked where they are validated. A mapping with another ``name`` replaces one of ``conf/base`` as a whole.
    """

    def _read_raw_config(self, key: str) -> Any:
        raw = base, environment, *_ = super()._read_raw_config(key)
        if key in _CHECKED:
            known: dict[str, Any] = {}
            for config in base.values():
                known |= OmegaConf.to_container(config, resolve=False)  # type: ignore[arg-type]
            below = list(base.values())
            for path, config in environment.items():
                given: Any = OmegaConf.to_container(config, resolve=False)
                own = {name for name, value in given.items() if is_protocol(value) or name.startswith("_")}
                _require_known({name: given[name] for name in given if name not in own}, known, str(path))
                known |= {name: given[name] for name in own}
                _empty_replaced(below, given)
            if key == "parameters":
                _require_known(self.runtime_params or {}, known, "--params")
                _empty_replaced([*below, *environment.values()], self.runtime_params or {})
        return raw

    def _merge_configs(self, config: Any, env_config: Any, key: str, env_path: str) -> Any:
        # Merging copies all it gets, which takes as long as reading it.
        touched = {name: value for name, value in config.items() if name in env_config}
        return {**config, **super()._merge_configs(touched, env_config, key, env_path)}

    def _read_dir_configs(self, conf_path: str, *arguments: Any, **options: Any) -> Any:
        # An installed package has no folder for a user's own settings.
        is_optional = self.env is None and conf_path == self._get_conf_env_path(self.default_run_env)
        if is_optional and not self._fs.isdir(conf_path):
            return {}
        for path in _misnamed(Path(conf_path), self.config_patterns):
            raise ValueError(f"{path} is not read. {suggest(path.stem, self.config_patterns)} Rename or delete it.")
        try:
            return super()._read_dir_configs(conf_path, *arguments, **options)
        except Exception as error:
            # Errors of the libraries that read it do not name the file, or not in one line.
            for path in sorted(Path(conf_path).glob("*.y*ml")):
                if fault := _fault(path):
                    raise ValueError(f"{path}: {fault}. Correct or delete it.") from error
            raise


def _misnamed(folder: Path, kinds: Iterable[str]) -> list[Path]:
    """Return the files of a configuration whose names are nearly those of files that are read.

    Args:
        folder: One environment.
        kinds: What names begin with.
    """
    unread = (path for path in sorted(folder.glob("*.y*ml")) if not path.stem.startswith((*kinds, "logging")))
    return [path for path in unread if get_close_matches(path.stem.partition("_")[0], kinds, 1, _NEAR)]


def _fault(path: Path) -> str | None:
    """Return what is wrong with a file of the configuration."""
    from contrastive_har.files.stamps import explain  # which imports torch

    try:
        content = OmegaConf.load(path)
    except Exception as error:  # noqa: BLE001 - of YAML, its texts and OmegaConf
        return explain(error)
    return None if isinstance(content, DictConfig) else "it has no keys with values"


def _require_known(given: Mapping[str, Any], known: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """Refuse keys that are not known, and single values in place of settings.

    Raises:
        ValueError: naming the nearest known key, or the settings.
    """
    for name, value in given.items():
        if name not in known:
            among = [f"{prefix}{one}" for one in known]
            raise ValueError(f"{where}: there is no parameter '{prefix}{name}'. {suggest(f'{prefix}{name}', among)}")
        below = known[name]
        is_single = not isinstance(value, Mapping) and not str(value).startswith("${")
        if is_single and isinstance(below, Mapping) and below:
            raise ValueError(
                f"{where}: '{prefix}{name}' is not a value but has settings, such as "
                f"'{prefix}{name}.{next(iter(below))}'."
            )
        if not isinstance(value, Mapping) or not isinstance(below, Mapping) or is_replaced(below, value):
            continue  # what replaces settings is checked where it is used
        if below and not is_protocol(below):
            _require_known(value, below, where, f"{prefix}{name}.")


def _empty_replaced(configs: Iterable[DictConfig], given: Mapping[str, Any]) -> None:
    """Remove the settings that given ones of another name replace, as the libraries that merge them would keep them."""
    for config in configs:
        for name, value in given.items():
            current = config._get_node(name) if isinstance(value, Mapping) else None  # not resolved
            if not isinstance(current, DictConfig):
                continue
            if is_replaced(current, value):
                config[name] = {}
            else:
                _empty_replaced([current], value)


def configuration_folder(project: Path) -> Path:
    """Return the folder of a project's configuration; where it has none, that of the package."""
    own: Path = project / settings.CONF_SOURCE
    of_checkout, of_wheel = _PACKAGE.parents[1] / own.name, _PACKAGE / own.name
    return next((folder for folder in (own, of_wheel, of_checkout) if folder.is_dir()), own)


def load_configuration(project: Path, **options: Any) -> ProjectConfiguration:
    """Return the configuration of a bootstrapped project; ``options`` are those of the loader."""
    return ProjectConfiguration(str(configuration_folder(project)), **{**settings.CONFIG_LOADER_ARGS, **options})


OF_SESSIONS = ("run_id", "resume")
"""Parameters that say how to run, not what."""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values in which nested settings differ."""
    return list(refined_keys(before, now))


def settings_of(kind: type[_Settings], configuration: Mapping[str, Any], name: str) -> _Settings:
    """Return the validated settings in a file of the configuration, such as ``mlflow``.

    Raises:
        ValueError: naming the file and the key.
    """
    try:
        return kind.model_validate(dict(configuration[name]))
    except ValidationError as error:
        from contrastive_har.files.stamps import explain  # which imports torch

        raise ValueError(f"{name}.yml: {explain(error)}") from error
