"""A protocol is data: windows, splits, label budgets, methods and evaluations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contrastive_har.learning.evaluation.settings import EvaluationPlan, EvaluationSettings
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.pretraining.plans import FEWEST, BackboneSettings, PretrainingBudget, PretrainingPlan
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.refining import refine, refined_keys, resolve_bases
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.augmentations import View
from contrastive_har.signals.budgets import LabelBudget, parse_budget, sort_budgets
from contrastive_har.signals.cutting import WindowSettings
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.splits import SplitPlan, SplitSettings

PLANS = "plans"
"""The parameter under which pipelines find the plans of every protocol."""


class MethodSettings(BaseModel):
    """One row of the result tables.

    In configuration a row may be partial: ``base`` names another row whose settings it takes over and refines;
    ``encoder`` and ``budget`` refine the protocol's.

    Attributes:
        title: For readers.
        description: A sentence that explains it to them.
        objective: What its encoders are trained with.
        encoder: What is trained.
        encoders: The encoders of single modalities, where they differ.
        budget: How long it is pre-trained.
        evaluations: Names of the evaluations that judge it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str = ""
    objective: ObjectiveSettings
    encoder: EncoderSettings
    encoders: dict[str, EncoderSettings] = {}
    budget: PretrainingBudget
    evaluations: tuple[str, ...] = Field(min_length=1)

    @property
    def backbone(self) -> BackboneSettings:
        """Which encoder each modality has."""
        return BackboneSettings(encoder=self.encoder, encoders=self.encoders)


