"""Label budgets: how many of the windows that may be labelled are labelled."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_serializer, model_validator

from contrastive_har.strict import StrictModel

_FORMS = {
    "share": re.compile(r"(?P<size>[\d.]+) ?%"),
    "per_class": re.compile(r"(?P<size>\d+) per class"),
    "long_tail": re.compile(r"long tail (?P<size>[\d.]+)"),
    "subjects": re.compile(r"(?P<size>[\d.]+) ?% of subjects"),
    "without": re.compile(r"without (?P<size>.+)"),
}
_IN_PER_CENT = ("share", "subjects")


class LabelBudget(StrictModel):
    """How many windows are labelled; written as its name.

    Exactly one of the five is set.

    Attributes:
        share: Share of the windows of each class, at least one window each (``5 %``).
        per_class: Number of windows of each class (``5 per class``); all windows of a class that has fewer.
        long_tail: Ratio of the most frequent class's windows to the rarest's (``long tail 50``): class sizes decay
            exponentially in the order of the classes' frequencies, from all windows of the most frequent one.
        subjects: Share of the subjects that have windows which may be labelled, at least one, all of whose windows are
            labelled (``25 % of subjects``).
        without: Activity of which nothing is labelled, while all windows of the others are (``without walking``): it is
            to be recognised without ever having been trained on.
    """

    share: float | None = Field(default=None, gt=0, le=1)
    per_class: int | None = Field(default=None, gt=0)
    long_tail: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    subjects: float | None = Field(default=None, gt=0, le=1)
    without: str | None = Field(default=None, pattern=r"^\S(.*\S)?$")

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for kind, form in _FORMS.items():
            if match := form.fullmatch(value):
                return {kind: match["size"] + ("e-2" if kind in _IN_PER_CENT else "")}
        raise ValueError(
            f"'{value}' is no label budget; write '5 %', '5 per class', 'long tail 50', '25 % of subjects' or "
            "'without walking'"
        )

    @model_validator(mode="after")
    def _is_one_kind(self) -> LabelBudget:
        if sum(getattr(self, kind) is not None for kind in _FORMS) != 1:
            raise ValueError(f"a label budget has exactly one of {', '.join(_FORMS)}")
        return self

    @model_serializer
    def _write_name(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """``share``, ``per_class``, ``long_tail``, ``subjects`` or ``without``."""
        return next(kind for kind in _FORMS if getattr(self, kind) is not None)

    @property
    def size(self) -> float:
        """Value on the axis of a curve: per cent, labels per class, or the ratio; 0 of ``without``, which has none."""
        if self.without is not None:
            return 0.0
        value = float(getattr(self, self.kind))
        return 100 * value if self.kind in _IN_PER_CENT else value

    @property
    def name(self) -> str:
        """Name in configuration and tables, such as ``5 %``."""
        size = f"{self.size:.12g}"
        forms = {
            "share": f"{size} %",
            "per_class": f"{size} per class",
            "long_tail": f"long tail {size}",
            "subjects": f"{size} % of subjects",
            "without": f"without {self.without}",
        }
        return forms[self.kind]

    @property
    def key(self) -> float | str:
        """Part of the seed of random draws."""
        return self.name if self.share is None else self.share

    @property
    def labels_everything(self) -> bool:
        """Whether every window that may be labelled is labelled."""
        return 1 in (self.share, self.long_tail, self.subjects)

    def counts(self, available: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of labelled windows of each class, given the ``available`` ones (classes,).

        Raises:
            TypeError: if it chooses subjects or activities instead of windows of each class.
        """
        if self.per_class is not None:
            return np.minimum(available, self.per_class)
        if self.share is not None:
            return np.array([max(1, round(self.share * int(count))) for count in available], np.int64)
        if self.long_tail is None:
            raise TypeError(f"'{self.name}' has no number of windows per class")
        rank = np.empty(len(available), np.int64)
        rank[np.argsort(-available, kind="stable")] = np.arange(len(available))
        sizes = available.max() * self.long_tail ** (-rank / max(len(available) - 1, 1))
        counts: NDArray[np.int64] = np.clip(np.rint(sizes).astype(np.int64), 1, available)
        return counts


def parse_budget(name: str) -> LabelBudget:
    """Return the label budget of a name.

    Raises:
        ValueError: if it is not the name of a budget.
    """
    return LabelBudget.model_validate(name)


def sort_budgets(names: list[str]) -> list[str]:
    """Sort names of label budgets by kind and size; what labels everything is last."""
    kinds = list(_FORMS)

    def key(name: str) -> tuple[bool, int, float, str]:
        budget = parse_budget(name)
        return budget.labels_everything, kinds.index(budget.kind), budget.size, name

    return sorted(names, key=key)
