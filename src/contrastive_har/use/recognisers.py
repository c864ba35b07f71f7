"""Recognisers: the backbone and the head with the best validation score, for use on raw windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from contrastive_har.files.tensors import require_like
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.table import EVERYTHING
from contrastive_har.signals.budgets import LabelBudget, parse_budget
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows
from contrastive_har.strict import StrictModel
from contrastive_har.use.calibration import Calibration
from contrastive_har.use.familiarity import Reference

_ROW = ["split", "method", "evaluation", "label_budget"]


class Origin(StrictModel):
    """The origin of a recogniser, and its scores.

    Attributes:
        protocol: Protocol by which it was trained.
        split: Split whose windows it was trained on.
        method: Method by which its encoders were pre-trained.
        evaluation: Evaluation by which its head was trained.
        label_budget: Label budget of its head.
        repeat: Repeat of its backbone and head.
        validation_macro_f1: Macro-F1 of this repeat on its validation windows.
        mean_validation_macro_f1: Mean over repeats, by which the row was chosen.
        mean_test_macro_f1: Mean over repeats on the test windows, as an estimate for unseen subjects.
        test_macro_f1: The same of each repeat; empty in files of older releases.
    """

    protocol: str
    split: str
    method: str
    evaluation: str
    label_budget: str
    repeat: int
    validation_macro_f1: float | None
    mean_validation_macro_f1: float | None
    mean_test_macro_f1: float | None
    test_macro_f1: tuple[float, ...] = ()


class Architecture(StrictModel):
    """The architecture of a recogniser: all that is needed to build its network.

    Attributes:
        description: Channels in order with their units, Hz, and activities of its training data.
        length: Samples in a window.
        stride: Samples from one window to the next.
        clips: Whether it was trained on clips of various lengths, resampled to one.
        backbone: Settings of the encoders.
        head: Settings of the head.
    """

    description: DatasetDescription
    length: PositiveInt
    stride: PositiveInt
    clips: bool = False
    backbone: BackboneSettings
    head: HeadSettings

    def build(self, weights: Mapping[str, Tensor], temperature: float = 1.0) -> Recogniser:
        """Return the network, in evaluation mode.

        Raises:
            ValueError: if the weights are not those of such a network.
        """
        with torch.device("meta"):  # shapes without memory
            self._check(weights, self._network(temperature).state_dict())
        with seeded(0):  # initial weights, about to be replaced
            network = self._network(temperature)
        network.load_state_dict(dict(weights))
        return network.eval()

    def _network(self, temperature: float) -> Recogniser:
        backbone = self.backbone.build(self.description.layout(self.length))
        head = self.head.build_for(backbone.widths, self.description.class_names)
        return Recogniser(backbone, head, temperature)

    def _check(self, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        names = f"encoder '{self.backbone.encoder.name}' with head '{self.head.name}'"
        if different := sorted(set(weights) ^ set(expected)):
            raise ValueError(f"the weights do not fit {names}: {different[0]} is missing or unknown")
        for name, like in expected.items():
            require_like(f"{name} of {names}", weights[name], like)


@dataclass(frozen=True)
class TrainedRecogniser:
    """Everything needed to recognise activities in raw windows.

    Attributes:
        architecture: Architecture of the network.
        weights: Weights of the :class:`Recogniser`, normalisation included.
        origin: Origin and scores.
        alternatives: Recognisers for recordings that lack some of the modalities.
        calibration: Temperature of its probabilities.
        reference: Statistics of its training windows, if they are known.
    """

    architecture: Architecture
    weights: dict[str, Tensor]
    origin: Origin
    alternatives: tuple[TrainedRecogniser, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    reference: Reference | None = None

    @property
    def description(self) -> DatasetDescription:
        """Channels, rate and activities of its training data."""
        return self.architecture.description

    @property
    def length(self) -> int:
        """Samples in a window."""
        return self.architecture.length

    @property
    def stride(self) -> int:
        """Samples from one window to the next."""
        return self.architecture.stride

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it needs."""
        return tuple(self.description.layout(self.length).modalities)

    def build(self) -> Recogniser:
        """Return the network, in evaluation mode.

        Raises:
            ValueError: if the weights are not those of such a network.
        """
        return self.architecture.build(self.weights, self.calibration.temperature)

    def suited_to(self, channels: Collection[str]) -> TrainedRecogniser:
        """Return the first of this recogniser and its alternatives that needs only some channels; else this one."""
        for one in (self, *self.alternatives):
            if set(one.description.channel_names) <= set(channels):
                return one
        return self

    def only(self, modalities: Collection[str]) -> TrainedRecogniser:
        """Return the recogniser of some modalities.

        Raises:
            ValueError: if there is none; the message lists those that there are.
        """
        known = {one.modalities: one for one in (self, *self.alternatives)}
        for found, one in known.items():
            if set(found) == set(modalities):
                return one
        listed = ", ".join(" and ".join(found) for found in known)
        raise ValueError(f"there is no recogniser of {' and '.join(modalities)}; there are those of: {listed}")


