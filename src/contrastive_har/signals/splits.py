"""Splits: which window plays which role in which repeat of a protocol.

The paper's protocol and its leak-free twin are two settings of one procedure: hold some subjects out (or none), draw
the labelled windows from the rest, test on what was held out (or on everything without a label).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from contrastive_har.signals.recordings import UNLABELLED
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows

Role = Literal["pretrain", "train", "validation", "test"]


class SplitSettings(BaseModel):
    """One way to divide windows.

    Attributes:
        title: What readers see.
        leak_free: Whether this split claims that test data are unseen; the audit fails the run if it is not so.
        held_out: ``subjects``: test on unseen subjects; ``none``: test on every window that was not labelled.
        pretrain_on: ``all`` windows (transductive, as published) or only the ``train`` subjects' windows.
        test_share: Share of subjects held out for testing, at least one.
        validation_share: Share of subjects held out for any selection, at least one unless it is zero.
        test_subjects: By data set, groups of test subjects, one a repeat, from the first again where there are more
            repeats. Where a data set has none the subjects are tested in turn, and in another order the next time.
        validation_subjects: The same for validation; where a data set has none they are drawn.
    """

    # Subjects may well be numbers.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    title: str
    leak_free: bool
    held_out: Literal["subjects", "none"]
    pretrain_on: Literal["all", "train"]
    test_share: float = Field(default=0.2, gt=0, lt=1)
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    test_subjects: dict[str, tuple[tuple[str, ...], ...]] = {}
    validation_subjects: dict[str, tuple[tuple[str, ...], ...]] = {}

    @property
    def validates(self) -> bool:
        """Whether anybody is held out for selection."""
        return self.held_out == "subjects" and (self.validation_share > 0 or bool(self.validation_subjects))


class LabelFraction(BaseModel):
    """How many of the available windows are labelled, and how one learns from so many.

    Attributes:
        share: Of the windows that may be labelled; all of them (1) only where people are held out to test on.
        batch_size: Labelled windows a step, where an evaluation has no batch size of its own.
        evaluations: Names of the evaluations tried with so many labels; null tries all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1)
    batch_size: int = Field(gt=0)
    evaluations: tuple[str, ...] | None = None

    def is_for(self, evaluation: str) -> bool:
        """Return whether an evaluation is tried with so many labels."""
        return self.evaluations is None or evaluation in self.evaluations


class SplitError(ValueError):
    """The data cannot be divided as asked; the message names the split and the cure."""


def assign_roles(
    windows: Windows, splits: Mapping[str, SplitSettings], fractions: list[LabelFraction], repeats: int, seed: int
) -> pd.DataFrame:
    """Give every window its roles.

    Returns:
        One row per (split, repeat, label_fraction, window, role). ``pretrain`` rows hold for every label fraction and
        have none of their own (NaN).

    Raises:
        SplitError: a class without a window to label or left to test on, or too few subjects.
    """
    return pd.concat(
        [
            _rows(name, repeat, fraction, role, members)
            for name, settings in splits.items()
            for repeat in range(repeats)
            for fraction, role, members in _divide(windows, name, settings, fractions, repeat, seed)
        ],
        ignore_index=True,
    )


def windows_with_role(
    splits: pd.DataFrame, split: str, repeat: int, role: Role, fraction: float | None = None
) -> NDArray[np.int64]:
    """Return the windows (ascending) that play ``role``; ``fraction`` is not needed for pre-training.

    Raises:
        SplitError: if there is no such repeat.
    """
    rows = splits[(splits["split"] == split) & (splits["repeat"] == repeat)]
    if rows.empty:
        raise SplitError(
            f"The stored splits have no repeat {repeat + 1} of '{split}': they were made with other settings. Run the "
            "protocol's windowing again (--pipeline=NAME --tags=windowing) with the --env and --params of this run."
        )
    rows = rows[rows["role"] == role]
    if role != "pretrain":
        rows = rows[rows["label_fraction"] == fraction]
    return np.sort(rows["window"].to_numpy(np.int64))


def natural_order(names: list[str]) -> list[str]:
    """Sort names so that '10' comes after '9'."""
    return sorted(names, key=lambda name: [(len(p), p) if p.isdigit() else (0, p) for p in re.split(r"(\d+)", name)])


