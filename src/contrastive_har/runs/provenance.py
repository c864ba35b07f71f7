"""Checks that scores are reported with the settings by which they were computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from contrastive_har.protocols import ProtocolSettings
from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.settings import differences
from contrastive_har.scores.cells import Cell

_TEXTS = ("title", "description")  # settings that a later report may change


def require_same_settings(read: Mapping[str, str], manifests: Manifests, parameters: Mapping[str, Any]) -> None:
    """Refuse stored scores that were computed with other settings than a report of them would state.

    Args:
        read: Versions of the data sets to read, by name.
        manifests: Manifests of all runs, with the parameters of the runs that stored the scores.
        parameters: Parameters as configured now.

    Raises:
        ValueError: naming the settings and the cure.
    """
    for name, version in read.items():
        namespace, _, kind = name.rpartition(".")
        manifest = manifests.find(version) if namespace and kind == "scores" else None
        if manifest is None:
            continue
        for cell in _cells_of(namespace, parameters):
            before, now = (_settings_of(each, cell) for each in (manifest.parameters, parameters))
            changed = [path for path in sorted(differences(before, now)) if path.rpartition(".")[2] not in _TEXTS]
            if changed:
                raise ValueError(
                    f"The scores of {cell.namespace} in run {version} were made with other settings: "
                    f"{', '.join(changed)}. Report with the --env and --params of that run, or run the whole protocol "
                    "again."
                )


def _cells_of(namespace: str, parameters: Mapping[str, Any]) -> list[Cell]:
    """Return the cell of a namespace, or all cells of a protocol."""
    if cell := Cell.parse(namespace):
        return [cell]
    settings = ProtocolSettings.model_validate(parameters[namespace])
    return [Cell(namespace, split, method) for split in settings.splits for method in settings.methods]


def _settings_of(parameters: Mapping[str, Any], cell: Cell) -> dict[str, Any]:
    """Return the settings that the scores of one cell depend on; empty if there were no such scores."""
    try:
        settings = ProtocolSettings.model_validate(parameters[cell.protocol])
    except (KeyError, ValidationError):  # of an older release
        return {}
    if cell.split not in settings.splits or cell.method not in settings.methods:
        return {}
    named = settings.methods[cell.method].evaluations
    return {
        "seed": parameters["seed"],
        **settings.settings_of(cell, parameters["dataset"]),
        "evaluations": {name: settings.evaluations[name].model_dump(mode="json") for name in named},
        "label_budgets": [budget.name for budget in settings.label_budgets],
    }
