"""Labelled windows: which of those that may be labelled are, with a label budget."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.groups import natural_order
from contrastive_har.signals.roles import SplitError
from contrastive_har.signals.windows import Windows

_DRAWS = 1000  # of subjects to label, of which the first with the most activities is taken


def draw_labels(
    windows: Windows, candidates: NDArray[np.bool_], budget: LabelBudget, split: str, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw the labelled windows: some of each class, at random, or all of some subjects, or all but one class.

    Args:
        windows: All windows.
        candidates: Which of them may be labelled (windows,).
        budget: The label budget.
        split: Name of the split, for messages.
        rng: Source of the draws.

    Returns:
        Which windows are labelled (windows,).

    Raises:
        SplitError: if a class has no window to label, or the budget names none of the classes.
    """
    classes, names = windows.classes(), windows.description.class_names
    if budget.without not in (None, *names):
        raise SplitError(
            f"Split '{split}' has the label budget '{budget.name}', but the activities are {', '.join(names)}. Correct "
            "label_budgets or windows.activities."
        )
    members = [np.flatnonzero(candidates & (classes == index)) for index in range(len(names))]
    for activity, of_class in zip(names, members, strict=True):
        if len(of_class) == 0 and activity != budget.without:
            if not (classes == names.index(activity)).any():
                raise SplitError(
                    f"No window of '{activity}' was cut: all of its runs are shorter than a window of {windows.length} "
                    "samples, or nobody did it. Shorten windows.length, set windows.short_runs: centre, or list the "
                    "others in windows.activities."
                )
            raise SplitError(
                f"Split '{split}' has no window of '{activity}' to label. Record it with more subjects, or list the "
                "others in windows.activities."
            )
    drawn: NDArray[np.bool_] = np.zeros(len(classes), bool)
    if budget.without is not None:
        drawn |= candidates & (classes != names.index(budget.without))
    elif budget.subjects is not None:
        drawn |= candidates & _draw_subjects(windows, candidates, budget.subjects, split, rng)
    else:
        counts = budget.counts(np.array([len(of_class) for of_class in members]))
        for of_class, count in zip(members, counts, strict=True):
            drawn[rng.choice(of_class, int(count), replace=False)] = True
    return drawn


def _draw_subjects(
    windows: Windows, candidates: NDArray[np.bool_], share: float, split: str, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw a share of the candidates' subjects, with windows of every class if that is possible.

    Returns:
        Which windows are theirs (windows,).
    """
    classes = windows.classes()
    subjects = windows.table["subject"].to_numpy().astype(str)
    names, of_candidates = np.unique(subjects[candidates], return_inverse=True)
    performs = np.zeros((len(names), windows.class_count), bool)
    performs[of_candidates, classes[candidates]] = True
    count = max(1, round(share * len(names)))
    draws = (rng.choice(len(names), count, replace=False) for _ in range(_DRAWS))
    drawn = max(draws, key=lambda some: int(performs[some].any(0).sum()))
    for index in np.flatnonzero(~performs[drawn].any(0)):
        logging.getLogger(__name__).warning(
            "Split '%s' labels subjects %s, without a window of '%s': no head is trained to recognise it.",
            *(split, ", ".join(natural_order(list(names[drawn])))),
            windows.description.class_names[index],
        )
    return np.isin(subjects, names[drawn])
