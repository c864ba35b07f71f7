"""Roles of windows in each repeat of a split: pre-training, training, validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tables import read_table, write_table
from contrastive_har.signals.budgets import LabelBudget

Role = Literal["pretrain", "train", "validation", "test"]
COLUMNS = ["split", "repeat", "label_budget", "window", "role"]
KIND = "roles"

_NOBODY = np.empty(0, np.int64)


class SplitError(ValueError):
    """The data cannot be divided as configured; the message names the split and the cure."""


class Roles:
    """The roles of the windows in one split.

    Args:
        table: One row per (split, repeat, label_budget, window, role). ``pretrain`` rows apply to every label budget
            and have None in its place.

    Raises:
        ValueError: if the table has other columns, unknown roles, or rows of several splits.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        if list(table.columns) != COLUMNS or not table["role"].isin(get_args(Role)).all():
            raise ValueError(f"a table of roles has the columns {COLUMNS} and roles among {get_args(Role)}")
        if any(table[column].dtype.kind not in "iu" for column in ("repeat", "window")):
            raise ValueError("repeats and windows are whole numbers")
        splits = table["split"].unique()
        if len(splits) != 1 or not isinstance(splits[0], str):
            raise ValueError(f"roles of {len(splits)} splits, {list(splits)}; a table holds the roles of one split")
        self.table = table
        self.split = str(splits[0])

    @classmethod
    def of_one_repeat(
        cls,
        budget: LabelBudget,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        test: NDArray[np.int64],
        pretrain: NDArray[np.int64] = _NOBODY,
    ) -> Roles:
        """Return the roles of a single repeat and label budget."""
        members: list[tuple[Role, NDArray[np.int64]]] = [("train", train), ("validation", validation), ("test", test)]
        rows = [rows_of("split", 0, budget, role, windows) for role, windows in members]
        return cls(pd.concat([rows_of("split", 0, None, "pretrain", pretrain), *rows]))

    def members(self, repeat: int, role: Role, budget: LabelBudget | None = None) -> NDArray[np.int64]:
        """Return the windows with ``role``, ascending; pre-training needs no ``budget``.

        Raises:
            ValueError: if the role is not pre-training and there is no budget.
            SplitError: if there is no such repeat.
        """
        rows = self.table[self.table["repeat"] == repeat]
        if rows.empty:
            raise SplitError(
                f"The stored roles have no repeat {repeat + 1} of split '{self.split}': they were made with other "
                "settings. Run the protocol's windowing again (--pipeline=NAME --tags=windowing) with the --env and "
                "--params of this run."
            )
        rows = rows[rows["role"] == role]
        if role != "pretrain":
            if budget is None:
                raise ValueError(f"the windows with role '{role}' depend on the label budget")
            rows = rows[rows["label_budget"] == budget.name]
        return np.sort(rows["window"].to_numpy(np.int64))

    def without(self, role: Role) -> Roles:
        """Return the roles without one of them, whose windows then have none."""
        return Roles(self.table[self.table["role"] != role])

    def untested(self, classes: NDArray[np.int64], count: int) -> dict[int, list[int]]:
        """Return the classes of which a repeat has no test window: the repeats by class index.

        Args:
            classes: Class index of each window, or -1 (windows,).
            count: Number of classes.
        """
        tests = self.table[self.table["role"] == "test"]
        tested = {repeat: set(classes[rows["window"]]) for repeat, rows in tests.groupby("repeat")}
        repeats = {index: [repeat for repeat, of in tested.items() if index not in of] for index in range(count)}
        return {index: of_class for index, of_class in repeats.items() if of_class}

    @property
    def budgets(self) -> list[str]:
        """Names of the label budgets, in the order in which labels were drawn."""
        return [str(name) for name in self.table["label_budget"].dropna().unique()]

    def by_repeat(self, budget: str) -> Iterator[dict[str, NDArray[np.int64]]]:
        """Yield, for each repeat, the windows of each role with a label budget."""
        table = self.table
        known = table[table["label_budget"].isna() | (table["label_budget"] == budget)]
        for _, rows in known.groupby("repeat"):
            yield {str(role): of_role["window"].to_numpy() for role, of_role in rows.groupby("role")}


def rows_of(
    split: str, repeat: int, budget: LabelBudget | None, role: Role, members: NDArray[np.int64]
) -> pd.DataFrame:
    """Return rows of a table of roles."""
    name = budget.name if budget else None
    rows = pd.DataFrame({"split": split, "repeat": repeat, "label_budget": name, "window": members, "role": str(role)})
    return rows.astype({"split": object, "label_budget": object, "role": object})


def write_roles(roles: Roles, path: Path) -> None:
    """Write roles as Parquet."""
    write_table(roles.table, path, KIND)


def read_roles(path: Path) -> Roles:
    """Read roles back.

    Raises:
        SchemaError: if the file is broken, or holds no roles of one split.
    """
    with refuse_broken(path, KIND):
        return Roles(read_table(path, KIND))
