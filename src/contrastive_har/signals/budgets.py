"""Label budgets: how many of the windows that may be labelled are labelled."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

_FORMS = {
    "share": re.compile(r"(?P<size>[\d.]+) ?%"),
    "per_class": re.compile(r"(?P<size>\d+) per class"),
    "long_tail": re.compile(r"long tail (?P<size>[\d.]+)"),
}


class LabelBudget(BaseModel):
    """How many windows are labelled; written as its name.

    Exactly one of the three is set.

    Attributes:
        share: Share of the windows of each class, at least one window each (``5 %``).
        per_class: Number of windows of each class (``5 per class``); all windows of a class that has fewer.
        long_tail: Ratio of the most frequent class's windows to the rarest's (``long tail 50``): class sizes decay
            exponentially in the order of the classes' frequencies, from all windows of the most frequent one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float | None = Field(default=None, gt=0, le=1)
    per_class: int | None = Field(default=None, gt=0)
    long_tail: float | None = Field(default=None, ge=1, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for kind, form in _FORMS.items():
            if match := form.fullmatch(value):
                return {kind: float(match["size"] + ("e-2" if kind == "share" else ""))}
        raise ValueError(f"'{value}' is no label budget; write '5 %', '5 per class' or 'long tail 50'")

    @model_validator(mode="after")
    def _is_one_kind(self) -> LabelBudget:
        if sum(size is not None for size in (self.share, self.per_class, self.long_tail)) != 1:
            raise ValueError("a label budget is either a share, a number per class or a long tail")
        return self

    @model_serializer
    def _write_name(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """``share``, ``per_class`` or ``long_tail``."""
        return next(kind for kind in _FORMS if getattr(self, kind) is not None)

    @property
    def size(self) -> float:
        """Value on the axis of a curve: per cent of the labels, labels per class, or the ratio."""
        return 100 * self.share if self.share is not None else float(self.per_class or self.long_tail or 0)

    @property
    def name(self) -> str:
        """Name in configuration and tables, such as ``5 %``."""
        forms = {"share": "{:.12g} %", "per_class": "{:.12g} per class", "long_tail": "long tail {:.12g}"}
        return forms[self.kind].format(self.size)

    @property
    def key(self) -> float | str:
        """Part of the seed of random draws."""
        return self.name if self.share is None else self.share

    @property
    def labels_everything(self) -> bool:
        """Whether every window that may be labelled is labelled."""
        return self.share == 1 or self.long_tail == 1

    def counts(self, available: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of labelled windows of each class, given the ``available`` ones (classes,)."""
        if self.per_class is not None:
            return np.minimum(available, self.per_class)
        if self.share is not None:
            return np.array([max(1, round(self.share * int(count))) for count in available], np.int64)
        ratio = float(self.long_tail or 1)
        rank = np.empty(len(available), np.int64)
        rank[np.argsort(-available, kind="stable")] = np.arange(len(available))
        sizes = available.max() * ratio ** (-rank / max(len(available) - 1, 1))
        counts: NDArray[np.int64] = np.clip(np.rint(sizes).astype(np.int64), 1, available)
        return counts


def parse_budget(name: str) -> LabelBudget:
    """Return the label budget of a name.

    Raises:
        ValueError: if it is not the name of a budget.
    """
    return LabelBudget.model_validate(name)


def sort_budgets(names: list[str]) -> list[str]:
    """Sort names of label budgets by kind and size."""
    kinds = list(_FORMS)
    return sorted(names, key=lambda name: (kinds.index(parse_budget(name).kind), parse_budget(name).size))
