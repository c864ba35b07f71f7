"""Features of aeon: those that the library computes, stored and read back, and refused where it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet, read_encoders, write_encoders
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders import aeon as module
from contrastive_har.protocols import IllPosedError, require_trainable
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU

BUDGET = PretrainingBudget(epochs=1, batch_size=64, learning_rate=0.001)
# Compiling MultiRocket takes a minute, where it has not been used before.
ROCKET = {"name": "multirocket_hydra", "kernels": 84, "groups": 4}
BOTH = [{"name": "quant", "levels": 3}, pytest.param(ROCKET, marks=pytest.mark.slow)]


def plan(settings: dict[str, object]) -> PretrainingPlan:
    encoder: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(settings)
    return PretrainingPlan(
        name="of aeon",
        objective=UntrainedSettings(),
        backbone=BackboneSettings(encoder=encoder),
        budget=BUDGET,
        repeats=2,
    )


def trained(windows: Windows, settings: dict[str, object]) -> EncoderSet:
    pytest.importorskip("aeon")
    return pretrain(windows, [np.arange(100), np.arange(50, 150)], plan(settings), CPU)[0]


@pytest.mark.parametrize("settings", BOTH)
def test_features_are_z_scored_and_read_back(windows: Windows, settings: dict[str, object], tmp_path: Path) -> None:
    encoders = trained(windows, settings)
    signals = torch.from_numpy(windows.signals[:100])
    embedded = encoders.build(0)(signals)
    assert embedded.isfinite().all()
    assert embedded.mean(0).abs().max() < 1e-3
    deviations = embedded.std(0, correction=0)
    assert (((deviations - 1).abs() < 1e-3) | (deviations == 0)).all()

    write_encoders(encoders, tmp_path / "encoders.safetensors")
    module._transformers.cache_clear()
    again = read_encoders(tmp_path / "encoders.safetensors")
    torch.testing.assert_close(again.build(0)(signals), embedded, rtol=0, atol=0)
    torch.testing.assert_close(again.build(0)(signals[7:9]), embedded[7:9])
    assert not torch.equal(encoders.build(1)(signals), embedded)
    assert trained(windows, settings).weights[0].keys() == encoders.weights[0].keys()
    for name, value in trained(windows, settings).weights[0].items():
        assert torch.equal(value, encoders.weights[0][name])


def test_quant_is_aeons(windows: Windows) -> None:
    encoders = trained(windows, {"name": "quant", "levels": 4, "divisor": 2})
    from aeon.transformations.collection.interval_based import QUANTTransformer

    backbone = encoders.build(0)
    (encoder,) = backbone.by_modality.values()
    normalised = backbone.normalise(torch.from_numpy(windows.signals[:20]))
    expected = QUANTTransformer(4, 2).fit_transform(normalised.numpy().transpose(0, 2, 1))
    np.testing.assert_array_equal(encoder.compute(normalised).numpy(), expected)


@pytest.mark.slow
def test_multirocket_and_hydra_are_aeons_and_leave_the_random_state_of_others(windows: Windows) -> None:
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected_draws = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    encoders = trained(windows, ROCKET)
    assert (np.random.get_state()[1] == expected_draws[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), expected_draws[1])
    from aeon.transformations.collection.convolution_based import HydraTransformer, MultiRocket

    backbone = encoders.build(1)
    (encoder,) = backbone.by_modality.values()
    seed = int(encoder.seed)  # type: ignore[arg-type]
    learned_from, tested = (
        backbone.normalise(torch.from_numpy(windows.signals[some])).numpy().transpose(0, 2, 1)
        for some in (slice(50, 150), slice(0, 20))
    )
    rocket = MultiRocket(n_kernels=84, random_state=seed).fit(learned_from)
    hydra = HydraTransformer(n_groups=4, random_state=seed, output_type="numpy").fit(learned_from)
    expected = np.concatenate([rocket.transform(tested), hydra.transform(tested).clip(0) ** 0.5], axis=1)
    np.testing.assert_allclose(encoder.transform(tested), expected, rtol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["quant", "multirocket_hydra"])
def test_without_aeon_the_message_says_how_it_is_installed(
    name: str, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda package: None)
    with pytest.raises(IllPosedError) as refused:
        require_trainable(plan({"name": name}), [100], windows.layout, 3)
    assert str(refused.value).endswith(
        f"encoder '{name}', which needs the package aeon: pip install 'contrastive-har[aeon]'."
    )


@pytest.mark.parametrize("settings", BOTH)
def test_features_are_in_single_precision_where_others_are_not(windows: Windows, settings: dict[str, object]) -> None:
    encoders = trained(windows, settings)
    signals = torch.from_numpy(windows.signals[:20])
    expected = encoders.build(0)(signals)
    module._transformers.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoders.build(0)(signals), expected)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        (BOTH[0], {"levels": 4}),
        (BOTH[0], {"divisor": 2}),
        pytest.param(ROCKET, {"kernels": 168}, marks=pytest.mark.slow),
        pytest.param(ROCKET, {"groups": 6}, marks=pytest.mark.slow),
    ],
)
def test_every_setting_has_an_effect(settings: dict[str, object], changed: dict[str, object]) -> None:
    pytest.importorskip("aeon")
    widths = [plan({**settings, **one}).backbone.encoder.build(3, 64).features for one in ({}, changed)]
    assert widths[0] < widths[1]


def test_export_is_refused() -> None:
    pytest.importorskip("aeon")
    encoder = module.QuantSettings(levels=2).build(3, 64)
    with pytest.raises(RuntimeError, match="Features of aeon cannot be exported"):
        torch.export.export(encoder, (torch.zeros(2, 64, 3),))
