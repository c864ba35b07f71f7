"""Features that the library aeon computes (Middlehurst et al. 2024, arXiv 2406.14231), an optional package.

MultiRocket with Hydra, and QUANT, are among the most accurate of the field's comparisons of classifiers of time series
(Middlehurst, Schaefer and Bagnall 2024, arXiv 2304.13029).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrastive_har.models.encoders.base import Sensors
from contrastive_har.models.encoders.computed import ComputedFeatures, ComputedFeaturesSettings
from contrastive_har.signals.seeds import seeded

_LARGEST_SEED = 2**31 - 1  # of aeon's random states


class _AeonSettings(ComputedFeaturesSettings):
    """Settings of features that aeon computes."""

    package: ClassVar[str | None] = "aeon"

    @property
    def shortest_window(self) -> int:
        """Samples that a kernel spans in the differences of a window; QUANT needs fewer."""
        return 10

    def problem(self, sensor_channels: int, sensors: Sensors) -> str | None:
        """Return that aeon is missing, and how it is installed; None if it is there."""
        return None if find_spec("aeon") else "needs the package aeon: pip install 'contrastive-har[aeon]'"


class _AeonFeatures(ComputedFeatures):
    """Features that aeon computes on the CPU."""

    def compute(self, windows: Tensor) -> Tensor:
        """Return the features (batch, features) of ``windows`` (batch, time, channels).

        Raises:
            RuntimeError: if the encoder is exported: other runtimes do not have aeon.
        """
        if torch.compiler.is_exporting():
            raise RuntimeError(
                "Features of aeon cannot be exported. Export the recogniser of another method, such as MiniRocket."
            )
        computed = self.transform(windows.detach().cpu().numpy().transpose(0, 2, 1))
        return torch.from_numpy(np.ascontiguousarray(computed, np.float32)).to(windows.device)

    @abstractmethod
    def transform(self, series: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the features (windows, features) of ``series`` (windows, channels, time)."""


class QuantSettings(_AeonSettings):
    """Quantiles of nested intervals; the defaults are the published ones.

    Attributes:
        levels: Lengths of intervals: the whole window, its halves, their halves, and so on.
        divisor: Samples of an interval for each quantile of it.
    """

    name: Literal["quant"] = "quant"
    levels: int = Field(default=6, ge=1)
    divisor: int = Field(default=4, ge=1)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> Quant:
        """Return the features of windows (batch, ``length``, ``sensor_channels``); not calibrated."""
        return Quant(sensor_channels, length, self)


