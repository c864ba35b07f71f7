"""A protocol is data: windows, splits, budgets, methods and evaluations."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastive_har.learning.classification import EvaluationSettings
from contrastive_har.learning.methods import Contrastive, MethodSettings
from contrastive_har.learning.pretraining import PretrainingBudget
from contrastive_har.signals.splits import LabelFraction, SplitSettings
from contrastive_har.signals.windows import WindowSettings


class ProtocolSettings(BaseModel):
    """Everything that defines a protocol and its budget.

    Attributes:
        title: What readers see.
        citation: Who published it.
        url: Where to read it.
        repeats: Independent repetitions: other initial weights, batches, label draws and (where held out) subjects.
        windows: How recordings are cut.
        label_fractions: How many labels there are.
        splits: Ways to divide the windows, by name.
        pretraining: Budget of every method.
        methods: Rows of the result tables, by name.
        evaluations: Ways to judge encoders, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    citation: str = ""
    url: str = ""
    repeats: int = Field(gt=0)
    windows: WindowSettings
    label_fractions: list[LabelFraction] = Field(min_length=1)
    splits: dict[str, SplitSettings] = Field(min_length=1)
    pretraining: PretrainingBudget
    methods: dict[str, MethodSettings] = Field(min_length=1)
    evaluations: dict[str, EvaluationSettings] = Field(min_length=1)

    @property
    def fewest_labels(self) -> float:
        """The smallest label fraction, at which details are shown."""
        return min(fraction.share for fraction in self.label_fractions)

    @model_validator(mode="after")
    def _is_consistent(self) -> ProtocolSettings:
        shares = [fraction.share for fraction in self.label_fractions]
        if len(set(shares)) != len(shares):
            raise ValueError(f"label_fractions lists a share twice: {shares}")
        depth = len(self.pretraining.encoder.channels)
        for name, evaluation in self.evaluations.items():
            if evaluation.trained_stages > depth:
                raise ValueError(
                    f"evaluation '{name}' trains {evaluation.trained_stages} stages, the encoder has {depth}"
                )
        for name, method in self.methods.items():
            if unknown := set(method.evaluations) - set(self.evaluations):
                raise ValueError(f"method '{name}' asks for unknown evaluations {sorted(unknown)}")
            if isinstance(method.pretraining, Contrastive) and method.pretraining.clustering:
                clusters = method.pretraining.clustering.clusters
                if clusters and clusters > self.pretraining.batch_size:
                    raise ValueError(
                        f"method '{name}' asks for {clusters} clusters in batches of {self.pretraining.batch_size}; "
                        "lower clusters or raise pretraining.batch_size"
                    )
        return self


def titles(named: Mapping[str, SplitSettings | MethodSettings | EvaluationSettings]) -> dict[str, str]:
    """Return what readers see, by name."""
    return {name: settings.title for name, settings in named.items()}
