"""Ridge regression on class indicators, fitted in closed form."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from contrastive_har.models.heads.base import BaseHeadSettings, Head


class RidgeSettings(BaseHeadSettings):
    """Ridge regression of +1 / -1 class indicators (Hoerl and Kennard 1970), as Rocket's classifier.

    Attributes:
        penalty: Factor of the squared weights.
    """

    fitted: ClassVar[bool] = True

    name: Literal["ridge"] = "ridge"
    penalty: float = Field(default=1.0, gt=0)

    def build(self, features: int, classes: int) -> Ridge:
        """Return a head that has not been fitted."""
        return Ridge(features, classes, self)


class Ridge(Head):
    """W and b that minimise ``|X W + b - Y|^2 + penalty |W|^2``; Y is +1 in the class's column and -1 elsewhere.

    The log-scores are the values of the regression: only their order is meaningful, their softmax is not calibrated.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Penalty of the weights.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, classes: int, settings: RidgeSettings) -> None:
        super().__init__()
        self.penalty = settings.penalty
        self.register_buffer("weight", torch.zeros(features, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return the regression's values (batch, classes) of ``features`` (batch, features)."""
        return features @ self.weight + self.bias

    def fit(self, features: Tensor, targets: Tensor) -> None:
        """Solve for the weights, in double precision, through the smaller of the two Gram matrices."""
        examples = features.double()
        signs = 2.0 * torch.nn.functional.one_hot(targets, len(self.bias)).double() - 1.0
        centre, mean = examples.mean(0), signs.mean(0)
        examples, signs = examples - centre, signs - mean
        count, width = examples.shape
        if width <= count:
            gram = examples.T @ examples + self.penalty * torch.eye(width).to(examples)
            weight = torch.linalg.solve(gram, examples.T @ signs)
        else:
            gram = examples @ examples.T + self.penalty * torch.eye(count).to(examples)
            weight = examples.T @ torch.linalg.solve(gram, signs)
        self.weight.copy_(weight)
        self.bias.copy_(mean - centre @ weight)