class Quant(_AeonFeatures):
    """Quantiles of a window, of its differences and of its spectrum (Dempster et al. 2023, arXiv 2308.00928).

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Levels and divisor.
    """

    def __init__(self, sensor_channels: int, length: int, settings: QuantSettings) -> None:
        self.shape = (length, sensor_channels)
        self.settings = settings
        with _undisturbed():
            features = self.transform(_nothing(sensor_channels, length)).shape[1]
        super().__init__(features, length)

    def transform(self, series: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the quantiles (windows, features) of ``series`` (windows, channels, time)."""
        from aeon.transformations.collection.interval_based import QUANTTransformer

        quant = QUANTTransformer(self.settings.levels, self.settings.divisor)
        quant.fit(series[:1])  # only their shape counts
        quantiles: NDArray[np.floating] = quant.transform(series)
        return quantiles


class MultiRocketHydraSettings(_AeonSettings):
    """MultiRocket and Hydra.

    Attributes:
        kernels: MultiRocket's kernels, each of eight features; rounded down to a multiple of 84. The published number
            is 6,250, which makes 50,000 features.
        groups: Hydra's groups of kernels for each dilation; 64 were published.
    """

    name: Literal["multirocket_hydra"] = "multirocket_hydra"
    kernels: int = Field(default=672, ge=84)
    groups: int = Field(default=32, ge=2, multiple_of=2)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> MultiRocketHydra:
        """Return the features of windows (batch, ``length``, ``sensor_channels``); not calibrated."""
        return MultiRocketHydra(sensor_channels, length, self)


class MultiRocketHydra(_AeonFeatures):
    """MultiRocket (Tan et al. 2022, arXiv 2102.00457) beside Hydra (Dempster et al. 2023, arXiv 2203.13652).

    All random choices follow from a seed, which is stored, except MultiRocket's biases, which are quantiles of
    convolutions of random windows and are stored too. The square root is taken of Hydra's features, which are counts
    and sums, as published.

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Number of kernels and of groups.
    """

    seed: Tensor
    biases: Tensor
    biases_of_differences: Tensor

    def __init__(self, sensor_channels: int, length: int, settings: MultiRocketHydraSettings) -> None:
        self.shape = (settings.kernels, settings.groups, sensor_channels, length)
        with _undisturbed():
            rocket, hydra = _transformers(0, *self.shape)
            nothing = _nothing(sensor_channels, length)
            features = sum(each.transform(nothing).shape[1] for each in (rocket, hydra))
        super().__init__(features, length)
        self.register_buffer("seed", torch.zeros((), dtype=torch.long))
        self.register_buffer("biases", torch.zeros(len(rocket.parameter[-1])))
        self.register_buffer("biases_of_differences", torch.zeros(len(rocket.parameter1[-1])))

    def calibrate(self, windows: Tensor) -> None:
        """Draw the kernels, and the biases from random ``windows`` (windows, time, channels); z-score."""
        self.seed.copy_(torch.randint(_LARGEST_SEED, ()))
        rocket, _ = _fitted(windows.cpu().numpy().transpose(0, 2, 1), int(self.seed), *self.shape[:2])
        for biases, parameter in ((self.biases, rocket.parameter), (self.biases_of_differences, rocket.parameter1)):
            biases.copy_(torch.from_numpy(parameter[-1]))
        super().calibrate(windows)

    def transform(self, series: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the features (windows, features) of ``series`` (windows, channels, time)."""
        rocket, hydra = _transformers(int(self.seed), *self.shape)
        rocket.parameter = (*rocket.parameter[:-1], self.biases.cpu().numpy())
        rocket.parameter1 = (*rocket.parameter1[:-1], self.biases_of_differences.cpu().numpy())
        counts = np.sqrt(hydra.transform(series).clip(min=0))
        return np.concatenate([rocket.transform(series), counts], axis=1)


def _nothing(channels: int, length: int) -> NDArray[np.float32]:
    """Return two windows without movement: aeon squeezes the dimension of a single one."""
    return np.zeros((2, channels, length), np.float32)


@lru_cache(maxsize=8)
def _transformers(seed: int, kernels: int, groups: int, channels: int, length: int) -> tuple[Any, Any]:
    """Return MultiRocket and Hydra with the random choices of a seed, but without biases."""
    return _fitted(_nothing(channels, length), seed, kernels, groups)


def _fitted(series: NDArray[np.float32], seed: int, kernels: int, groups: int) -> tuple[Any, Any]:
    """Return MultiRocket and Hydra, fitted to ``series`` (windows, channels, time)."""
    from aeon.transformations.collection.convolution_based import HydraTransformer, MultiRocket

    threads = torch.get_num_threads()  # Hydra sets the number
    rocket = MultiRocket(n_kernels=kernels, n_jobs=threads, random_state=seed)
    hydra = HydraTransformer(n_groups=groups, n_jobs=threads, random_state=seed, output_type="numpy")
    with _undisturbed():
        return rocket.fit(series), hydra.fit(series)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Compute on the CPU and in single precision, whatever is set around; restore random states, which aeon seeds."""
    state = np.random.get_state()  # noqa: NPY002 - of others
    try:
        with torch.device("cpu"), torch.autocast("cpu", enabled=False), seeded(0):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
