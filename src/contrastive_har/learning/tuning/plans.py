"""Settings of a search, and of each of its trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError, field_validator

from contrastive_har.files.stamps import explain
from contrastive_har.learning.evaluation.settings import EvaluationPlan
from contrastive_har.learning.pretraining.plans import PretrainingPlan
from contrastive_har.learning.tuning.spaces import Drawn, Range, Space, draw
from contrastive_har.refining import plain, refine, resolve_bases, suggest
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.splits import SplitSettings
from contrastive_har.strict import StrictModel


class SearchSettings(StrictModel):
    """How the settings of all rows are searched.

    Attributes:
        trials: Number of settings that are tried of each row. The first is the row as configured, the others are drawn.
        spaces: Values that may be tried by row, by the dotted name of the setting; one that names a ``base`` has the
            values of that row too.
    """

    trials: int = Field(gt=1)
    spaces: dict[str, Space]

    @field_validator("spaces", mode="before")
    @classmethod
    def _resolve(cls, spaces: Any) -> Any:
        return resolve_bases(spaces) if isinstance(spaces, Mapping) else spaces

    def plan(self, pretraining: PretrainingPlan, evaluation: EvaluationPlan) -> TrialPlan:
        """Return the first trial of a row."""
        return TrialPlan(pretraining=pretraining, evaluation=evaluation, space=self.spaces.get(pretraining.name, {}))

    def require(self, rows: Sequence[TrialPlan], splits: Mapping[str, SplitSettings]) -> None:
        """Refuse spaces that are not those of the rows, and splits without unseen validation windows.

        A row without a space would not be tuned as the others are.

        Raises:
            ValueError: naming the row or the split and the cure.
        """
        known = [row.pretraining.name for row in rows]
        if unknown := [name for name in self.spaces if name not in known]:
            raise ValueError(f"search.spaces: there is no method '{unknown[0]}'. {suggest(unknown[0], known)}")
        for row in rows:
            list(row.examples())  # refuses what cannot be tried
        for name, split in splits.items():
            if not (split.validates and split.leak_free):
                raise ValueError(
                    f"search chooses settings on validation windows, but split '{name}' "
                    f"{'is not leak-free' if split.validates else 'has none'}; leave it out, or hold subjects out"
                )


class TrialPlan(StrictModel):
    """All settings that determine one trial of a row.

    Attributes:
        pretraining: Pre-training of the row as configured.
        evaluation: Evaluations of the row as configured; settings are chosen with the label budget that is shown.
        space: Values that may be tried: those of ``objective``, ``budget``, ``encoder`` and the other settings of a
            row's encoders, and of ``evaluations``.
        number: Number of the trial; 0 is the row as configured.
    """

    pretraining: PretrainingPlan
    evaluation: EvaluationPlan
    space: Space
    number: int = 0

    def drawn(self) -> dict[str, Drawn]:
        """Return the values that the trial has in place of those configured."""
        return draw(self.space, derive_seed(self.pretraining.seed, "trial", self.number)) if self.number else {}

    def plans(self, drawn: Mapping[str, Drawn]) -> tuple[PretrainingPlan, EvaluationPlan]:
        """Return pre-training and evaluations of the row with some values in place of those configured.

        Raises:
            ValueError: if the row has no such setting, or the setting no such value.
        """
        row: dict[str, Any] = {
            **plain(self.pretraining.backbone),
            **{name: plain(getattr(self.pretraining, name)) for name in ("objective", "budget")},
            "evaluations": plain(self.evaluation.evaluations),
        }
        for name, value in drawn.items():
            row = _with(row, name.split("."), self.space[name].value_of(value))
        own = {name: row.pop(name) for name in ("objective", "budget")}
        evaluations = row.pop("evaluations")
        return (
            PretrainingPlan.model_validate({**plain(self.pretraining), **own, "backbone": row}),
            EvaluationPlan.model_validate({**plain(self.evaluation), "evaluations": evaluations}),
        )

    def examples(self) -> Iterator[tuple[PretrainingPlan, EvaluationPlan]]:
        """Yield the plans of the row with each end of a range, or choice, in place of the value configured.

        Raises:
            ValueError: if the space is empty, or has a setting that the row does not have, or a value that it cannot
                have; names the row and the setting.
        """
        row = self.pretraining.name
        if not self.space:
            raise ValueError(f"method '{row}' has no values to try; write them under search.spaces.{row}")
        for name, dimension in self.space.items():
            for value in dimension.examples:
                try:
                    yield self.plans({name: value})
                except ValueError as error:
                    reason = explain(error) if isinstance(error, ValidationError) else error
                    if isinstance(dimension, Range) and value not in (dimension.low, dimension.high):
                        reason = f"{reason}. If whole numbers are meant, write whole: true"
                    raise ValueError(f"search.spaces.{row}.{name}: {value!r}: {reason}") from error


def _with(settings: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return nested settings with another value at a path."""
    key, *below = path
    if not isinstance(settings, Mapping) or key not in settings:
        known = suggest(key, settings) if isinstance(settings, Mapping) else "Nothing is below it."
        raise ValueError(f"there is no setting '{key}'. {known}")
    return refine(settings, {key: _with(settings[key], below, value) if below else value})
