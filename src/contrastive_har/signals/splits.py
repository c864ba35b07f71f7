"""Splits: which window plays which role in which repeat of a protocol.

A published protocol and its leak-free twin are two settings of one procedure: hold some groups out (or none), draw the
labelled windows from the rest, test on what was held out (or on everything without a label).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.groups import natural_order, units_of_windows
from contrastive_har.signals.roles import Role, Roles, SplitError, rows_of
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows

NOTHING = "none"
"""The value of ``held_out`` of splits that hold no group out."""

GroupLists = dict[str, tuple[tuple[str, ...], ...]]


class SplitSettings(BaseModel):
    """One way to divide windows.

    Attributes:
        title: For readers.
        leak_free: Whether this split claims that test data are unseen; the audit fails the run if they are not.
        held_out: The group whose values are held out: ``subject``, or another that the data set's recordings have
            (``session``, ``scene``, ``official``); ``none``: test on every window that was not labelled.
        within: Groups within each of which some values are held out, such as the last sessions of each subject.
        order: ``drawn``: held-out values are drawn at random, in turn from repeat to repeat; ``ascending``: the last
            ones in natural order test, those before them validate.
        pretrain_on: ``all`` windows (transductive, as published) or only those that are not held out (``train``).
        test_share: Share of the values held out for testing, at least one.
        validation_share: Share of the values held out for any selection, at least one unless it is zero.
        test_groups: By data set, lists of values to test on, one list per repeat, from the first again where there are
            more repeats. Where a data set has none, ``order`` applies.
        validation_groups: The same for validation.
    """

    # Groups may well be numbers.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    title: str
    leak_free: bool
    held_out: str
    within: tuple[str, ...] = ()
    order: Literal["drawn", "ascending"] = "drawn"
    pretrain_on: Literal["all", "train"]
    test_share: float = Field(default=0.2, gt=0, lt=1)
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    test_groups: GroupLists = {}
    validation_groups: GroupLists = {}

    @model_validator(mode="after")
    def _holds_out_within_other_groups(self) -> SplitSettings:
        if self.held_out in self.within:
            raise ValueError(f"held_out and within both name '{self.held_out}'")
        if self.within and (self.test_groups or self.validation_groups):
            raise ValueError("test_groups and validation_groups name values of the whole data set; leave out 'within'")
        return self

    @property
    def holds_out(self) -> bool:
        """Whether any group is held out."""
        return self.held_out != NOTHING

    @property
    def validates(self) -> bool:
        """Whether anything is held out for selection."""
        return self.holds_out and (self.validation_share > 0 or bool(self.validation_groups))


class SplitPlan(BaseModel):
    """Everything that decides the roles of one split.

    Attributes:
        name: Of the split.
        split: Its settings.
        label_budgets: How many labels are drawn.
        repeats: Number of repeats.
        seed: Seed of the whole run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    split: SplitSettings
    label_budgets: tuple[LabelBudget, ...] = Field(min_length=1)
    repeats: int = Field(gt=0)
    seed: int


def assign_roles(windows: Windows, plan: SplitPlan) -> Roles:
    """Give every window its roles.

    Raises:
        SplitError: a class without a window to label or left to test on, too few values of the group to hold out, or
            a group that the data set does not have.
    """
    divided = [rows for repeat in range(plan.repeats) for rows in _Division(windows, plan, repeat).rows()]
    return Roles(pd.concat(divided, ignore_index=True))


