"""Search spaces: the values of a setting that may be tried, and random draws of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from contrastive_har.signals.seeds import derive_seed
from contrastive_har.strict import StrictModel

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution  # slow to import

Drawn = float | int | str | bool
"""What is drawn: a number, or one of the choices; of choices with names, the name."""


class Range(StrictModel):
    """Numbers between two ends.

    Attributes:
        low: The lower end.
        high: The upper end.
        log: Whether the logarithm is drawn evenly, instead of the number.
        whole: Whether only whole numbers are drawn.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm; write a number above 0, or log: false")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"{self.low:g} to {self.high:g} does not begin and end with a whole number")
        return self

    @property
    def examples(self) -> tuple[Drawn, ...]:
        """The ends, and a number between them that is drawn unless all are whole."""
        if self.whole:
            return int(self.low), int(self.high)
        return self.low, self.high, self.low + (self.high - self.low) / math.pi

    def value_of(self, drawn: Drawn) -> Any:
        """Return what is drawn."""
        return drawn

    def distribution(self) -> BaseDistribution:
        """Return the distribution that is drawn from."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


class Choices(StrictModel):
    """A list of plain values, or values of any kind by the names that tables have for them.

    Attributes:
        choices: The values, each equally likely.
    """

    choices: tuple[Drawn, ...] | dict[str, Any] = Field(min_length=2)

    @property
    def examples(self) -> tuple[Drawn, ...]:
        """All choices, or their names."""
        return tuple(self.choices)

    def value_of(self, drawn: Drawn) -> Any:
        """Return the value of a choice."""
        return self.choices[str(drawn)] if isinstance(self.choices, dict) else drawn

    def distribution(self) -> BaseDistribution:
        """Return the distribution that is drawn from."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.examples)


Dimension = Range | Choices
Space = dict[str, Dimension]
"""Values that may be tried, by the dotted name of the setting."""


def draw(space: Space, seed: int) -> dict[str, Drawn]:
    """Draw a value of every setting at random, by Optuna's sampler.

    A draw depends on the seed, the name of the setting and its values only: rows that share a setting try the same
    values of it, and trials can be repeated in any order.

    Random search covers spaces of few dimensions as well as a grid of many more trials (Bergstra and Bengio 2012).

    Args:
        space: Values by the name of the setting.
        seed: Seed of the trial.
    """
    import optuna  # slow to import

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = {}
    for name, dimension in space.items():
        sampler = optuna.samplers.RandomSampler(derive_seed(seed, name) % 2**32)
        trial = optuna.create_study(sampler=sampler).ask({name: dimension.distribution()})
        drawn[name] = trial.params[name]
    return drawn