class ViewsPlan(BaseModel):
    """The views of windows that the methods of a protocol combine.

    Attributes:
        views: Each once.
        seed: Seed of the whole run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: tuple[View, ...]
    seed: int


class IllPosedError(ValueError):
    """A protocol that cannot work on the data at hand; the message names the method and the cure."""


class ProtocolSettings(BaseModel):
    """Everything that defines a protocol and its budget.

    Attributes:
        title: For readers.
        part_of: Pipeline that runs this protocol along with others; None runs it alone, under its own name.
        citation: Who published it.
        url: Where to read it.
        repeats: Independent repetitions: other initial weights, batches, label draws and (where held out) subjects.
        windows: How recordings are cut.
        windows_of: How those of particular data sets are cut, by name; partial settings refine ``windows``.
        label_budgets: How many labels there are.
        splits: Ways to divide the windows, by name.
        encoder: What every method trains, unless its row refines it.
        budget: How long every method is pre-trained, unless its row refines it.
        methods: Rows of the result tables, by name.
        compared_with: The method that paired tests compare all others with. Testing all pairs would leave no power
            after Holm's correction.
        evaluations: Ways to judge encoders, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    part_of: str | None = None
    citation: str = ""
    url: str = ""
    repeats: int = Field(gt=0)
    windows: WindowSettings
    windows_of: dict[str, WindowSettings] = {}
    label_budgets: tuple[LabelBudget, ...] = Field(min_length=1)
    splits: dict[str, SplitSettings] = Field(min_length=1)
    encoder: EncoderSettings = TPNSettings()
    budget: PretrainingBudget
    methods: dict[str, MethodSettings] = Field(min_length=1)
    compared_with: str
    evaluations: dict[str, EvaluationSettings] = Field(min_length=1)

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
            above = {
                "encoder": values.get("encoder", {"name": "tpn"}),
                "budget": values.get("budget", {}),
            }
            values["methods"] = {
                name: refine(above, _without_nulls(row, above)) if isinstance(row, Mapping) else row
                for name, row in resolve_bases(rows).items()
            }
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
        if not self.budgets_of_all:
            raise ValueError("at least one of label_budgets must be for all evaluations")
        for name, method in self.methods.items():
            self._check_method(name, method)
        return self

    def _check_evaluation(self, name: str, settings: EvaluationSettings) -> None:
        known = {budget.name for budget in self.label_budgets}
        if unknown := [budget.name for budget in settings.label_budgets or () if budget.name not in known]:
            raise ValueError(f"evaluation '{name}' asks for label budgets {unknown}; list them in the protocol's label_budgets, or change the evaluation's")
        if not settings.head.fitted:
            for budget in self.label_budgets:
                if settings.is_for(budget):
                    settings.batch_size_for(budget)
        unguarded = [split for split, of_split in self.splits.items() if not of_split.validates]
        if len(settings.learning_rates) > 1 and unguarded:
            raise ValueError(
                f"evaluation '{name}' chooses among learning rates on validation windows, but split "
                f"'{unguarded[0]}' has none; give it a validation_share, or the evaluation one learning_rate"
            )

    def _check_method(self, name: str, method: MethodSettings) -> None:
        if unknown := set(method.evaluations) - set(self.evaluations):
            raise ValueError(
                f"method '{name}' asks for unknown evaluations {sorted(unknown)}; there are "
                f"{', '.join(self.evaluations)}"
            )
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
        """The smallest label budget of all evaluations, at which details are shown."""
        return parse_budget(sort_budgets([budget.name for budget in self.budgets_of_all])[0])

    def windows_for(self, dataset: str) -> WindowSettings:
        """Return how a data set's recordings are cut."""
        return self.windows_of.get(dataset, self.windows)

    def settings_of(self, cell: Cell, dataset: str) -> dict[str, Any]:
        """Return all that the encoders of one cell depend on, as plain values."""
        row = self.methods[cell.method]
        return {
            "repeats": self.repeats,
            "windows": _plain(self.windows_for(dataset)),
            "split": _plain(self.splits[cell.split]),
            "objective": _plain(row.objective),
            "backbone": _plain(row.backbone),
            "budget": _plain(row.budget),
        }

    def split_plan(self, split: str, seed: int) -> SplitPlan:
        """Return everything that decides the roles of one split."""
        return SplitPlan(
            name=split,
            split=self.splits[split],
            label_budgets=self.label_budgets,
            repeats=self.repeats,
            seed=seed,
        )

    def pretraining_plan(self, method: str, seed: int) -> PretrainingPlan:
        """Return everything that decides the pre-training of one row."""
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
        """Return everything that decides how one row is judged."""
        return EvaluationPlan(
            name=method,
            evaluations={name: self.evaluations[name] for name in self.methods[method].evaluations},
            label_budgets=self.label_budgets,
            shown=self.fewest_labels,
            seed=seed,
        )

    def views_plan(self, seed: int) -> ViewsPlan:
        """Return the views of all methods, each once."""
        views = [view for row in self.methods.values() for view in getattr(row.objective, "views", ()) if view]
        return ViewsPlan(views=tuple(dict.fromkeys(views)), seed=seed)

    def refinements(self, dataset: str) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Return where a row's encoder and budget, and the data set's windows, differ from the protocol's.

        Returns:
            By ``windows`` or the method's name, the protocol's value and the refined one by dotted key.
        """
        found = {"windows": refined_keys(_plain(self.windows), _plain(self.windows_for(dataset)))}
        above = {"encoder": _plain(self.encoder), "budget": _plain(self.budget)}
        for name, row in self.methods.items():
            found[name] = refined_keys(above, {"encoder": _plain(row.encoder), "budget": _plain(row.budget)})
        return {name: keys for name, keys in found.items() if keys}

    def require_length(self, method: str, layout: Layout, dataset: str) -> None:
        """Refuse windows of a data set that are too short for a method's encoders.

        Raises:
            IllPosedError: naming the method and the cure.
        """
        shortest = self.methods[method].backbone.shortest_window(layout.modalities)
        if layout.length < shortest:
            windows = f"windows_of.{dataset}" if dataset in self.windows_of else "windows"
            raise IllPosedError(
                f"Windows of {layout.length} samples are too short for the encoder of method '{method}', which needs "
                f"{shortest}. Lengthen {windows}.length."
            )


def require_trainable(
    plan: PretrainingPlan, counts: Collection[int], layout: Layout, classes: int, processes: int = 1
) -> None:
    """Refuse a method that cannot learn from such windows, before anything is trained.

    Args:
        plan: Its pre-training.
        counts: Numbers of pre-training windows, of every repeat.
        layout: Of a window.
        classes: Number of activities.
        processes: Among which each batch is divided.

    Raises:
        IllPosedError: naming the method and the cure.
    """
    batch, fewest = plan.budget.batch_size, min(counts)

    def problem(batch: int) -> str | None:
        budget = plan.budget.model_copy(update={"batch_size": batch})
        smallest = min(budget.smallest_batch(count, processes) for count in counts)
        return plan.objective.problem(smallest, layout, classes)

    if plan.objective.trains and fewest < max(FEWEST, processes):
        raise IllPosedError(
            f"Method '{plan.name}' has {fewest} windows to pre-train on, in {processes} processes. Record more, or "
            "lower compute.processes."
        )
    if found := problem(batch):
        sizes = range(batch - batch % processes, 1, -processes)
        fitting = next((size for size in sizes if not problem(size)), None)
        hint = f"; budget.batch_size: {fitting} would do" if fitting else ""
        raise IllPosedError(f"Method '{plan.name}' {found}{hint}.")


def plans_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plans of every protocol in the project's parameters, as plain values.

    Each pipeline node takes the plan of its own row, split or windows, so that its result depends on nothing else.

    Returns:
        By protocol: ``windows``, ``views``, ``splits`` by name, ``pretraining`` and ``evaluation`` by method.

    Raises:
        ProtocolError: naming the protocol and the setting.
    """
    plans = {}
    for name, values in parameters.items():
        if not is_protocol(values):
            continue
        try:
            protocol = ProtocolSettings.model_validate(values)
        except ValidationError as error:
            raise ProtocolError(f"Parameter '{name}': {error}") from error
        seed = parameters["seed"]
        plans[name] = {
            "windows": _plain(protocol.windows_for(parameters["dataset"])),
            "views": _plain(protocol.views_plan(seed)),
            "splits": {split: _plain(protocol.split_plan(split, seed)) for split in protocol.splits},
            "pretraining": {method: _plain(protocol.pretraining_plan(method, seed)) for method in protocol.methods},
            "evaluation": {method: _plain(protocol.evaluation_plan(method, seed)) for method in protocol.methods},
        }
    return plans


class ProtocolError(ValueError):
    """A protocol whose settings are not valid."""


def is_protocol(values: Any) -> bool:
    """Return whether a parameter is a protocol."""
    return isinstance(values, Mapping) and "methods" in values


def titles(named: Mapping[str, SplitSettings | MethodSettings | EvaluationSettings]) -> dict[str, str]:
    """Return titles by name."""
    return {name: settings.title for name, settings in named.items()}


def _without_nulls(row: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return a row without those of ``keys`` that are None: they refine nothing."""
    return {key: value for key, value in row.items() if value is not None or key not in keys}


def _plain(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(mode="json")
