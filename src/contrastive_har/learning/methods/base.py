"""What every pre-training method is: settings that build a learner, and a learner that makes a batch into a loss.

Everything else (device, precision, seeds, checkpoints, progress, history) belongs to the one pre-training loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from contrastive_har.learning.compute import Compute
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.signals.augmentations import Augmentation, Draws, first_problem


@dataclass(frozen=True)
class Step:
    """What a method makes of one batch.

    Attributes:
        loss: Scalar to minimise.
        clusters: Cluster of each window in each view (views, batch), where the method clusters.
    """

    loss: Tensor
    clusters: Tensor | None = None


class Learner(nn.Module, ABC):
    """An encoder and whatever else a method trains along with it.

    Attributes:
        encoder: What is kept.
    """

    encoder: Encoder

    @abstractmethod
    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return the loss of normalised ``windows`` (batch, time, channels).

        Args:
            windows: On the learner's device; where several processes share a batch, this one's share.
            seed: Of this step's random choices; the same in every process.
            compute: Gathers a batch from all processes, and chooses the precision of encoder and heads.
        """


class Objective(BaseModel, ABC):
    """A method's settings. A subclass in a module of this package is a method: no list names it.

    Attributes:
        encoders: Names of the encoders the method can train; all of them where there are none.
        trains: Whether there is anything to train.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoders: ClassVar[tuple[str, ...]] = ()
    trains: ClassVar[bool] = True

    @abstractmethod
    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> Learner:
        """Return a learner that trains ``encoder``.

        Args:
            encoder: Untrained.
            shape: (time, channels) of a window.
            classes: Number of activities.
        """

    def refusal(self, encoder: EncoderSettings) -> str | None:
        """Return why this method cannot train such an encoder, and the cure; nothing if it can."""
        if self.encoders and encoder.name not in self.encoders:
            return f"cannot train the encoder '{encoder.name}'; set its encoder to {' or '.join(self.encoders)}"
        return None

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """Every augmentation that windows go through."""
        return ()

    def problem(self, smallest_batch: int, shape: tuple[int, int], classes: int) -> str | None:
        """Return why this method can't learn from such windows, and the cure; nothing if it can.

        This one asks the augmentations.

        Args:
            smallest_batch: Windows in the smallest batch of an epoch.
            shape: (time, channels) of a window.
            classes: Number of activities.
        """
        return first_problem(self.augmentations, shape[1])


def draws_for(windows: Tensor, seed: int, compute: Compute) -> Draws:
    """Return random numbers on the device of ``windows``."""
    return Draws(torch.Generator(windows.device).manual_seed(seed), compute.processes, compute.rank)


def full_precision(outputs: Tensor) -> Tensor:
    """Return what an encoder or head gave in float32 or better: half precision must not reach a loss."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