def _divide(
    windows: Windows, name: str, settings: SplitSettings, fractions: list[LabelFraction], repeat: int, seed: int
) -> Iterator[tuple[float, Role, NDArray[np.int64]]]:
    subjects = windows.table["subject"].to_numpy()
    classes = windows.classes()
    test_subjects, validation_subjects = _hold_out(windows, name, settings, repeat, seed)
    held_out_test = np.isin(subjects, test_subjects)
    held_out_validation = np.isin(subjects, validation_subjects)
    available = ~held_out_test & ~held_out_validation
    labelled = classes != UNLABELLED

    if test_subjects:
        _require_labels_of(test_subjects, classes[held_out_test & labelled], windows, name)
    pretrain = np.ones(len(subjects), bool) if settings.pretrain_on == "all" else available
    yield float("nan"), "pretrain", np.flatnonzero(pretrain)
    for fraction in fractions:
        if fraction.share == 1 and settings.held_out == "none" and len(fractions) > 1:
            continue  # tests on what has no label: nothing would be left
        rng = np.random.default_rng(derive_seed(seed, "labels", name, repeat, fraction.share))
        train = _draw_labels(classes, available & labelled, fraction.share, rng, windows, name)
        test = labelled & (held_out_test if test_subjects else ~train)
        for index, activity in enumerate(windows.description.class_names):
            if not test_subjects and not test[classes == index].any():
                raise SplitError(
                    f"Split '{name}' labels {100 * fraction.share:.3g} % of the windows, which leaves none of "
                    f"'{activity}' to test on: lower the share in label_fractions. An activity with a single window "
                    "needs more recordings, or leave it out of 'recognised' in the data set's description."
                )
        yield fraction.share, "train", np.flatnonzero(train)
        yield fraction.share, "validation", np.flatnonzero(held_out_validation & labelled)
        yield fraction.share, "test", np.flatnonzero(test)


def _require_labels_of(test_subjects: list[str], tests: NDArray[np.int64], windows: Windows, name: str) -> None:
    """Check that held-out people have labelled windows, of these classes; they need not have done everything."""
    who = ", ".join(test_subjects)
    if len(tests) == 0:
        raise SplitError(
            f"Split '{name}' tests on {who}, who have no labelled window. Label theirs, or test on others."
        )
    for index, activity in enumerate(windows.description.class_names):
        if index not in tests:
            logging.getLogger(__name__).warning(
                "Split '%s' tests on %s, who have no window of '%s': in macro-F1 it is 0 if any is taken for it.",
                *(name, who, activity),
            )


def _hold_out(
    windows: Windows, name: str, settings: SplitSettings, repeat: int, seed: int
) -> tuple[list[str], list[str]]:
    """Return the test and validation subjects of a repeat."""
    if settings.held_out == "none":
        return [], []
    subjects = natural_order(list(windows.table["subject"].unique()))
    test = _named(settings.test_subjects, windows, name, repeat)
    validation = _named(settings.validation_subjects, windows, name, repeat)
    if both := sorted(set(test) & set(validation)):
        raise SplitError(f"Split '{name}' tests and validates on {both}. Take them out of one of the two.")
    tests = len(test) or max(1, round(settings.test_share * len(subjects)))
    validations = len(validation)
    if not validation and settings.validation_share:
        validations = max(1, round(settings.validation_share * len(subjects)))
    if tests + validations >= len(subjects):
        raise SplitError(
            f"Split '{name}' holds out {tests} test and {validations} validation subjects of {len(subjects)}; "
            "nobody is left to learn from. Lower test_share or validation_share (0 holds out nobody), or record more "
            "subjects."
        )
    others = [subject for subject in subjects if subject not in validation]
    rng = np.random.default_rng(derive_seed(seed, "subjects", name))
    order = [others[place] for place in rng.permutation(len(others))]
    if not test:
        # Everybody is tested once in so many repeats, then all of them again in another order.
        rounds, place = divmod(repeat, -(-len(others) // tests))
        for _ in range(rounds):
            order = [others[place] for place in rng.permutation(len(others))]
        order = np.roll(order, -place * tests).tolist()
        test = order[:tests]
    rest = [subject for subject in order if subject not in test]
    return test, validation or rest[:validations]


def _named(groups: Mapping[str, tuple[tuple[str, ...], ...]], windows: Windows, name: str, repeat: int) -> list[str]:
    """Return the subjects that a split names for a repeat, if it names any."""
    of_dataset = groups.get(windows.description.name, ())
    named = list(of_dataset[repeat % len(of_dataset)]) if of_dataset else []
    if unknown := sorted(set(named) - set(windows.table["subject"])):
        raise SplitError(
            f"Split '{name}' holds out subjects {unknown} that the data do not have. Correct test_subjects or "
            "validation_subjects, or complete the recordings."
        )
    return named


def _draw_labels(
    classes: NDArray[np.int64],
    candidates: NDArray[np.bool_],
    share: float,
    rng: np.random.Generator,
    windows: Windows,
    name: str,
) -> NDArray[np.bool_]:
    """Draw a stratified random share of the candidates, at least one window of every class."""
    drawn = np.zeros(len(classes), bool)
    for index, activity in enumerate(windows.description.class_names):
        members = np.flatnonzero(candidates & (classes == index))
        if len(members) == 0:
            raise SplitError(
                f"Split '{name}' has no window of '{activity}' to label. Record it with more subjects, or take it out "
                "of 'recognised' in the data set's description."
            )
        drawn[rng.choice(members, max(1, round(share * len(members))), replace=False)] = True
    return drawn


def _rows(name: str, repeat: int, fraction: float, role: Role, members: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {"split": name, "repeat": repeat, "label_fraction": fraction, "window": members, "role": str(role)}
    )
