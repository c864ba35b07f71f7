"""Settings of evaluations: a head, the encoder stages trained with it, and how they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, model_validator

from contrastive_har.learning.evaluation.augmented import AugmentedCopies
from contrastive_har.learning.evaluation.consistency import Consistency
from contrastive_har.learning.evaluation.self_training import SelfTraining
from contrastive_har.models.backbone import TrainedStages
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.scores.cells import name_evaluation
from contrastive_har.signals.budgets import LabelBudget, parse_budget
from contrastive_har.strict import StrictModel

LearningRate = Annotated[float, Field(gt=0)]
OTHER = "other"
"""Key of the batch size for all label budgets that are not listed."""


class EvaluationSettings(StrictModel):
    """One way to evaluate encoders.

    A head that is fitted in closed form needs no learning rate, epochs, steps or batch size.

    Attributes:
        title: Name in tables and figures.
        description: A sentence about the evaluation, for the report.
        head: The head, which turns embeddings into class scores.
        trained_stages: Number of last stages of each encoder (convolutions, in TPN) that are trained with the head:
            0 is evaluation of frozen encoders, ``all`` is supervised training or full fine-tuning.
        modalities: Modalities that are used; null takes all. ``each`` runs it with all together and with each alone,
            ``subsets`` with every combination: in tables their names follow that of the evaluation, as in
            ``linear/inertial``.
        label_budgets: Label budgets of the protocol that it is run with; null takes all.
        most_labels: Number of labelled windows above which it is not run, as it would take too long; null has no limit.
        learning_rate: Learning rate of Adam; of several, the best by macro-F1 on the validation windows is chosen.
        annealed: Whether the learning rate falls to zero along a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983),
            so that the last steps do not move what the last epoch is scored by; otherwise it is constant.
        epochs: Passes over the labelled windows.
        steps: Steps of the optimiser, instead of ``epochs``: equally many with all label budgets. The last epoch ends
            with the last step.
        batch_size: Labelled windows per step; or by label budget, with ``other`` for the rest.
        self_training: How windows that the trained head labels itself are learned from in further rounds; null: there
            are none.
        augmented: Which augmented copies of the windows are learned from as well; null: none.
        consistency: How unlabelled windows take part in the training of all stages; null: they do not.
        largest_share: Share of the labelled windows that a step has at most, whatever the batch size.
        least_steps: Steps that are taken at least: with few labels, more epochs than ``epochs``.
        weight_penalty: Factor of the squared weights of trained stages, added to the loss.
        test_every: Epochs between two evaluations on the test set for the learning curves; scores use the last epoch.
            Null: one, or with ``steps`` half of all epochs.
    """

    title: str
    description: str = ""
    head: HeadSettings = LinearSettings()
    trained_stages: Annotated[int, Field(ge=0)] | TrainedStages = 0
    modalities: Literal["each", "subsets"] | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    label_budgets: tuple[LabelBudget, ...] | None = None
    most_labels: int | None = Field(default=None, gt=0)
    learning_rate: LearningRate | Annotated[tuple[LearningRate, ...], Field(min_length=1)] | None = None
    annealed: bool = False
    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    batch_size: Annotated[int, Field(gt=0)] | dict[str, Annotated[int, Field(gt=0)]] | None = None
    largest_share: float = Field(default=1.0, gt=0, le=1)
    least_steps: int = Field(default=1, gt=0)
    self_training: SelfTraining | None = None
    augmented: AugmentedCopies | None = None
    consistency: Consistency | None = None
    weight_penalty: float = Field(default=0.0, ge=0)
    test_every: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _suits_its_head(self) -> EvaluationSettings:
        trained = {
            "learning_rate": self.learning_rate,
            "epochs or steps": self.epochs or self.steps,
            "batch_size": self.batch_size,
        }
        if self.epochs and self.steps:
            raise ValueError("training ends after 'epochs' or 'steps'; set one of them to null")
        if self.head.fitted and self.trained_stages != 0:
            raise ValueError(f"head '{self.head.name}' is fitted to frozen encoders; set trained_stages: 0")
        if self.consistency and self.trained_stages != "all":
            raise ValueError("consistency trains on views of windows; set trained_stages: all, or consistency: null")
        if not self.head.fitted and (missing := [name for name, value in trained.items() if value is None]):
            raise ValueError(f"head '{self.head.name}' is trained by gradient and needs {', '.join(missing)}")
        if isinstance(self.batch_size, dict):
            for name in self.batch_size:
                if name != OTHER:
                    parse_budget(name)
        return self

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """All learning rates to try; none for a head that is fitted."""
        if self.learning_rate is None:
            return ()
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    def expand(self, name: str, trained: Sequence[str], known: Sequence[str]) -> dict[str, EvaluationSettings]:
        """Return evaluations of fixed modalities by name.

        Args:
            name: Name of this evaluation.
            trained: Modalities that have an encoder.
            known: Modalities of the windows; a name is followed by its modalities unless they are all of these.
        """
        if self.modalities is None:
            chosen = [tuple(trained)]
        elif isinstance(self.modalities, tuple):
            named = set(self.modalities)
            chosen = [(*(name for name in trained if name in named), *sorted(named - set(trained)))]
        else:
            sizes = range(len(trained), 0, -1) if self.modalities == "subsets" else sorted({len(trained), 1})[::-1]
            chosen = [some for size in sizes for some in combinations(trained, size)]
        expanded = {}
        for some in chosen:
            key = name if set(some) == set(known) else name_evaluation(name, some)
            expanded[key] = self.model_copy(update={"modalities": None if set(some) == set(trained) else some})
        return expanded

    @property
    def learns_unlabelled(self) -> bool:
        """Whether it learns from unlabelled windows of pre-training too."""
        return self.self_training is not None or self.consistency is not None

    def is_for(self, budget: LabelBudget) -> bool:
        """Return whether it is run with a label budget."""
        return self.label_budgets is None or budget in self.label_budgets

    def batch_size_for(self, budget: LabelBudget) -> int:
        """Return the labelled windows per step with a label budget.

        Raises:
            ValueError: if none is set.
        """
        sizes = {OTHER: self.batch_size} if isinstance(self.batch_size, int) else dict(self.batch_size or {})
        named = {parse_budget(name): size for name, size in sizes.items() if name != OTHER}
        size = named.get(budget, sizes.get(OTHER))
        if size is None:
            raise ValueError(f"batch_size has no entry '{budget.name}' or '{OTHER}'")
        return size


class EvaluationPlan(StrictModel):
    """All settings that determine the evaluation of the encoders of one row of the result tables.

    Attributes:
        name: Name of the row, for progress bars.
        evaluations: Evaluations by name.
        label_budgets: Label budgets of the protocol.
        shown: The label budget for which details are shown.
        seed: Seed of the whole run.
        repeats: The repeats that are evaluated; None for all.
    """

    name: str = "evaluation"
    evaluations: dict[str, EvaluationSettings] = Field(min_length=1)
    label_budgets: tuple[LabelBudget, ...] = Field(min_length=1)
    shown: LabelBudget
    seed: int = 0
    repeats: tuple[int, ...] | None = None
