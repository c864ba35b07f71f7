"""Ridge regression on class indicators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.heads.base import FittedHeadSettings, FittedLinear

Penalty = Annotated[float, Field(gt=0)]


class RidgeSettings(FittedHeadSettings):
    """Ridge regression of +1 / -1 class indicators (Hoerl and Kennard 1970), as Rocket's classifier.

    Attributes:
        penalty: Factor of the squared weights; of several, the best by leave-one-out errors of the labelled windows is
            chosen. The default are MiniRocket's.
    """

    name: Literal["ridge"] = "ridge"
    penalty: Penalty | Annotated[tuple[Penalty, ...], Field(min_length=1)] = tuple(
        10 ** (exponent / 3) for exponent in range(-9, 10, 2)
    )

    @property
    def has_likelihood(self) -> bool:
        """Whether scores are log-probabilities: those of a regression are not."""
        return False

    @property
    def penalties(self) -> tuple[float, ...]:
        """All penalties to try."""
        return self.penalty if isinstance(self.penalty, tuple) else (self.penalty,)

    def build(self, features: int, classes: Sequence[str]) -> Ridge:
        """Return a head that has not been fitted."""
        return Ridge(features, len(classes), self)


class Ridge(FittedLinear):
    """W and b that minimise ``|X W + b - Y|^2 + penalty |W|^2``; Y is +1 in the class's column and -1 elsewhere.

    The log-scores are the values of the regression: only their order is meaningful, their softmax is not calibrated.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Penalty of the weights.
    """

    def __init__(self, features: int, classes: int, settings: RidgeSettings) -> None:
        super().__init__(features, classes)
        self.penalties = settings.penalties

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Solve for the weights, in double precision."""
        from sklearn.linear_model import RidgeCV  # takes long to import

        signs = 2.0 * functional.one_hot(targets, len(self.bias)).double() - 1.0
        of_windows = None if weights is None else weights.double().cpu().numpy()
        regression = RidgeCV(alphas=list(self.penalties))
        regression.fit(features.double().cpu().numpy(), signs.cpu().numpy(), of_windows)
        self.weight.copy_(torch.from_numpy(regression.coef_).T)
        self.bias.copy_(torch.from_numpy(regression.intercept_))
