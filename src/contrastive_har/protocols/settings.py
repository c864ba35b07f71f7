"""The settings of a protocol and of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, model_validator

from contrastive_har.labelling.trials import ChoosingSettings
from contrastive_har.learning.evaluation.settings import EvaluationPlan, EvaluationSettings
from contrastive_har.learning.pretraining.plans import PretrainingBudget, PretrainingPlan
from contrastive_har.learning.tuning.plans import SearchSettings
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.protocols.checks import IllPosedError
from contrastive_har.protocols.methods import MethodSettings, RegistrationPlan, ViewsPlan, complete_rows
from contrastive_har.refining import plain, refine
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.claims import Claim
from contrastive_har.signals.budgets import LabelBudget, parse_budget, sort_budgets
from contrastive_har.signals.cutting import WindowSettings
from contrastive_har.signals.descriptions import WebAddress
from contrastive_har.signals.normalisation import NormalisedBy
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.splits import SplitPlan, SplitSettings
from contrastive_har.sources import modalities_of_sources
from contrastive_har.strict import StrictModel


class ProtocolSettings(StrictModel):
    """Everything that defines a protocol and its budget.

    Attributes:
        title: Title in reports.
        part_of: Pipeline that runs this protocol along with others; None runs it alone, under its own name.
        citation: Publication of the protocol.
        url: Address of the publication.
        repeats: Independent repetitions: other initial weights, batches, label draws and (where held out) subjects.
        windows: How recordings are cut.
        windows_of: How recordings of particular data sets are cut, by data set; partial settings refine ``windows``.
        label_budgets: Label budgets of the evaluations.
        splits: Ways to divide the windows, by name.
        encoder: Encoder of every method, unless its row refines it.
        encoders: Other encoders of single modalities, by modality; the same for every method.
        normalisation: How channels are normalised, for every method (:class:`BackboneSettings`).
        budget: Pre-training budget of every method, unless its row refines it.
        methods: Rows of the result tables, by name.
        compared_with: The method that paired tests compare all others with. Testing all pairs would leave no power
            after Holm's correction.
        claims: What methods are said to show, each with the rows that have to be beaten for it, by name.
        evaluations: Evaluations of encoders, by name.
        registered_at: The label budget with which the registered recogniser is trained; null takes the smallest that
            all evaluations are run with.
        choosing: Strategies that choose the windows to label, tried on every method's encoders in place of its
            evaluations.
        search: Settings of every method that are tried and chosen on validation windows.
        sweep: Dotted name of a numeric setting of the rows, such as ``objective.negatives.concentration``, in which
            they differ: the report shows scores against it, and what choosing it on validation windows gives.
    """

    title: str
    part_of: str | None = None
    citation: str = ""
    url: WebAddress = ""
    repeats: int = Field(gt=0)
    windows: WindowSettings
    windows_of: dict[str, WindowSettings] = Field(default_factory=dict)
    label_budgets: tuple[LabelBudget, ...] = Field(min_length=1)
    splits: dict[str, SplitSettings] = Field(min_length=1)
    encoder: EncoderSettings = TPNSettings()
    encoders: dict[str, EncoderSettings] = Field(default_factory=dict)
    normalisation: NormalisedBy = "channel"
    budget: PretrainingBudget
    methods: dict[str, MethodSettings] = Field(min_length=1)
    compared_with: str
    claims: dict[str, Claim] = Field(default_factory=dict)
    evaluations: dict[str, EvaluationSettings] = Field(min_length=1)
    registered_at: LabelBudget | None = None
    choosing: ChoosingSettings | None = None
    search: SearchSettings | None = None
    sweep: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _refine(cls, values: Any) -> Any:
        """Complete partial settings: rows, and the windows of particular data sets."""
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        windows, rows = values.get("windows"), values.get("methods")
        if isinstance(windows, Mapping) and isinstance(values.get("windows_of"), Mapping):
            values["windows_of"] = {name: refine(windows, partial) for name, partial in values["windows_of"].items()}
        if isinstance(rows, Mapping):
            values["methods"] = complete_rows(values, rows)
        return values

    @model_validator(mode="after")
    def _is_consistent(self) -> ProtocolSettings:
        if self.compared_with not in self.methods:
            raise ValueError(f"compared_with is '{self.compared_with}'; choose one of {', '.join(self.methods)}")
        names = [budget.name for budget in self.label_budgets]
        if len(set(names)) != len(names):
            raise ValueError(f"label_budgets lists one twice: {names}")
        for name, settings in self.evaluations.items():
            self._check_evaluation(name, settings)
        if self.registered_at is not None and self.registered_at.name not in names:
            raise ValueError(f"registered_at is '{self.registered_at.name}'; choose one of {', '.join(names)}")
        if not self.budgets_of_all:
            raise ValueError("at least one of label_budgets must be for all evaluations")
        for name, method in self.methods.items():
            self._check_method(name, method)
        if self.sweep is not None and len(set(self.swept().values())) <= 1:
            raise ValueError(f"sweep is '{self.sweep}', in which no two rows differ")
        self._check_tests()
        if self.search is not None:
            plans = ((self.pretraining_plan(name, 0), self.evaluation_plan(name, 0)) for name in self.methods)
            self.search.require([self.search.plan(*of_row) for of_row in plans], self.splits)
        return self

    def _check_tests(self) -> None:
        """Refuse rows whose label budgets leave no test windows in a split that holds nothing out."""
        if len(self.label_budgets) == 1 or all(split.holds_out for split in self.splits.values()):
            return
        partial = [budget for budget in self.label_budgets if not budget.labels_everything]
        for name, method in self.methods.items():
            if not any(self.evaluations[evaluation].is_for(b) for evaluation in method.evaluations for b in partial):
                split = next(split for split, settings in self.splits.items() if not settings.holds_out)
                raise ValueError(
                    f"the evaluations of method '{name}' run with all labels only, which leaves split '{split}' no "
                    "window to test on; add a smaller label budget, or hold something out"
                )

    def _check_evaluation(self, name: str, settings: EvaluationSettings) -> None:
        known = {budget.name for budget in self.label_budgets}
        if unknown := [budget.name for budget in settings.label_budgets or () if budget.name not in known]:
            raise ValueError(
                f"evaluation '{name}' asks for label budgets {unknown}; list them in the protocol's label_budgets, "
                "or change the evaluation's"
            )
        if not settings.head.fitted:
            for budget in self.label_budgets:
                if settings.is_for(budget):
                    settings.batch_size_for(budget)
        without_validation = [split for split, of_split in self.splits.items() if not of_split.validates]
        if len(settings.learning_rates) > 1 and without_validation:
            raise ValueError(
                f"evaluation '{name}' chooses among learning rates on validation windows, but split "
                f"'{without_validation[0]}' has none; give it a validation_share, or the evaluation one learning_rate"
            )

    def _check_method(self, name: str, method: MethodSettings) -> None:
        if unknown := set(method.evaluations) - set(self.evaluations):
            raise ValueError(
                f"method '{name}' asks for unknown evaluations {sorted(unknown)}; there are "
                f"{', '.join(self.evaluations)}"
            )
        for evaluation in method.evaluations:
            chosen = self.evaluations[evaluation].modalities
            if method.modalities and isinstance(chosen, tuple) and (more := set(chosen) - set(method.modalities)):
                raise ValueError(
                    f"evaluation '{evaluation}' uses modalities {sorted(more)}, for which method '{name}' has no "
                    "encoder; add them to its modalities, or leave the evaluation out"
                )
        if problem := method.budget.problem(method.objective):
            raise ValueError(f"method '{name}' {problem}")
        for encoder in method.backbone.all:
            if refusal := method.objective.refusal(encoder):
                raise ValueError(f"method '{name}' {refusal}")
            for evaluation in method.evaluations:
                stages = self.evaluations[evaluation].trained_stages
                if stages != "all" and stages > encoder.depth:
                    raise ValueError(
                        f"evaluation '{evaluation}' trains {stages} stages, but the encoder of method '{name}' has "
                        f"{encoder.depth}; lower trained_stages or set it to all"
                    )

    @property
    def budgets_of_all(self) -> list[LabelBudget]:
        """The label budgets that every evaluation is run with."""
        evaluations = self.evaluations.values()
        return [budget for budget in self.label_budgets if all(settings.is_for(budget) for settings in evaluations)]

    @property
    def fewest_labels(self) -> LabelBudget:
        """The smallest label budget common to all evaluations, for which details are shown."""
        return parse_budget(sort_budgets([budget.name for budget in self.budgets_of_all])[0])

    def swept(self) -> dict[str, float]:
        """Return the value of the setting of the sweep by method, of the methods that have it."""
        values = {}
        for name, method in self.methods.items():
            value: Any = plain(method)
            for key in (self.sweep or "").split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                values[name] = float(value)
        return values

    @property
    def trained_apart(self) -> str | None:
        """The first method that trains each modality by itself, to compare the method ``compared_with`` with."""
        rows, reference = self.methods.items(), self.methods[self.compared_with]
        apart = (name for name, row in rows if row.objective.trains and not row.objective.joins_modalities)
        return next(apart, None) if reference.objective.joins_modalities else None

    def methods_for(self, dataset: str) -> dict[str, MethodSettings]:
        """Return the rows for a data set."""
        return {name: method for name, method in self.methods.items() if method.is_for(dataset)}

    def windows_for(self, dataset: str) -> WindowSettings:
        """Return how a data set's recordings are cut."""
        return self.windows_of.get(dataset, self.windows)

    def settings_of(self, cell: Cell, dataset: str) -> dict[str, Any]:
        """Return all settings that the encoders of one cell depend on, as plain values."""
        row = self.methods[cell.method]
        return {
            "repeats": self.repeats,
            "windows": plain(self.windows_for(dataset)),
            "split": plain(self.splits[cell.split]),
            "objective": plain(row.objective),
            "backbone": plain(row.backbone),
            "budget": plain(row.budget),
        }

    def split_plan(self, split: str, seed: int) -> SplitPlan:
        """Return all settings that determine the roles of one split."""
        return SplitPlan(
            name=split, split=self.splits[split], label_budgets=self.label_budgets, repeats=self.repeats, seed=seed
        )

    def pretraining_plan(self, method: str, seed: int) -> PretrainingPlan:
        """Return all settings that determine the pre-training of one row."""
        row = self.methods[method]
        return PretrainingPlan(
            name=method,
            objective=row.objective,
            backbone=row.backbone,
            budget=row.budget,
            repeats=self.repeats,
            seed=seed,
        )

    def evaluation_plan(self, method: str, seed: int) -> EvaluationPlan:
        """Return all settings that determine the evaluation of one row."""
        return EvaluationPlan(
            name=method,
            evaluations={name: self.evaluations[name] for name in self.methods[method].evaluations},
            label_budgets=self.label_budgets,
            shown=self.fewest_labels,
            seed=seed,
        )

    def registration_plan(self) -> RegistrationPlan:
        """Return all settings that determine which recogniser is registered."""
        return RegistrationPlan(label_budget=self.registered_at or self.fewest_labels)

    def views_plan(self, seed: int) -> ViewsPlan:
        """Return the views of all methods, without duplicates."""
        return ViewsPlan.of(self.methods, self.normalisation, seed)

    def require_modalities(self, method: str, layout: Layout) -> None:
        """Refuse a method that names modalities which the windows do not have.

        Encoders and views may be for modalities of other data sets, as a protocol serves several.

        Raises:
            IllPosedError: naming the method, the modalities and the cure.
        """
        row, known = self.methods[method], layout.modalities
        elsewhere = {*modalities_of_sources(), *(name for cut in self.windows_of.values() for name in cut.modalities)}
        named: dict[str, Iterable[str]] = {"modalities": row.modalities or ()}
        for name in row.evaluations:
            chosen = self.evaluations[name].modalities
            named[f"evaluation '{name}'"] = chosen if isinstance(chosen, tuple) else ()
        named["encoders"] = set(row.encoders) - elsewhere
        named["objective"] = set(row.objective.modalities) - elsewhere
        for what, modalities in named.items():
            if unknown := [modality for modality in modalities if modality not in known]:
                raise IllPosedError(
                    f"Method '{method}' asks for modalities {unknown} in its {what}; the data set has "
                    f"{', '.join(known)}. Correct them, or the data set's description."
                )

    def require_length(self, method: str, layout: Layout, dataset: str) -> None:
        """Refuse windows of a data set that are too short for a method's encoders.

        Raises:
            IllPosedError: naming the method and the cure.
        """
        row = self.methods[method]
        shortest = row.backbone.shortest_window(row.modalities or layout.modalities)
        if layout.length < shortest:
            windows = f"windows_of.{dataset}" if dataset in self.windows_of else "windows"
            raise IllPosedError(
                f"Windows of {layout.length} samples are too short for the encoder of method '{method}', which needs "
                f"{shortest}. Lengthen {windows}.length."
            )
