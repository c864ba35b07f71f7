"""Each objective's loss against a slow, literal transcription of its formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives import Objective, ObjectiveSettings, Step
from contrastive_har.learning.objectives.memory import NNCLR, MoCo, MoCoSettings, NNCLRSettings
from contrastive_har.learning.objectives.multi_task import MultiTaskSettings
from contrastive_har.learning.objectives.predictive import PredictiveCodingSettings
from contrastive_har.learning.objectives.reconstruction import (
    AutoencodingSettings,
    MaskedReconstructionSettings,
)
from contrastive_har.learning.objectives.two_views import Queue
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.models.encoders.conv_gru import ConvGRUSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.signals.augmentations import make_view
from contrastive_har.signals.augmentations.values import Negation, Rotation
from contrastive_har.signals.sensors import Channel, Layout

ROOT = Path(__file__).parents[2]
ALONE = ComputeSettings(device="cpu", precision="float32").resolve()
WINDOWS = torch.randn(12, 50, 6, generator=torch.Generator().manual_seed(1))
NAMES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")


def layout(length: int = 50, width: int = 6) -> Layout:
    """Windows of two sensors, or of as many of their channels as there are."""
    return Layout(length=length, channels=tuple(Channel(name=name, unit="g") for name in NAMES[:width]))


TPN = TPNSettings(dropout=0)
TRANSFORMER = TransformerSettings(
    channels=(16,), kernels=(1,), batch_norm=False, layers=1, heads=2, feedforward=16, dropout=0, pooling="mean"
)


def build(settings: ObjectiveSettings, encoder: EncoderSettings) -> Objective:
    torch.manual_seed(0)
    return settings.build(encoder.build(6, 50), layout(), 3)


def unit(projections: torch.Tensor) -> np.ndarray:
    return functional.normalize(projections, dim=1).detach().double().numpy()


def test_the_queue_keeps_the_newest() -> None:
    queue = Queue(5, 2)
    torch.testing.assert_close(queue.rows.norm(dim=1), torch.ones(5))
    queue.push(torch.arange(6.0).view(3, 2))
    queue.push(torch.arange(6.0, 14.0).view(4, 2))
    assert sorted(queue.rows[:, 0].tolist()) == [4, 6, 8, 10, 12]
    queue.push(torch.arange(100.0, 120.0).view(10, 2))
    assert sorted(queue.rows[:, 0].tolist()) == [110, 112, 114, 116, 118], "more than fit: the last of them"


def test_moco_is_its_formula() -> None:
    settings = MoCoSettings(queue=7, projection=(8, 4), views=((Negation(),), ()))
    objective = build(settings, TPN)
    assert isinstance(objective, MoCo)
    queue = objective.negatives.rows.double().numpy().copy()
    loss = objective.loss(WINDOWS, Step(5, ALONE)).loss
    query = unit(objective.head(objective.encoder(-WINDOWS)))
    key = unit(objective.copy(WINDOWS))
    total = 0.0
    for i in range(12):
        positive = np.exp(query[i] @ key[i] / 0.07)
        total += -np.log(positive / (positive + sum(np.exp(query[i] @ row / 0.07) for row in queue)))
    assert loss.item() == pytest.approx(total / 12, rel=1e-4)
    assert {tuple(row.round(4)) for row in unit(objective.negatives.rows)} == {tuple(row.round(4)) for row in key[-7:]}
    loss.backward()
    assert all(parameter.grad is None for parameter in objective.copy.parameters())
    assert all(parameter.grad is not None for parameter in objective.encoder.parameters())


def test_mocos_copy_follows_slowly() -> None:
    objective = build(MoCoSettings(momentum=0.9), TPN)
    assert isinstance(objective, MoCo)
    leader, follower = next(objective.encoder.parameters()), next(objective.copy.parameters())
    start = follower.clone()
    with torch.no_grad():
        leader += 1
    objective.loss(WINDOWS, Step(0, ALONE))
    torch.testing.assert_close(follower, start + 0.1)


def test_nnclr_is_its_formula() -> None:
    objective = build(NNCLRSettings(queue=9, projection=(8, 4), views=((Negation(),), ())), TPN)
    assert isinstance(objective, NNCLR)
    queue = objective.earlier.rows.double().numpy().copy()
    loss = objective.loss(WINDOWS, Step(5, ALONE)).loss
    a, b = (unit(objective.head(objective.encoder(view))) for view in (-WINDOWS, WINDOWS))
    total = 0.0
    for mine, other in ((a, b), (b, a)):
        for i in range(12):
            neighbour = max(queue, key=lambda row, i=i, mine=mine: row @ mine[i])
            weights = [np.exp(neighbour @ other[k] / 0.1) for k in range(12)]
            total += -np.log(weights[i] / sum(weights))
    assert loss.item() == pytest.approx(total / 24, rel=1e-4)
    assert {tuple(row.round(4)) for row in a[-9:]} == {tuple(row.round(4)) for row in unit(objective.earlier.rows)}


def test_multi_task_is_its_formula() -> None:
    settings = MultiTaskSettings(hidden=8)
    objective = build(settings, TPN)
    windows = torch.randn(18, 50, 6, generator=torch.Generator().manual_seed(2))
    loss = objective.loss(windows, Step(5, ALONE)).loss
    draws = Step(5, ALONE).draws(windows)
    order = draws.uniform(windows).argsort().tolist()
    total = 0.0
    for kind in range(9):
        part = windows[order[2 * kind : 2 * kind + 2]]
        shown = part if kind == 0 else make_view(part, (settings.transformations[kind - 1],), draws, layout())
        for task, head in enumerate(objective.heads, start=1):  # type: ignore[arg-type, var-annotated]
            for logit in head(objective.encoder(shown)).flatten().tolist():
                total += np.log1p(np.exp(-logit)) if task == kind else np.log1p(np.exp(logit))
    assert loss.item() == pytest.approx(total / 18, rel=1e-4)
    published = "noise scaling rotation negation time_reversal permutation time_warp channel_shuffle"
    assert [transformation.name for transformation in settings.transformations] == published.split()


def test_masked_reconstruction_looks_at_hidden_samples_only() -> None:
    objective = build(MaskedReconstructionSettings(masked=0.2), TRANSFORMER)
    loss = objective.loss(WINDOWS, Step(5, ALONE)).loss
    hidden = Step(5, ALONE).draws(WINDOWS).uniform(WINDOWS, 50, 1) < 0.2
    assert 0.1 < hidden.double().mean() < 0.3
    shown = torch.where(hidden, 0, WINDOWS)
    restored = objective.restore(objective.encoder.sequence(shown))  # type: ignore[operator]
    errors = [
        (restored[i, t, c] - WINDOWS[i, t, c]).item() ** 2 for i, t, _ in hidden.nonzero().tolist() for c in range(6)
    ]
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_hidden_spans_are_hidden_as_a_whole() -> None:
    objective = build(MaskedReconstructionSettings(masked=0.4, span=8), TRANSFORMER)
    loss = objective.loss(WINDOWS, Step(5, ALONE)).loss
    spans = Step(5, ALONE).draws(WINDOWS).uniform(WINDOWS, 7, 1)[..., 0] < 0.4
    shown = WINDOWS.clone()
    for i, span in spans.nonzero().tolist():
        shown[i, 8 * span : 8 * span + 8] = 0
    restored = objective.restore(objective.encoder.sequence(shown))  # type: ignore[operator]
    errors = [((restored - WINDOWS)[i, 8 * span : 8 * span + 8] ** 2).flatten() for i, span in spans.nonzero().tolist()]
    assert {len(error) for error in errors} == {8 * 6, 2 * 6}, "the last span of 50 samples has two"
    assert loss.item() == pytest.approx(torch.cat(errors).mean().item(), rel=1e-6)


@pytest.mark.parametrize("length", [50, 47, 8])
def test_the_autoencoder_restores_the_shape(length: int) -> None:
    torch.manual_seed(0)
    windows = torch.sin(torch.arange(length)[None, :, None] / 6 + 6 * torch.rand(4, 1, 6))
    objective = AutoencodingSettings().build(
        ConvAutoencoderSettings(channels=(8, 8, 8)).build(6, length), layout(length), 3
    )
    assert objective.loss(windows, Step(0, ALONE)).loss.item() > 0.3
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.01)
    for step in range(80):
        loss = objective.loss(windows, Step(step, ALONE)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15, "four windows can be learned by heart, signs included"


def test_the_decoder_mirrors_the_encoder() -> None:
    """Layer by layer: repeated to the length before pooling, then a transposed convolution; ReLU but after the last."""
    torch.manual_seed(0)
    objective = AutoencodingSettings().build(ConvAutoencoderSettings(channels=(4, 5, 7)).build(6, 50), layout(50), 3)
    weights = {name: value.double().numpy() for name, value in objective.state_dict().items()}
    hidden = objective.encoder(WINDOWS).detach().double().numpy()
    error = []
    for window, embedded in zip(WINDOWS.double().numpy(), hidden, strict=True):
        restored = (weights["expand.weight"] @ embedded + weights["expand.bias"]).reshape(7, 6)
        for index, (width, length) in enumerate(((5, 12), (4, 25), (6, 50))):
            if index:
                restored = np.maximum(restored, 0)
            repeated = restored[:, [at * restored.shape[1] // length for at in range(length)]]
            kernel, bias = weights[f"layers.{index}.weight"], weights[f"layers.{index}.bias"]
            restored = np.zeros((width, length)) + bias[:, None]
            for at in range(length):
                for tap in range(3):
                    if 0 <= at + tap - 1 < length:
                        restored[:, at + tap - 1] += repeated[:, at] @ kernel[:, :, tap]
        error.append((restored.T - window) ** 2)
    assert objective.loss(WINDOWS, Step(0, ALONE)).loss.item() == pytest.approx(np.mean(error), rel=1e-4)


def test_predictive_coding_is_its_formula() -> None:
    encoder = ConvGRUSettings(channels=(4, 5), hidden=6, layers=1, dropout=0)
    objective = build(PredictiveCodingSettings(horizon=3), encoder)
    seed = 12345
    loss = objective.loss(WINDOWS, Step(seed, ALONE)).loss
    present = seed % (50 - 3)
    local = objective.encoder.local(WINDOWS)  # type: ignore[operator]
    context = objective.encoder.context(local[:, : present + 1])[0][:, -1]  # type: ignore[operator]
    predicted = objective.predict(context).view(12, 3, 5).detach().double().numpy()  # type: ignore[operator]
    future = local.detach().double().numpy()
    total = 0.0
    for ahead in range(3):
        for i in range(12):
            scores = [np.exp(future[i, present + 1 + ahead] @ predicted[j, ahead]) for j in range(12)]
            total += -np.log(scores[i] / sum(scores))
    assert loss.item() == pytest.approx(total / 36, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "layout_of_windows", "message"),
    [
        (PredictiveCodingSettings(horizon=28), layout(28), "predicts 28 samples, but windows have 28"),
        (
            AutoencodingSettings(corruption=(Rotation(),)),
            layout(width=4),
            "rotation needs sensors of three axes, but sensor 'gyro' has 1",
        ),
        (MultiTaskSettings(), layout(width=4), "rotation needs sensors of three axes, but sensor 'gyro' has 1"),
        (
            MultiTaskSettings(),
            Layout.anonymous(50, 6),
            "rotation needs sensors of three axes, but no channel belongs to a sensor",
        ),
    ],
)
def test_ill_posed_objectives_say_why(settings: ObjectiveSettings, layout_of_windows: Layout, message: str) -> None:
    assert message in str(settings.problem(10, layout_of_windows, 3))
    assert settings.problem(10, layout(64), 3) is None


def test_gradients_reach_the_whole_encoder() -> None:
    cases: list[tuple[ObjectiveSettings, EncoderSettings]] = [
        (MultiTaskSettings(), TPN),
        (AutoencodingSettings(), ConvAutoencoderSettings()),
        (MaskedReconstructionSettings(), TRANSFORMER),
        (PredictiveCodingSettings(), ConvGRUSettings()),
    ]
    for settings, encoder in cases:
        objective = build(settings, encoder)
        objective.loss(WINDOWS, Step(3, ALONE)).loss.backward()
        for name, parameter in objective.encoder.named_parameters():
            assert parameter.grad is not None, f"{settings}: {name}"
            assert parameter.grad.abs().sum() > 0, f"{settings}: {name}"
