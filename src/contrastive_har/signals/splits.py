"""Splits: the role of each window in each repeat of a protocol.

A published protocol and its leak-free counterpart are two settings of one procedure: hold out some groups (or none),
draw the labelled windows from the rest, test on the held-out windows (or on all windows that were not labelled).
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
from pydantic import ConfigDict, Field, model_validator

from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.groups import natural_order, units_of_windows
from contrastive_har.signals.labelling import draw_labels
from contrastive_har.signals.roles import Role, Roles, SplitError, rows_of
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows
from contrastive_har.strict import StrictModel

NOTHING = "none"
"""The value of ``held_out`` of splits that hold no group out."""


GroupLists = dict[str, tuple[tuple[str, ...], ...]]


class SplitSettings(StrictModel):
    """One way to divide windows.

    Attributes:
        title: Title in reports.
        datasets: Data sets that are split in this way; null: all.
        leak_free: Whether the split is declared to keep test data unseen; the audit fails the run if it does not.
        held_out: The group whose values are held out: ``subject`` or another group of the data set (``session``,
            ``scene``, ``official``); ``none``: test on every window that was not labelled.
        within: Groups within each of which some values are held out, such as the last sessions of each subject.
        order: ``drawn``: held-out values are drawn at random, each once before any is drawn again in a later repeat;
            ``ascending``: the last ones in natural order are for testing, those before them for validation.
        pretrain_on: ``all`` windows (transductive, as published) or only those that are not held out (``train``).
        test_share: Share of the values held out for testing, at least one.
        validation_share: Share of the values held out for validation, at least one unless it is zero.
        test_groups: Lists of values to test on by data set, one list per repeat; the lists are reused in turn if there
            are more repeats. ``order`` applies to data sets without lists.
        validation_groups: The same for validation.
    """

    # Values of groups may be numbers.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    title: str
    datasets: tuple[str, ...] | None = None
    leak_free: bool
    held_out: str
    within: tuple[str, ...] = ()
    order: Literal["drawn", "ascending"] = "drawn"
    pretrain_on: Literal["all", "train"]
    test_share: float = Field(default=0.2, gt=0, lt=1)
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    test_groups: GroupLists = Field(default_factory=dict)
    validation_groups: GroupLists = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_out_within_other_groups(self) -> SplitSettings:
        if self.held_out in self.within:
            raise ValueError(f"held_out and within both name '{self.held_out}'")
        if self.within and (self.test_groups or self.validation_groups):
            raise ValueError("test_groups and validation_groups name values of the whole data set; leave out 'within'")
        return self

    def is_for(self, dataset: str) -> bool:
        """Return whether a data set is split in this way."""
        return self.datasets is None or dataset in self.datasets

    @property
    def holds_out(self) -> bool:
        """Whether any group is held out."""
        return self.held_out != NOTHING

    @property
    def validates(self) -> bool:
        """Whether anything is held out for validation."""
        return self.holds_out and (self.validation_share > 0 or bool(self.validation_groups))


class SplitPlan(StrictModel):
    """All settings that determine the roles of one split.

    Attributes:
        name: Name of the split.
        split: Settings of the split.
        label_budgets: Label budgets for which labels are drawn.
        repeats: Number of repeats.
        seed: Seed of the whole run.
    """

    name: str
    split: SplitSettings
    label_budgets: tuple[LabelBudget, ...] = Field(min_length=1)
    repeats: int = Field(gt=0)
    seed: int


def assign_roles(windows: Windows, plan: SplitPlan) -> Roles:
    """Assign the roles of every window.

    Raises:
        SplitError: if a class has no window to label or to test on, if the group has too few values to hold out, or if
            the data set does not have the group, or the activity of a label budget.
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
        """Yield the rows of the table of roles."""
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
                continue  # all windows would be labelled: none is left to test on
            rng = np.random.default_rng(derive_seed(self.plan.seed, "labels", name, self.repeat, budget.key))
            train = draw_labels(self.windows, available & labelled, budget, name, rng)
            test = labelled & (test_mask if holds_out else ~train)
            for index, activity in enumerate(self.windows.description.class_names):
                if not holds_out and not test[classes == index].any():
                    raise SplitError(
                        f"Split '{name}' with the label budget '{budget.name}' leaves no window of '{activity}' to "
                        "test on: choose other label_budgets, or hold something out. An activity with a single "
                        "window needs more recordings, or list the others in windows.activities."
                    )
            yield budget, "train", np.flatnonzero(train)
            yield budget, "validation", np.flatnonzero(validation_mask & labelled)
            yield budget, "test", np.flatnonzero(test)

    def _require_tests(self, test: NDArray[np.bool_], classes: NDArray[np.int64]) -> None:
        """Check that the test windows have labels, and warn of activities that are missing among them."""
        units = units_of_windows(self.windows, self.settings.held_out, self.settings.within)
        held_out = f"{self.settings.held_out} {', '.join(natural_order(list(np.unique(units[test].astype(str)))))}"
        tested = classes[test & (classes != UNLABELLED)]
        if len(tested) == 0:
            raise SplitError(
                f"Split '{self.plan.name}' tests on {held_out}, without a labelled window. Label some windows, or "
                "test on other values."
            )
        for index, activity in enumerate(self.windows.description.class_names):
            if index not in tested:
                logging.getLogger(__name__).warning(
                    "Split '%s' tests on %s, without a window of '%s': its F1 is 0 if any window is predicted as it.",
                    *(self.plan.name, held_out, activity),
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
        """Return the test and validation values of one combination of groups; either may be empty.

        ceil((1 - test_share) n) of n values remain for training, as in MMAct's cross-session protocol.
        """
        test_count = len(values) - math.ceil((1 - self.settings.test_share) * len(values) - 1e-9)
        wanted = max(1, round(self.settings.validation_share * len(values))) if self.settings.validation_share else 0
        validation_count = max(0, min(wanted, len(values) - test_count - 1))
        order = self._ordered(values, test_count)
        return order[:test_count], order[test_count : test_count + validation_count]

    def _hold_out_of(self, values: list[str]) -> tuple[list[str], list[str]]:
        """Return the test and validation values out of all ``values``, which are in natural order."""
        name, settings = self.plan.name, self.settings
        test = self._named(settings.test_groups, values)
        validation = self._named(settings.validation_groups, values)
        if both := sorted(set(test) & set(validation)):
            raise SplitError(f"Split '{name}' tests and validates on {both}. Take them out of one of the two.")
        test_count = len(test) or max(1, round(settings.test_share * len(values)))
        validation_count = len(validation)
        if not validation and settings.validation_share:
            validation_count = max(1, round(settings.validation_share * len(values)))
        if test_count + validation_count >= len(values):
            raise SplitError(
                f"Split '{name}' holds out {test_count} test and {validation_count} validation values of the "
                f"{len(values)} of '{settings.held_out}'; nothing is left to learn from. Lower test_share or "
                "validation_share (0 holds out nothing), or record more."
            )
        if test:  # those to validate on take turns, in the same order in every repeat, whichever it tests
            order = self._ordered(values, validation_count)
        else:
            order = self._ordered([value for value in values if value not in validation], test_count)
        test = test or order[:test_count]
        rest = [value for value in order if value not in test]
        return test, validation or rest[:validation_count]

    def _ordered(self, values: list[str], count: int) -> list[str]:
        """Return the values in order: first those to test on, then those to validate on.

        Drawn values are held out in turn, ``count`` in each repeat: each of them once, then all of them again in a new
        order.
        """
        if self.settings.order == "ascending":
            return values[::-1]
        # Values held out within other groups are drawn separately for each combination of these.
        combination = values[:1] if self.settings.within else []
        seed = derive_seed(self.plan.seed, f"{self.settings.held_out}s", self.plan.name, *combination)
        rng = np.random.default_rng(seed)
        order = [values[index] for index in rng.permutation(len(values))]
        if not count:
            return order
        rounds, turn = divmod(self.repeat, -(-len(values) // count))
        for _ in range(rounds):
            order = [values[index] for index in rng.permutation(len(values))]
        rolled: list[str] = np.roll(order, -turn * count).tolist()
        return rolled

    def _named(self, groups: Mapping[str, tuple[tuple[str, ...], ...]], values: list[str]) -> list[str]:
        """Return the values listed for this repeat, if there are any."""
        lists = groups.get(self.windows.description.name, ())
        listed = list(lists[self.repeat % len(lists)]) if lists else []
        if unknown := sorted(set(listed) - set(values)):
            raise SplitError(
                f"Split '{self.plan.name}' holds out values {unknown} of '{self.settings.held_out}' that the data do "
                "not have. Correct test_groups or validation_groups, or complete the recordings."
            )
        return listed