def combine(encoders: EncoderSet, head: TrainedHead, windows: Windows) -> tuple[Architecture, dict[str, Tensor]]:
    """Return the architecture and the weights of a recogniser from a backbone and a head trained on it."""
    facts = head.facts
    changed = {name.removeprefix("backbone."): value for name, value in head.weights.items() if "backbone." in name}
    backbone = encoders.build(facts.repeat)
    if facts.modalities is not None:
        backbone = backbone.only(facts.modalities)
    description = windows.only(backbone.channels).description
    state = {**backbone.state_dict(), **changed}
    architecture = Architecture(
        description=description,
        length=windows.length,
        stride=windows.stride,
        clips=windows.are_clips,
        backbone=encoders.settings,
        head=facts.head,
    )
    weights = {f"backbone.{name}": value for name, value in state.items()}
    return architecture, weights | {name: value for name, value in head.weights.items() if name.startswith("head.")}


def recognise(network: Recogniser, windows: NDArray[np.float32], batch: int = 1024) -> NDArray[np.float32]:
    """Return probabilities (windows, classes) of raw ``windows`` (windows, time, channels).

    Raises:
        ValueError: if a probability is not finite, because samples are not finite or too large.
    """
    with torch.inference_mode():
        parts = [network(part) for part in torch.from_numpy(np.ascontiguousarray(windows)).split(batch)]
        probabilities: NDArray[np.float32] = torch.cat(parts).numpy()
    invalid = ~np.isfinite(probabilities).all(axis=1)
    if invalid.any():
        raise ValueError(
            f"Samples up to {np.abs(windows[invalid]).max():.3g} give no probabilities. Check the units, and cut out "
            "what was not measured."
        )
    return probabilities


def choose_recogniser(
    windows: Windows,
    protocol: str,
    encoders: Mapping[Cell, EncoderSet],
    heads: Mapping[Cell, list[TrainedHead]],
    scores: pd.DataFrame,
    label_budget: LabelBudget | None = None,
) -> TrainedRecogniser:
    """Choose by macro-F1 on validation windows: the row with the best mean over repeats, then its best repeat.

    Where evaluations use single modalities, there is one recogniser for each combination: the result is the one of all
    modalities, and the others are its alternatives.

    Args:
        windows: Windows of the protocol.
        protocol: Name of the protocol.
        encoders: Encoders by cell.
        heads: Heads by cell.
        scores: Scores of the whole protocol, for the origin only: they do not affect the choice.
        label_budget: The label budget of the recogniser; None chooses among those of all budgets.

    Raises:
        ValueError: if there are no validation scores.
    """
    tried = pd.DataFrame(
        [
            (cell.split, cell.method, facts.evaluation, facts.label_budget, facts.validation_macro_f1, head, needed)
            for cell, of_cell in heads.items()
            for head in of_cell
            if (facts := head.facts).validation_macro_f1 is not None
            and label_budget in (None, parse_budget(facts.label_budget))
            for needed in [facts.modalities or tuple(encoders[cell].layout.modalities)]
        ],
        columns=[*_ROW, "value", "head", "modalities"],
    )
    if tried.empty:
        at = f" with the label budget '{label_budget.name}'" if label_budget else ""
        raise ValueError(f"Protocol '{protocol}' has no validation windows to choose a model{at} by.")
    chosen = [
        _choose_one(windows, protocol, encoders, of_modalities, scores)
        for _, of_modalities in tried.groupby("modalities", sort=False)
    ]
    # Recordings that have all modalities are for the recogniser of most, the others for the best of those they have.
    chosen.sort(key=lambda one: (-len(one.modalities), -(one.origin.mean_validation_macro_f1 or 0.0)))
    return replace(chosen[0], alternatives=tuple(chosen[1:]))


def _choose_one(
    windows: Windows, protocol: str, encoders: Mapping[Cell, EncoderSet], tried: pd.DataFrame, scores: pd.DataFrame
) -> TrainedRecogniser:
    """Choose the row with the best mean over repeats, then its best repeat."""
    means = tried.groupby(_ROW, sort=False)["value"].mean()
    row = means.idxmax()
    repeats = tried[(tried[_ROW] == list(row)).all(axis=1)]
    best = repeats.loc[repeats["value"].idxmax()]
    chosen: TrainedHead = best["head"]
    architecture, weights = combine(encoders[Cell(protocol, *row[:2])], chosen, windows)
    tested = scores[(scores[_ROW] == list(row)).all(axis=1) & (scores["metric"] == "macro_f1")]
    of_repeats = tested.loc[tested["group"] == EVERYTHING, "value"]
    origin = Origin(
        protocol=protocol,
        **dict(zip(_ROW, row, strict=True)),
        repeat=chosen.facts.repeat,
        validation_macro_f1=best["value"],
        mean_validation_macro_f1=means[row],
        mean_test_macro_f1=of_repeats.mean(),
        test_macro_f1=tuple(map(float, of_repeats)),
    )
    return TrainedRecogniser(architecture, weights, origin)
