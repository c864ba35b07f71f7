"""Trials of strategies: simulated people label the windows that a strategy chooses, and a head learns from them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.heads import LabelledHead
from contrastive_har.labelling.strategies import BaseStrategy, ClusterCentres, Strategy
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet, embed
from contrastive_har.learning.progress import progress_bar
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.scores.metrics import accuracy, confusion_matrix, macro_f1
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows
from contrastive_har.strict import StrictModel

TRIAL_COLUMNS = [
    *("repeat", "draw", "strategy", "labels", "wrong_labels"),
    *("macro_f1", "accuracy", "signal_seconds", "seconds"),
]
"""Columns of a table of trials: ``signal_seconds`` of signal are labelled; choosing them took ``seconds`` in all."""


class ChoosingSettings(StrictModel):
    """How strategies are tried.

    Attributes:
        strategies: The strategies by name.
        compared_with: The strategy that paired tests compare all others with.
        first: The strategy by which strategies that need probabilities choose their first windows.
        labels: Numbers of labelled windows, ascending; of a strategy that asks for stretches, as many stretches as are
            no more signal than these windows. Strategies that need no probabilities choose each number at once; the
            others in rounds, from one number to the next.
        draws: Number of draws per repeat: of random choices, of seedings, and of wrong labels.
        wrong_labels: Shares of labels that are wrong: another activity, each equally likely. All is tried without wrong
            labels too.
        head: The head that learns from the labels; one that is fitted.
    """

    strategies: dict[str, Strategy] = Field(min_length=2)
    compared_with: str = "random"
    first: Strategy = ClusterCentres()
    labels: tuple[int, ...] = Field(min_length=1)
    draws: int = Field(gt=0)
    wrong_labels: tuple[float, ...] = ()
    head: HeadSettings = LogisticSettings()

    @model_validator(mode="after")
    def _is_consistent(self) -> ChoosingSettings:
        if self.compared_with not in self.strategies:
            raise ValueError(f"compared_with is '{self.compared_with}'; choose one of {', '.join(self.strategies)}")
        if self.labels[0] < 1 or list(self.labels) != sorted(set(self.labels)):
            raise ValueError(f"labels is {list(self.labels)}; write ascending numbers")
        if not all(0 < share < 1 for share in self.wrong_labels):
            raise ValueError(f"wrong_labels is {list(self.wrong_labels)}; write shares above 0 and below 1")
        if self.first.needs_probabilities:
            raise ValueError(f"first is '{self.first.name}', which needs labels to begin with; write cluster_centres")
        if not self.head.fitted:
            raise ValueError(f"head is '{self.head.name}', which is trained by gradient; write logistic or ridge")
        return self


class ChoosingPlan(StrictModel):
    """All settings that determine the trials of one row.

    Attributes:
        name: Name of the method.
        choosing: The strategies.
        label_budget: The label budget whose test windows are tested.
        seed: Seed of the draws.
    """

    name: str
    choosing: ChoosingSettings
    label_budget: LabelBudget
    seed: int


def try_strategies(
    windows: Windows, roles: Roles, trained: EncoderSet, plan: ChoosingPlan, compute: ComputeSettings
) -> pd.DataFrame:
    """Try all strategies on the encoders of every repeat.

    Windows are chosen among those that have pre-trained the encoders; test windows that are chosen are not tested. In a
    repeat and a draw all strategies meet the same encoder, the same wrong labels and, where no test window may be
    chosen, the same test windows: their scores are paired.

    Args:
        windows: All windows, raw, with their labels.
        roles: Roles of the windows.
        trained: One backbone per repeat.
        plan: Strategies and seed.
        compute: Device and precision.

    Returns:
        One row per repeat, draw, strategy, number of labels and share of wrong labels: ``TRIAL_COLUMNS``.

    Raises:
        ValueError: if fewer windows may be chosen than are to be labelled.
    """
    settings = plan.choosing
    rows: list[dict[str, object]] = []
    with progress_bar(plan.name, trained.repeats * settings.draws, "draws", compute.resolve()) as bar:
        for repeat in range(trained.repeats):
            trial = _Trial.of(windows, roles, trained, repeat, plan, compute)
            for draw in range(settings.draws):
                rows += [{"repeat": repeat, "draw": draw, **row} for row in trial.rows(draw)]
                bar.update()
    return pd.DataFrame(rows, columns=TRIAL_COLUMNS)


@dataclass(frozen=True)
class _Round:
    """What is known after a round: the candidates that were chosen, and the seconds that choosing them took."""

    chosen: NDArray[np.int64]
    seconds: float


@dataclass(frozen=True)
class _Trial:
    """The trials of one repeat.

    Attributes:
        plan: Strategies and seed.
        repeat: The repeat.
        candidates: The windows that may be chosen.
        truth: Their class indices (candidates,).
        test: Embeddings of the test windows (tests, features).
        true: Class indices of the test windows (tests,).
        place: Place of each test window among the candidates, -1 if it is none (tests,).
        head: Head that has not been fitted.
    """

    plan: ChoosingPlan
    repeat: int
    candidates: Candidates
    truth: NDArray[np.int64]
    test: torch.Tensor
    true: NDArray[np.int64]
    place: NDArray[np.int64]
    head: LabelledHead

    @classmethod
    def of(
        cls,
        windows: Windows,
        roles: Roles,
        trained: EncoderSet,
        repeat: int,
        plan: ChoosingPlan,
        compute: ComputeSettings,
    ) -> _Trial:
        """Embed the windows of a repeat."""
        classes = windows.classes()
        pool = roles.members(repeat, "pretrain")
        pool = pool[classes[pool] != UNLABELLED]
        test = roles.members(repeat, "test", plan.label_budget)
        backbone, own = trained.build(repeat), windows.only(trained.layout.modalities)
        used = np.union1d(pool, test)
        embeddings = embed(backbone, own.signals[used], compute.resolve())
        place = np.full(len(classes), -1)
        place[pool] = np.arange(len(pool))
        of_pool, of_test = (np.searchsorted(used, some) for some in (pool, test))
        return cls(
            plan,
            repeat,
            Candidates.of(windows.table.iloc[pool], embeddings[of_pool].numpy(), windows.description.sampling_rate_hz),
            classes[pool],
            embeddings[of_test],
            classes[test],
            place[test],
            LabelledHead(plan.choosing.head, backbone.widths, windows.description.class_names),
        )

    def rows(self, draw: int) -> Iterator[dict[str, object]]:
        """Yield the scores of one draw."""
        settings = self.plan.choosing
        of_shares = {share: self._answers(draw, share) for share in (0.0, *settings.wrong_labels)}
        for name, strategy in settings.strategies.items():
            asking = replace(self, candidates=self.candidates.in_stretches(strategy.stretch))
            rounds: list[_Round] | None = None
            for share, answers in of_shares.items():
                if rounds is None or strategy.needs_probabilities:  # else the choice doesn't depend on the answers
                    rounds = list(asking._rounds(name, strategy, answers, draw))
                for count, one in zip(settings.labels, rounds, strict=True):
                    cost = {"signal_seconds": asking.candidates.seconds(one.chosen), "seconds": one.seconds}
                    scores = asking._score(one.chosen, answers)
                    yield {"strategy": name, "labels": count, "wrong_labels": share, **cost, **scores}

    def _answers(self, draw: int, share: float) -> NDArray[np.int64]:
        """Return the class index that a simulated person gives each candidate (candidates,)."""
        rng = np.random.default_rng(derive_seed(self.plan.seed, "answers", self.repeat, draw))
        is_wrong = rng.random(len(self.truth)) < share
        other = rng.integers(1, self.head.class_count, len(self.truth))
        answers: NDArray[np.int64] = (self.truth + is_wrong * other) % self.head.class_count
        return answers

    def _rounds(self, name: str, strategy: Strategy, answers: NDArray[np.int64], draw: int) -> Iterator[_Round]:
        settings = self.plan.choosing
        seed = derive_seed(self.plan.seed, "choice", self.repeat, name, draw)
        chosen, seconds = np.empty(0, np.int64), 0.0
        for count in settings.labels:
            candidates = self.candidates
            chooser: BaseStrategy = strategy
            labelled, given = self._label(chosen, answers)
            if not strategy.needs_probabilities:
                chosen = chosen[:0]
            elif len(np.unique(given)) > 1:
                probabilities = self._fit(labelled, given)(torch.from_numpy(candidates.embeddings))
                candidates = candidates.with_labelled(self._asked(chosen), probabilities)
            else:
                candidates, chooser = candidates.with_labelled(self._asked(chosen)), strategy.first_by(settings.first)
            wanted = count if strategy.stretch is None else candidates.as_many_as(count)
            begin = time.perf_counter()
            chosen = np.concatenate([chosen, chooser.choose(candidates, wanted - len(chosen), seed)])
            took = time.perf_counter() - begin
            seconds = seconds + took if strategy.needs_probabilities else took
            if len(chosen) < wanted:
                raise ValueError(
                    f"Only {len(chosen)} windows, or stretches, can be chosen that don't overlap; lower the numbers in "
                    "choosing.labels."
                )
            yield _Round(chosen, seconds)

    def _asked(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all windows in the stretches of chosen ones."""
        return np.array([member for index in chosen for member in self.candidates.members(index)], np.int64)

    def _label(
        self, chosen: NDArray[np.int64], answers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the windows that a simulated person labels, and their class indices.

        A stretch gets one answer, for all its windows; none if they show several activities, as the page allows none.
        """
        asked = [(index, self.candidates.members(index)) for index in chosen]
        clear = [(index, members) for index, members in asked if (self.truth[members] == self.truth[index]).all()]
        labelled = np.array([member for _, members in clear for member in members], np.int64)
        given = np.array([answers[index] for index, members in clear for _ in members], np.int64)
        return labelled, given

    def _score(self, chosen: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[str, float]:
        """Return macro-F1 and accuracy on the test windows that nobody was asked for."""
        labelled, given = self._label(chosen, answers)
        if not len(labelled):  # without any label, nothing is recognised
            return {"macro_f1": 0.0, "accuracy": 0.0}
        tested = ~np.isin(self.place, self._asked(chosen))
        predicted = self._fit(labelled, given)(self.test).argmax(1)
        confusion = confusion_matrix(self.true[tested], predicted[tested], self.head.class_count)
        return {"macro_f1": macro_f1(confusion), "accuracy": accuracy(confusion)}

    def _fit(self, labelled: NDArray[np.int64], given: NDArray[np.int64]) -> LabelledHead:
        seed = derive_seed(self.plan.seed, "head", self.repeat)
        return self.head.fit(torch.from_numpy(self.candidates.embeddings[labelled]), given, seed)
