"""A protocol is data: windows, splits, budgets, methods and evaluations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastive_har.learning.classification import EvaluationSettings
from contrastive_har.learning.methods import PretrainingMethod
from contrastive_har.learning.pretraining import FEWEST, PretrainingBudget
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.tpn import TPNSettings
from contrastive_har.signals.splits import LabelFraction, SplitSettings
from contrastive_har.signals.windows import WindowSettings


class MethodSettings(BaseModel):
    """One row of the result tables.

    Attributes:
        title: What readers see.
        description: A sentence that explains it to them.
        pretraining: How its encoders come about.
        encoder: What is trained, where it is not the protocol's encoder.
        budget: How long it is pre-trained, where it is not the protocol's budget.
        evaluations: Names of the evaluations that judge them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str = ""
    pretraining: PretrainingMethod
    encoder: EncoderSettings | None = None
    budget: PretrainingBudget | None = None
    evaluations: tuple[str, ...] = Field(min_length=1)


class IllPosedError(ValueError):
    """A protocol that cannot work on the data at hand; the message names the method and the cure."""


class ProtocolSettings(BaseModel):
    """Everything that defines a protocol and its budget.

    Attributes:
        title: What readers see.
        part_of: Pipeline that runs this protocol along with others; none runs it alone, under its own name.
        citation: Who published it.
        url: Where to read it.
        repeats: Independent repetitions: other initial weights, batches, label draws and (where held out) subjects.
        windows: How recordings are cut.
        windows_of: How those of particular data sets are cut, by name.
        label_fractions: How many labels there are.
        splits: Ways to divide the windows, by name.
        encoder: What every method trains that does not name another.
        pretraining: Budget of every method.
        methods: Rows of the result tables, by name.
        compared_with: The method that paired tests compare all others with. One test a pair would be so many that
            correcting for their number leaves none a chance.
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
    label_fractions: list[LabelFraction] = Field(min_length=1)
    splits: dict[str, SplitSettings] = Field(min_length=1)
    encoder: EncoderSettings = TPNSettings()
    pretraining: PretrainingBudget
    methods: dict[str, MethodSettings] = Field(min_length=1)
    compared_with: str
    evaluations: dict[str, EvaluationSettings] = Field(min_length=1)

    def encoder_of(self, method: str) -> EncoderSettings:
        """Return what a method trains."""
        return self.methods[method].encoder or self.encoder

    def budget_of(self, method: str) -> PretrainingBudget:
        """Return how long a method is pre-trained."""
        return self.methods[method].budget or self.pretraining

    def windows_for(self, dataset: str) -> WindowSettings:
        """Return how a data set's recordings are cut."""
        return self.windows_of.get(dataset, self.windows)

    def of_cell(self, split: str, method: str, dataset: str) -> dict[str, Any]:
        """Return all that one method's encoders on one split of a data set depend on, as plain values."""
        return {
            "repeats": self.repeats,
            "windows": self.windows_for(dataset).model_dump(mode="json"),
            "split": self.splits[split].model_dump(mode="json"),
            "method": self.methods[method].pretraining.model_dump(mode="json"),
            "encoder": self.encoder_of(method).model_dump(mode="json"),
            "pretraining": self.budget_of(method).model_dump(mode="json"),
        }

    def require_length(self, method: str, samples: int, dataset: str) -> None:
        """Refuse windows of a data set that are too short for a method's encoder.

        Raises:
            IllPosedError: naming the method and the cure.
        """
        shortest = self.encoder_of(method).shortest_window
        if samples < shortest:
            windows = f"windows_of.{dataset}" if dataset in self.windows_of else "windows"
            raise IllPosedError(
                f"Windows of {samples} samples are too short for the encoder of method '{method}', which needs "
                f"{shortest}. Lengthen {windows}.length."
            )

    def require_trainable(
        self, method: str, counts: Collection[int], shape: tuple[int, int], classes: int, processes: int = 1
    ) -> None:
        """Refuse a method that cannot learn from such windows, before anything is trained.

        Args:
            method: Its name.
            counts: Numbers of pre-training windows, of every split and repeat.
            shape: (time, channels) of a window.
            classes: Number of activities.
            processes: Among which each batch is divided.

        Raises:
            IllPosedError: naming the method and the cure.
        """
        given = self.budget_of(method)
        batch = given.batch_size

        def problem(batch: int) -> str | None:
            budget = given.model_copy(update={"batch_size": batch})
            smallest = min(budget.smallest_batch(count, processes) for count in counts)
            return self.methods[method].pretraining.problem(smallest, shape, classes)

        fewest = min(counts)
        if self.methods[method].pretraining.trains and fewest < max(FEWEST, processes):
            raise IllPosedError(
                f"Method '{method}' has {fewest} windows to pre-train on, in {processes} processes. Record more, or "
                "lower compute.processes."
            )
        if found := problem(batch):
            fitting = next(
                (size for size in range(batch - batch % processes, 1, -processes) if not problem(size)), None
            )
            budget = "budget" if self.methods[method].budget else "pretraining"
            hint = f"; {budget}.batch_size: {fitting} would do" if fitting else ""
            raise IllPosedError(f"Method '{method}' {found}{hint}.")

    @property
    def fewest_labels(self) -> float:
        """The smallest label fraction of all evaluations, at which details are shown."""
        return min(fraction.share for fraction in self.label_fractions if fraction.evaluations is None)

    @model_validator(mode="after")
    def _is_consistent(self) -> ProtocolSettings:
        if self.compared_with not in self.methods:
            raise ValueError(f"compared_with is '{self.compared_with}'; choose one of {', '.join(self.methods)}")
        shares = [fraction.share for fraction in self.label_fractions]
        if len(set(shares)) != len(shares):
            raise ValueError(f"label_fractions lists a share twice: {shares}")
        if all(fraction.evaluations is not None for fraction in self.label_fractions):
            raise ValueError("at least one of label_fractions must be for all evaluations (evaluations: null)")
        for fraction in self.label_fractions:
            if unknown := set(fraction.evaluations or ()) - set(self.evaluations):
                raise ValueError(
                    f"label fraction {fraction.share} asks for unknown evaluations {sorted(unknown)}; there are "
                    f"{', '.join(self.evaluations)}"
                )
        unguarded = [name for name, split in self.splits.items() if not split.validates]
        for name, settings in self.evaluations.items():
            if len(settings.learning_rates) > 1 and unguarded:
                raise ValueError(
                    f"evaluation '{name}' chooses among learning rates on validation windows, but split "
                    f"'{unguarded[0]}' has none; give it a validation_share, or the evaluation one learning_rate"
                )
        for name, method in self.methods.items():
            if unknown := set(method.evaluations) - set(self.evaluations):
                raise ValueError(
                    f"method '{name}' asks for unknown evaluations {sorted(unknown)}; there are "
                    f"{', '.join(self.evaluations)}"
                )
            encoder = self.encoder_of(name)
            if refusal := method.pretraining.refusal(encoder):
                raise ValueError(f"method '{name}' {refusal}")
            for evaluation in method.evaluations:
                stages = self.evaluations[evaluation].trained_stages
                if stages != "all" and stages > encoder.depth:
                    raise ValueError(
                        f"evaluation '{evaluation}' trains {stages} stages, but the encoder of method '{name}' has "
                        f"{encoder.depth}; lower trained_stages or set it to all"
                    )
        return self


def titles(named: Mapping[str, SplitSettings | MethodSettings | EvaluationSettings]) -> dict[str, str]:
    """Return what readers see, by name."""
    return {name: settings.title for name, settings in named.items()}