@dataclass(frozen=True)
class _Division:
    """One repeat of a split."""

    windows: Windows
    plan: SplitPlan
    repeat: int

    @property
    def settings(self) -> SplitSettings:
        return self.plan.split

    def rows(self) -> Iterator[pd.DataFrame]:
        """Find the rows of the table of roles."""
        for budget, role, members in self._divide():
            yield rows_of(self.plan.name, self.repeat, budget, role, members)

    def _divide(self) -> Iterator[tuple[LabelBudget | None, Role, NDArray[np.int64]]]:
        name, classes = self.plan.name, self.windows.classes()
        test_mask, validation_mask = self._hold_out()
        available = ~test_mask & ~validation_mask
        labelled = classes != UNLABELLED
        holds_out = self.settings.holds_out
        if holds_out:
            self._require_tests(test_mask, classes)
        pretrain = np.ones(len(classes), bool) if self.settings.pretrain_on == "all" else available
        yield None, "pretrain", np.flatnonzero(pretrain)
        for budget in self.plan.label_budgets:
            if budget.labels_everything and not holds_out and len(self.plan.label_budgets) > 1:
                continue  # tests on what has no label: nothing would be left
            rng = np.random.default_rng(derive_seed(self.plan.seed, "labels", name, self.repeat, budget.key))
            train = self._draw_labels(classes, available & labelled, budget, rng)
            test = labelled & (test_mask if holds_out else ~train)
            for index, activity in enumerate(self.windows.description.class_names):
                if not holds_out and not test[classes == index].any():
                    raise SplitError(
                        f"Split '{name}' with the label budget '{budget.name}' leaves no window of '{activity}' to "
                        "test on: choose smaller label_budgets. An activity with a single window needs more "
                        "recordings, or leave it out of 'recognised' in the data set's description."
                    )
            yield budget, "train", np.flatnonzero(train)
            yield budget, "validation", np.flatnonzero(validation_mask & labelled)
            yield budget, "test", np.flatnonzero(test)

    def _require_tests(self, test: NDArray[np.bool_], classes: NDArray[np.int64]) -> None:
        """Check that held-out groups have labelled windows, and warn of activities that they lack."""
        units = units_of_windows(self.windows, self.settings.held_out, self.settings.within)
        who = f"{self.settings.held_out} {', '.join(natural_order(list(np.unique(units[test].astype(str)))))}"
        tested = classes[test & (classes != UNLABELLED)]
        if len(tested) == 0:
            raise SplitError(
                f"Split '{self.plan.name}' tests on {who}, without a labelled window. Label some, or test on others."
            )
        for index, activity in enumerate(self.windows.description.class_names):
            if index not in tested:
                logging.getLogger(__name__).warning(
                    "Split '%s' tests on %s, without a window of '%s': its F1 is 0 if any window is taken for it.",
                    *(self.plan.name, who, activity),
                )

    def _hold_out(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which windows are held out for testing and for validation (windows,)."""
        settings, table = self.settings, self.windows.table
        test, validation = np.zeros(len(table), bool), np.zeros(len(table), bool)
        if not settings.holds_out:
            return test, validation
        units = units_of_windows(self.windows, settings.held_out, settings.within)
        if not settings.within:
            tests, validations = self._hold_out_of(natural_order(list(np.unique(units.astype(str)))))
            return np.isin(units, tests), np.isin(units, validations)
        for _, rows in table.groupby(list(settings.within), sort=True):
            values = natural_order(list(np.unique(units[rows.index].astype(str))))
            tests, validations = self._hold_out_within(values)
            test |= np.isin(units, tests)
            validation |= np.isin(units, validations)
        if not test.any() or not (~test & ~validation).any():
            raise SplitError(
                f"Split '{self.plan.name}' has too few values of '{settings.held_out}' within "
                f"{', '.join(settings.within)}: nothing is left to test on or to learn from. Change test_share."
            )
        return test, validation

    def _hold_out_within(self, values: list[str]) -> tuple[list[str], list[str]]:
        """Return test and validation values of one combination of groups, which may be too few for either.

        Training keeps ceil((1 - test_share) n) of n values, as MMAct's cross-session protocol does.
        """
        tests = len(values) - math.ceil((1 - self.settings.test_share) * len(values) - 1e-9)
        wanted = max(1, round(self.settings.validation_share * len(values))) if self.settings.validation_share else 0
        validations = max(0, min(wanted, len(values) - tests - 1))
        order = self._ordered(values, tests)
        return order[:tests], order[tests : tests + validations]

    def _hold_out_of(self, values: list[str]) -> tuple[list[str], list[str]]:
        """Return the test and validation values, of all values in natural order."""
        name, settings = self.plan.name, self.settings
        test = self._named(settings.test_groups, values)
        validation = self._named(settings.validation_groups, values)
        if both := sorted(set(test) & set(validation)):
            raise SplitError(f"Split '{name}' tests and validates on {both}. Take them out of one of the two.")
        tests = len(test) or max(1, round(settings.test_share * len(values)))
        validations = len(validation)
        if not validation and settings.validation_share:
            validations = max(1, round(settings.validation_share * len(values)))
        if tests + validations >= len(values):
            raise SplitError(
                f"Split '{name}' holds out {tests} test and {validations} validation values of the {len(values)} of "
                f"'{settings.held_out}'; nothing is left to learn from. Lower test_share or validation_share (0 holds "
                f"out nothing), or record more."
            )
        others = [value for value in values if value not in validation]
        order = self._ordered(others, 0 if test else tests)
        test = test or order[:tests]
        rest = [value for value in order if value not in test]
        return test, validation or rest[:validations]

    def _ordered(self, values: list[str], tests: int) -> list[str]:
        """Return the values with those to test on first, then those to validate on.

        Drawn values are tested in turn: each once in so many repeats, then all of them again in another order.
        """
        if self.settings.order == "ascending":
            return values[::-1]
        # Values that are held out within other groups are drawn for each combination of these by itself.
        within = values[:1] if self.settings.within else []
        seed = derive_seed(self.plan.seed, f"{self.settings.held_out}s", self.plan.name, *within)
        rng = np.random.default_rng(seed)
        order = [values[index] for index in rng.permutation(len(values))]
        if not tests:
            return order
        rounds, turn = divmod(self.repeat, -(-len(values) // tests))
        for _ in range(rounds):
            order = [values[index] for index in rng.permutation(len(values))]
        rolled: list[str] = np.roll(order, -turn * tests).tolist()
        return rolled

    def _named(self, groups: Mapping[str, tuple[tuple[str, ...], ...]], values: list[str]) -> list[str]:
        """Return the values that the split names for this repeat, if it names any."""
        lists = groups.get(self.windows.description.name, ())
        named = list(lists[self.repeat % len(lists)]) if lists else []
        if unknown := sorted(set(named) - set(values)):
            raise SplitError(
                f"Split '{self.plan.name}' holds out values {unknown} of '{self.settings.held_out}' that the data do "
                "not have. Correct test_groups or validation_groups, or complete the recordings."
            )
        return named

    def _draw_labels(
        self,
        classes: NDArray[np.int64],
        candidates: NDArray[np.bool_],
        budget: LabelBudget,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Draw the labelled windows at random within each class, at least one of each."""
        members = [np.flatnonzero(candidates & (classes == index)) for index in range(self.windows.class_count)]
        for activity, of_class in zip(self.windows.description.class_names, members, strict=True):
            if len(of_class) == 0:
                raise SplitError(
                    f"Split '{self.plan.name}' has no window of '{activity}' to label. Record it with more subjects, "
                    "or take it out of 'recognised' in the data set's description."
                )
        drawn = np.zeros(len(classes), bool)
        counts = budget.counts(np.array([len(of_class) for of_class in members]))
        for of_class, count in zip(members, counts, strict=True):
            drawn[rng.choice(of_class, int(count), replace=False)] = True
        return drawn
