"""A protocol is data: windows, splits, budgets, methods and evaluations."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastive_har.learning.classification import EvaluationSettings
from contrastive_har.learning.methods import PretrainingMethod
from contrastive_har.learning.pretraining import PretrainingBudget
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

    def require_length(self, samples: int) -> None:
        """Refuse windows that are too short for an encoder.

        Raises:
            IllPosedError: naming the method.
        """
        for method in self.methods:
            shortest = self.encoder_of(method).shortest_window
            if samples < shortest:
                raise IllPosedError(
                    f"Windows of {samples} samples are too short for the encoder of method '{method}', which needs "
                    f"{shortest}. Lengthen windows.length."
                )

    def require_trainable(self, fewest_windows: int, shape: tuple[int, int], classes: int) -> None:
        """Refuse methods that cannot learn from such windows, before anything is trained.

        Args:
            fewest_windows: Pre-training windows of the repeat that has the fewest.
            shape: (time, channels) of a window.
            classes: Number of activities.

        Raises:
            IllPosedError: naming the method and the cure.
        """
        for name, method in self.methods.items():
            batch = self.budget_of(name).batch_size
            smallest = min(fewest_windows, fewest_windows % batch or batch)
            if problem := method.pretraining.problem(smallest, shape, classes):
                raise IllPosedError(f"Method '{name}' {problem}.")

    @property
    def fewest_labels(self) -> float:
        """The smallest label fraction of all evaluations, at which details are shown."""
        return min(fraction.share for fraction in self.label_fractions if fraction.evaluations is None)

    @model_validator(mode="after")
    def _is_consistent(self) -> ProtocolSettings:
        shares = [fraction.share for fraction in self.label_fractions]
        if len(set(shares)) != len(shares):
            raise ValueError(f"label_fractions lists a share twice: {shares}")
        if all(fraction.evaluations is not None for fraction in self.label_fractions):
            raise ValueError("at least one of label_fractions must be for all evaluations (evaluations: null)")
        for fraction in self.label_fractions:
            if unknown := set(fraction.evaluations or ()) - set(self.evaluations):
                raise ValueError(f"label fraction {fraction.share} asks for unknown evaluations {sorted(unknown)}")
        for name, method in self.methods.items():
            if unknown := set(method.evaluations) - set(self.evaluations):
                raise ValueError(f"method '{name}' asks for unknown evaluations {sorted(unknown)}")
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
