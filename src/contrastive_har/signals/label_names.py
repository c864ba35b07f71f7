"""How activities are spelled for heads that read their names.

Reading this imports nothing heavy: it is configuration, which is read before anything is run.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from contrastive_har.files.texts import read_yaml
from contrastive_har.strict import StrictModel


class LabelNames(StrictModel):
    """How the activities of a data set are spelled.

    Attributes:
        source: Where the spelling is from.
        names: The spelling by name of the activity; activities that are not listed are spelled as they are.
    """

    source: str
    names: dict[str, str]


def label_names(dataset: str, path: str | None = None) -> dict[str, str]:
    """Return how activities are spelled for heads that read their names, by name of the activity.

    Args:
        dataset: Name of a data set; those without other names than their own have none.
        path: A YAML file with ``source`` and ``names`` to take instead.

    Raises:
        ValueError: if the file cannot be read or says something else.
    """
    if path is None:
        return _known()[dataset].names if dataset in _known() else {}
    try:
        return LabelNames.model_validate(read_yaml(Path(path))).names
    except (OSError, ValueError) as error:  # also those of pydantic
        from contrastive_har.files.stamps import explain

        raise ValueError(f"label_names: {path} is no file with 'source' and 'names' ({explain(error)}).") from error


@cache  # every head that reads names asks, whenever the configuration is read
def _known() -> dict[str, LabelNames]:
    text = resources.files("contrastive_har.signals").joinpath("label_names.yml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, LabelNames]).validate_python(yaml.safe_load(text))
