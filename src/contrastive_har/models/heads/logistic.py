"""Multinomial logistic regression, fitted to convergence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrastive_har.models.heads.base import IMPOSSIBLE, FittedHeadSettings, FittedLinear

Penalty = Annotated[float, Field(gt=0)]
_SMALLEST = 1e-6  # deviation, as a share of the largest, below which a feature counts as constant


class LogisticSettings(FittedHeadSettings):
    """Multinomial logistic regression with a squared penalty, by scikit-learn's L-BFGS.

    Attributes:
        inverse_penalty: scikit-learn's ``C``: the smaller, the smaller the weights. Of several, the best by macro-F1 on
            validation windows is chosen; the first, where there are none.
        standardise: Whether features are first z-scored by the labelled windows, so that the penalty is the same for
            all.
    """

    name: Literal["logistic"] = "logistic"
    inverse_penalty: Penalty | Annotated[tuple[Penalty, ...], Field(min_length=1)] = 1.0
    standardise: bool = False

    @property
    def variants(self) -> Sequence[LogisticSettings]:
        """One for each penalty."""
        penalties = self.inverse_penalty if isinstance(self.inverse_penalty, tuple) else (self.inverse_penalty,)
        return [self.model_copy(update={"inverse_penalty": penalty}) for penalty in penalties]

    def build(self, features: int, classes: Sequence[str]) -> Logistic:
        """Return a head that has not been fitted."""
        return Logistic(features, len(classes), self)


class Logistic(FittedLinear):
    """One linear layer whose weights minimise cross-entropy + ``|W|^2 / (2 inverse_penalty)``, summed over windows.

    Weights of windows multiply their cross-entropies. Of two classes scikit-learn penalises the difference of their
    weights instead, whose square is twice that of both.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Penalty of the weights.
    """

    def __init__(self, features: int, classes: int, settings: LogisticSettings) -> None:
        super().__init__(features, classes)
        self.settings = settings

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Fit the regression, in double precision; classes without a label are never predicted."""
        from sklearn.linear_model import LogisticRegression  # takes long to import

        present = targets.unique()
        weight, bias = self._present(present)
        self.weight.zero_()
        self.bias.fill_(IMPOSSIBLE)
        if len(present) == 1:
            self.bias[present] = 0.0
            return
        mean, deviation = _statistics(features) if self.settings.standardise else (0.0, 1.0)
        coordinates, basis = _row_space((features.double() - mean) / deviation)
        penalty = self.settings.variants[0].inverse_penalty
        regression = LogisticRegression(C=penalty, max_iter=2000, warm_start=True)
        regression.coef_ = ((weight * deviation) @ basis.T).cpu().numpy()
        regression.intercept_ = (bias + (weight * mean).sum(1)).cpu().numpy()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")  # few labels
            regression.fit(*(each.cpu().numpy() for each in (coordinates, targets)), sample_weight=_numpy(weights))
        weight = torch.from_numpy(regression.coef_).to(features.device) @ basis / deviation
        bias = torch.from_numpy(regression.intercept_).to(features.device) - (weight * mean).sum(1)
        weight, bias = weight.T.to(self.weight), bias.to(self.bias)
        if len(present) == 2:  # scikit-learn has the log-odds of the second class
            weight, bias = torch.cat([-weight, weight], dim=1) / 2, torch.cat([-bias, bias]) / 2
        self.weight[:, present] = weight
        self.bias[present] = bias

    def _present(self, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights (classes, features) and biases (classes,) to start from, as scikit-learn has them."""
        weight, bias = self.weight[:, classes].T.double(), self.bias[classes].double()
        bias = torch.where(bias > IMPOSSIBLE, bias, torch.zeros_like(bias))
        return (weight[1:] - weight[:1], bias[1:] - bias[:1]) if len(classes) == 2 else (weight, bias)


def _numpy(weights: Tensor | None) -> NDArray[np.float64] | None:
    return None if weights is None else weights.double().cpu().numpy()


def _row_space(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``features`` as coordinates in the space that their rows span, and its orthonormal basis, row by row.

    The penalty is the same in any orthonormal basis, so that a regression on fewer windows than features has the same
    solution in as few coordinates as windows, much sooner.
    """
    windows, width = features.shape
    if windows >= width:
        return features, torch.eye(width, dtype=features.dtype, device=features.device)
    basis, triangle = torch.linalg.qr(features.T)
    return triangle.T, basis.T


def _statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each feature, in double precision; the deviation of a constant one is 1."""
    deviation, mean = torch.std_mean(features.double(), dim=0, correction=0)
    return mean, torch.where(deviation > _SMALLEST * deviation.max(), deviation, torch.ones_like(deviation))
