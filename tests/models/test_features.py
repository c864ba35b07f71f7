"""Encoders that compute features instead of learning them, against literal transcriptions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from contrastive_har.models.encoders.computed import ComputedFeaturesSettings
from contrastive_har.models.encoders.hand_features import HandFeaturesSettings
from contrastive_har.models.encoders.minirocket import _KERNELS, MiniRocket, MiniRocketSettings, dilations_of
from contrastive_har.models.encoders.rocket import RocketSettings

TIME = 50
SENSORS = ((0, 1, 2), (3,))


def make_windows(count: int = 12, channels: int = 4, seed: int = 0) -> torch.Tensor:
    """Noise around a mean, with a slow movement."""
    random = np.random.default_rng(seed)
    slow = np.sin(np.arange(TIME)[:, None] * random.uniform(0.1, 1.0, (count, 1, channels)))
    return torch.from_numpy(2 + slow + 0.3 * random.normal(size=(count, TIME, channels))).float()


def literal_features(window: np.ndarray) -> list[list[float]]:
    """For each kind of feature, its value for each signal: the channels, then the magnitude of the first three."""
    magnitude = np.sqrt((window[:, :3] ** 2).sum(axis=1))
    signals = [*window.T, magnitude]
    kinds: list[list[float]] = []
    for signal in signals:
        centred = signal - signal.mean()
        ordered = sorted(signal.tolist())
        quantiles = [ordered[round(share * (TIME - 1))] for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)]
        steps = np.diff(signal)
        power = np.abs(np.fft.rfft(centred))[1:] ** 2 / TIME
        share = power / power.sum()
        bands = np.split(power, [3, 6, 9, 12, 16, 19, 22])
        kinds.append(
            [
                signal.mean(),
                signal.std(),
                stats.skew(signal),
                stats.kurtosis(signal, fisher=False),
                np.sqrt((signal**2).mean()),
                np.abs(centred).mean(),
                *quantiles,
                quantiles[-1] - quantiles[0],
                quantiles[4] - quantiles[2],
                np.abs(steps).mean(),
                np.abs(steps).max(),
                steps.std(ddof=1),
                np.mean([a * b < 0 for a, b in itertools.pairwise(centred)]),
                np.mean([a * b for a, b in itertools.pairwise(centred)]) / signal.var(),
                *[np.log(band.sum()) for band in bands],
                float(np.argmax(power)),
                share.max(),
                (share * np.arange(1, len(share) + 1)).sum(),
                stats.entropy(share),
            ]
        )
    return np.array(kinds).T.tolist()


def test_hand_features_are_their_definitions() -> None:
    windows = make_windows()
    encoder = HandFeaturesSettings().build(4, TIME, SENSORS)
    found = encoder(windows)
    assert found.shape == (12, encoder.features)
    for features, window in zip(found, windows.double().numpy(), strict=True):
        kinds = literal_features(window)
        pairs = [np.corrcoef(window.T)[first, second] for first in range(4) for second in range(first + 1, 4)]
        np.testing.assert_allclose(features, [*np.ravel(kinds), *pairs], rtol=2e-3, atol=2e-4)


def test_hand_features_are_z_scored_by_the_windows_they_were_calibrated_on() -> None:
    windows = make_windows(200)
    encoder = HandFeaturesSettings().build(4, TIME, SENSORS)
    raw = encoder(windows)
    encoder.calibrate(windows)
    calibrated = encoder(windows)
    assert calibrated.mean(0).abs().max() < 1e-3
    moving = raw.std(0) > 1e-4
    assert (calibrated.std(0, correction=0)[moving] - 1).abs().max() < 1e-3
    others = encoder(make_windows(5, seed=1))
    torch.testing.assert_close(
        others,
        (HandFeaturesSettings().build(4, TIME, SENSORS)(make_windows(5, seed=1)) - encoder.mean) / encoder.deviation,
    )


def test_magnitudes_do_not_know_how_a_sensor_is_turned() -> None:
    turned = make_windows()
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    turned[..., :3] = turned[..., :3] @ rotation
    encoder = HandFeaturesSettings().build(4, TIME, SENSORS)
    signals = 5  # four channels and a magnitude, the last of each kind
    kinds = (encoder.features - 6) // signals
    before, after = (
        encoder(windows)[:, : kinds * signals].view(-1, kinds, signals)[..., -1] for windows in (make_windows(), turned)
    )
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-3)


def test_a_still_window_has_finite_features() -> None:
    encoder = HandFeaturesSettings().build(3, TIME, ((0, 1, 2),))
    still = torch.zeros(4, TIME, 3)
    encoder.calibrate(still)
    assert torch.isfinite(encoder(still)).all()


def test_features_are_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part that is one window too."""
    windows = make_windows(41)
    encoder = HandFeaturesSettings().build(4, TIME, SENSORS)
    features = encoder.compute(windows).double()
    monkeypatch.setattr("contrastive_har.models.encoders.computed._AT_ONCE", 8)
    encoder.calibrate(windows)
    deviation = features.std(0, correction=0)
    moving = deviation > 1e-4
    torch.testing.assert_close(encoder.mean.double(), features.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(encoder.deviation.double()[moving], deviation[moving], rtol=1e-5, atol=0)


def literal_minirocket(encoder: MiniRocket, window: np.ndarray) -> list[float]:
    """Every feature, sample by sample, in the encoder's order."""
    features, first = [], 0
    for index, (dilation, count) in enumerate(zip(encoder.dilations, encoder.counts, strict=True)):
        outputs = {}
        for kernel, taps in enumerate(_KERNELS):
            signal = window @ encoder.subsets[index, kernel].double().numpy()
            reach = 4 * dilation
            padded = (kernel + index) % 2 == 0
            centres = range(TIME) if padded else range(reach, TIME - reach)
            outputs[kernel] = [
                sum(
                    (2 if tap in taps else -1) * signal[centre + (tap - 4) * dilation]
                    for tap in range(9)
                    if 0 <= centre + (tap - 4) * dilation < TIME
                )
                for centre in centres
            ]
        for padded in (True, False):
            kernels = [kernel for kernel in outputs if ((kernel + index) % 2 == 0) == padded]
            for bias in encoder.biases[:, first : first + count].T.double().numpy():
                features += [np.mean([value > bias[kernel] for value in outputs[kernel]]) for kernel in kernels]
        first += count
    return features


def test_minirocket_is_its_definition() -> None:
    torch.manual_seed(0)
    windows = make_windows()
    encoder = MiniRocketSettings(size=84 * 7).build(4, TIME)
    encoder.calibrate(windows)
    found = encoder.compute(windows[:2])
    assert found.shape == (2, encoder.features) == (2, 588)
    torch.testing.assert_close(encoder(windows[:2]), (found - encoder.mean) / encoder.deviation)
    for features, window in zip(found, windows.double().numpy(), strict=False):
        expected = np.array(literal_minirocket(encoder, window))
        # A sample that equals a bias, of the window the bias was taken from, may fall on either side.
        np.testing.assert_allclose(features, expected, atol=2.1 / (TIME - 8 * max(encoder.dilations)))
        assert np.mean(np.abs(features.numpy() - expected) > 1e-6) < 0.02


def test_minirockets_biases_are_quantiles_of_its_outputs() -> None:
    """Over windows that are alike, the mean of a feature is one minus its quantile: evenly spread over 0 to 1."""
    torch.manual_seed(0)
    encoder = MiniRocketSettings(size=2520).build(4, TIME)
    windows = torch.randn(300, TIME, 4)
    encoder.calibrate(windows)
    means = encoder.compute(windows).mean(0).sort().values
    assert (means - torch.linspace(0, 1, 2520)).abs().max() < 0.05


def test_minirocket_adds_up_subsets_of_the_channels() -> None:
    torch.manual_seed(0)
    encoder = MiniRocketSettings(size=2520).build(6, 128)
    encoder.calibrate(torch.randn(20, 128, 6))
    sizes = encoder.subsets.sum(2)
    assert set(sizes.unique().tolist()) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("length", "per_kernel", "dilations", "counts"),
    [(9, 30, (1,), (30,)), (17, 4, (1, 2), (3, 1)), (50, 30, (1, 2, 3, 4, 5, 6), (12, 6, 5, 3, 3, 1))],
)
def test_dilations_grow_until_a_kernel_spans_the_window(
    length: int, per_kernel: int, dilations: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    assert dilations_of(length, per_kernel) == (dilations, counts)
    assert 1 + 8 * dilations[-1] <= length


def test_one_channel_is_enough() -> None:
    windows = make_windows(channels=1)
    for settings in (HandFeaturesSettings(), MiniRocketSettings(size=84), RocketSettings(kernels=20)):
        encoder = settings.build(1, TIME)
        encoder.calibrate(windows)
        assert encoder(windows).shape == (12, encoder.features)


@pytest.mark.parametrize("encoder", [HandFeaturesSettings(), MiniRocketSettings(size=84), RocketSettings(kernels=20)])
def test_low_precision_is_not_used(encoder: ComputedFeaturesSettings) -> None:
    torch.manual_seed(0)
    built = encoder.build(4, TIME, SENSORS)
    built.calibrate(make_windows())
    expected = built(make_windows())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(built(make_windows()), expected, rtol=0, atol=0)
