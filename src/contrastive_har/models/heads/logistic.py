"""Multinomial logistic regression, fitted to convergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from contrastive_har.models.heads.base import IMPOSSIBLE, FittedHeadSettings, FittedLinear


class LogisticSettings(FittedHeadSettings):
    """Multinomial logistic regression with a squared penalty, by scikit-learn's L-BFGS.

    Attributes:
        inverse_penalty: scikit-learn's ``C``: the smaller, the smaller the weights.
    """

    name: Literal["logistic"] = "logistic"
    inverse_penalty: float = Field(default=1.0, gt=0)

    def build(self, features: int, classes: Sequence[str]) -> Logistic:
        """Return a head that has not been fitted."""
        return Logistic(features, len(classes), self)


class Logistic(FittedLinear):
    """One linear layer whose weights minimise cross-entropy + ``|W|^2 / (2 inverse_penalty)``, summed over windows.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Penalty of the weights.
    """

    def __init__(self, features: int, classes: int, settings: LogisticSettings) -> None:
        super().__init__(features, classes)
        self.inverse_penalty = settings.inverse_penalty

    def fit(self, features: Tensor, targets: Tensor) -> None:
        """Fit the regression, in double precision; classes without a label are never predicted."""
        from sklearn.linear_model import LogisticRegression  # takes long to import

        present = targets.unique()
        self.weight.zero_()
        self.bias.fill_(IMPOSSIBLE)
        if len(present) == 1:
            self.bias[present] = 0.0
            return
        regression = LogisticRegression(C=self.inverse_penalty, max_iter=2000)
        regression.fit(features.double().cpu().numpy(), targets.cpu().numpy())
        weight = torch.from_numpy(regression.coef_).T.to(self.weight)
        bias = torch.from_numpy(regression.intercept_).to(self.bias)
        if len(present) == 2:  # scikit-learn has the log-odds of the second class
            weight, bias = torch.cat([-weight, weight], dim=1) / 2, torch.cat([-bias, bias]) / 2
        self.weight[:, present] = weight
        self.bias[present] = bias
