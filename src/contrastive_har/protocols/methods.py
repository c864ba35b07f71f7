"""The rows of a protocol's result tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.objectives.views import OTHER
from contrastive_har.learning.pretraining.plans import BackboneSettings, PretrainingBudget
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.refining import refine, resolve_bases
from contrastive_har.signals.augmentations import View
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.normalisation import NormalisedBy
from contrastive_har.strict import StrictModel

REFINED = ("encoder", "encoders", "normalisation", "budget")
"""Settings of a protocol that its rows refine."""

_PRETRAINED = ("objective", "modalities", *REFINED)
"""Settings of a row that its pre-training depends on."""


class MethodSettings(StrictModel):
    """One row of the result tables.

    In configuration a row may be partial: ``base`` names another row whose settings it inherits and refines;
    ``encoder``, ``encoders``, ``normalisation`` and ``budget`` refine those of the protocol.

    Attributes:
        title: Name in tables and figures.
        description: A sentence about the method, for the report.
        datasets: Data sets for which there is this row; null: all.
        objective: Pre-training objective.
        encoder: Encoder of each modality.
        encoders: Other encoders of single modalities, by modality.
        modalities: The modalities that have an encoder; null takes all.
        beside: Encoders that learn nothing, whose features stand beside the embedding (:class:`BackboneSettings`).
        normalisation: How channels are normalised (:class:`BackboneSettings`).
        budget: Pre-training budget.
        evaluations: Names of the evaluations it is scored with.
    """

    title: str
    description: str = ""
    datasets: tuple[str, ...] | None = None
    objective: ObjectiveSettings
    encoder: EncoderSettings
    encoders: dict[str, EncoderSettings] = Field(default_factory=dict)
    modalities: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    beside: tuple[EncoderSettings, ...] = ()
    normalisation: NormalisedBy = "channel"
    budget: PretrainingBudget
    evaluations: tuple[str, ...] = Field(min_length=1)

    def is_for(self, dataset: str) -> bool:
        """Return whether there is this row for a data set."""
        return self.datasets is None or dataset in self.datasets

    @property
    def backbone(self) -> BackboneSettings:
        """The encoder of each modality."""
        return BackboneSettings(
            encoder=self.encoder,
            encoders=self.encoders,
            modalities=self.modalities,
            beside=self.beside,
            normalisation=self.normalisation,
        )


class ViewsPlan(StrictModel):
    """The views of windows that the methods of a protocol use.

    Attributes:
        views: The views by modality, without duplicates; ``other`` has those of all modalities that are not listed.
        normalisation: How channels are normalised (:class:`BackboneSettings`).
        seed: Seed of the whole run.
    """

    views: dict[str, tuple[View, ...]]
    normalisation: NormalisedBy = "channel"
    seed: int

    def of_modality(self, modality: str) -> tuple[View, ...]:
        """Return the views of a modality."""
        return self.views.get(modality, self.views[OTHER])

    @classmethod
    def of(cls, methods: Mapping[str, MethodSettings], normalisation: NormalisedBy, seed: int) -> ViewsPlan:
        """Return the views of some methods."""
        objectives = [method.objective for method in methods.values()]
        modalities = dict.fromkeys([*(name for objective in objectives for name in objective.modalities), OTHER])
        views = {
            modality: tuple(dict.fromkeys(view for one in objectives for view in one.views_of(modality) if view))
            for modality in modalities
        }
        return cls(views=views, normalisation=normalisation, seed=seed)


class RegistrationPlan(StrictModel):
    """All settings that determine which recogniser is registered.

    Attributes:
        label_budget: Label budget of the recogniser.
    """

    label_budget: LabelBudget


def complete_rows(protocol: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return complete settings of partial rows, which refine those of the protocol and of their bases."""
    defaults: dict[str, Any] = {"encoder": {"name": "tpn"}, "encoders": {}, "normalisation": "channel", "budget": {}}
    above = {name: protocol.get(name, default) for name, default in defaults.items()}
    return {
        name: refine(above, _without_nulls(row)) if isinstance(row, Mapping) else row
        for name, row in resolve_bases(rows).items()
    }


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without refining settings that are None: they refine nothing."""
    return {key: value for key, value in row.items() if value is not None or key not in REFINED}


def trained_once(rows: Mapping[str, Any]) -> dict[str, str]:
    """Return which rows take the encoders of another one, which is trained with the same settings; its name by theirs.

    Rows that differ only in what stands beside their encoders, or in their evaluations, are thus trained once.

    Args:
        rows: Rows of a protocol as configured.
    """
    trained: dict[str, str] = {}
    taken = {}
    for name, row in resolve_bases(rows).items():
        settings = json.dumps({key: row[key] for key in _PRETRAINED if key in row}, sort_keys=True)
        if row["objective"]["name"] == UntrainedSettings.model_fields["name"].default:
            continue
        if trained.setdefault(settings, name) != name:
            taken[name] = trained[settings]
    return taken
