"""Scores are reported with the settings they were made with, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from pydantic import ValidationError

from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.settings import differences

_WORDS = ("title", "description")  # which a later report may change


def require_same_settings(read: Mapping[str, str], manifests: Manifests, parameters: Mapping[str, Any]) -> None:
    """Refuse stored scores that were made with other settings than a report of them would state.

    Args:
        read: Versions of what is read, by name.
        manifests: Know the parameters of the runs that made them.
        parameters: As configured now.

    Raises:
        ValueError: naming the settings and the cure.
    """
    for name, version in read.items():
        *owner, kind = name.split(".")
        made = manifests.find(version) if owner and kind == "scores" else None
        if made is None:
            continue
        protocol, *cell = owner
        settings = ProtocolSettings.model_validate(parameters[protocol])
        cells = [tuple(cell)] if cell else product(settings.splits, settings.methods)
        for split, method in cells:
            then, now = (_settings_of(each, protocol, split, method) for each in (made.parameters, parameters))
            changed = [path for path in sorted(differences(then, now)) if path.rpartition(".")[2] not in _WORDS]
            if changed:
                raise ValueError(
                    f"The scores of {protocol}.{split}.{method} in run {version} were made with other settings: "
                    f"{', '.join(changed)}. Report with the --env and --params of that run, or run the whole protocol "
                    "again."
                )


def _settings_of(parameters: Mapping[str, Any], protocol: str, split: str, method: str) -> dict[str, Any]:
    """Return the settings that one method's scores on one split depend on; none if there were no such scores."""
    try:
        settings = ProtocolSettings.model_validate(parameters[protocol])
    except (KeyError, ValidationError):  # an older release's
        return {}
    if split not in settings.splits or method not in settings.methods:
        return {}
    named = settings.methods[method].evaluations
    return {
        "seed": parameters["seed"],
        **settings.of_cell(split, method, parameters["dataset"]),
        "evaluations": {name: settings.evaluations[name].model_dump(mode="json") for name in named},
        "label_fractions": [fraction.model_dump(mode="json") for fraction in settings.label_fractions],
    }
