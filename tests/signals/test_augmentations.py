from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation as Turn

from contrastive_har.signals.augmentations import (
    ALL_AUGMENTATIONS,
    Augmentation,
    ChannelShuffle,
    CropResize,
    Draws,
    Negation,
    Noise,
    Permutation,
    Resampling,
    Rotation,
    Scaling,
    TimeReversal,
    TimeWarp,
    first_problem,
    make_view,
)
from contrastive_har.signals.augmentations.skeletons import JointAugmentation
from contrastive_har.signals.augmentations.time import resample
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.sensors import DEFAULT_MODALITY, Channel, Layout
from contrastive_har.signals.skeletons import Skeleton

BODY = Skeleton(
    centre="sensor 1", reference=("sensor 0", "sensor 1"), limbs={"arm": ("sensor 0",), "leg": ("sensor 2", "sensor 3")}
)


def draws(seed: int = 0, processes: int = 1, rank: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), processes, rank)


def windows_of(batch: int = 200, time: int = 40, channels: int = 6) -> torch.Tensor:
    return torch.randn(batch, time, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def layout_of(windows: torch.Tensor) -> Layout:
    """Sensors of three axes; what is left over belongs to a last one that lacks some. With twelve channels, a body."""
    names = [f"sensor {index // 3}_{'xyz'[index % 3]}" for index in range(windows.shape[2])]
    skeletons = {DEFAULT_MODALITY: BODY} if len(names) == 12 else {}
    channels = tuple(Channel(name=name, unit="g") for name in names)
    return Layout(length=windows.shape[1], channels=channels, skeletons=skeletons)


def named(*names: str, length: int = 40) -> Layout:
    return Layout(length=length, channels=tuple(Channel(name=name, unit="g") for name in names))


PUBLISHED_VARIANTS: tuple[Augmentation, ...] = (
    Scaling(per="element"),
    Negation(per="element"),
    Permutation(cuts="everywhere"),
    ChannelShuffle(of="sensors"),
)
PAIRS = [(1, 0), (2, 1), (3, 2), (3, 0), (4, 1)]


def literal_resampling(window: np.ndarray, inserted: int, skipped: int, start: int) -> np.ndarray:
    """The definition, step by step: build the long signal, then walk over it."""
    long = [window[0]]
    for before, after in pairwise(window):
        long += [before + (after - before) * step / (inserted + 1) for step in range(1, inserted + 2)]
    assert len(long) == (len(window) - 1) * (inserted + 1) + 1
    return np.array([long[start + step * (skipped + 1)] for step in range(len(window))])


@given(pair=st.sampled_from(PAIRS), length=st.integers(8, 40), seed=st.integers(0, 1000), where=st.floats(0, 1))
def test_resampling_is_its_definition(pair: tuple[int, int], length: int, seed: int, where: float) -> None:
    inserted, skipped = pair
    windows = np.random.default_rng(seed).standard_normal((3, length, 2))
    start = round(where * ((length - 1) * (inserted + 1) + 1 - length * (skipped + 1)))
    m, n, s = (torch.tensor([value]) for value in (inserted, skipped, start))
    result = resample(torch.from_numpy(windows), m, n, s).numpy()
    expected = np.stack([literal_resampling(window, inserted, skipped, start) for window in windows])
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize(("pair", "dilation"), [((1, 0), 2), ((2, 1), 1.5), ((3, 2), 4 / 3)])
def test_a_ramp_becomes_a_slower_ramp(pair: tuple[int, int], dilation: float) -> None:
    ramp = torch.arange(64, dtype=torch.float64).reshape(1, 64, 1)
    view = Resampling(inserted_and_skipped=(pair,))(ramp, draws(), layout_of(ramp))
    steps = view[0, 1:, 0] - view[0, :-1, 0]
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / dilation))
    assert view.min() >= 0
    assert view.max() <= 63


def test_every_pair_and_start_is_drawn() -> None:
    ramp = torch.arange(8, dtype=torch.float32).reshape(1, 8, 1)
    same = draws()
    views = {tuple(Resampling()(ramp, same, layout_of(ramp))[0, :2, 0].tolist()) for _ in range(500)}
    starts = sum((8 - 1) * (m + 1) + 1 - 8 * (n + 1) + 1 for m, n in Resampling().inserted_and_skipped)
    assert len(views) == starts


def test_resampling_draws_once_per_batch_or_once_per_window() -> None:
    ramp = torch.arange(64, dtype=torch.float64).reshape(1, 64, 1).expand(50, 64, 1)
    together = Resampling()(ramp, draws(), layout_of(ramp))
    assert (together == together[0]).all()
    apart = Resampling(draw="per_window")(ramp, draws(), layout_of(ramp))
    assert len({tuple(view[:2, 0].tolist()) for view in apart}) > 20
    rates = apart[:, 1:, 0] - apart[:, :-1, 0]
    torch.testing.assert_close(rates, rates[:, :1].expand_as(rates))
    assert set((1 / rates[:, 0]).mul(6).round().tolist()) == {12, 9, 8}, "dilated 2, 1.5 or 4/3 times"


@pytest.mark.parametrize("augment", ALL_AUGMENTATIONS, ids=lambda augment: augment.name)
def test_every_augmentation(augment: Augmentation) -> None:
    """Shape, type and input stay; the seed decides; several processes make the views that one makes."""
    windows = windows_of(12, channels=12).float()
    before = windows.clone()
    view = augment(windows, draws(5), layout_of(windows))
    assert view.shape == windows.shape
    assert view.dtype == windows.dtype
    assert torch.isfinite(view).all()
    assert not torch.equal(view, windows)
    assert torch.equal(windows, before)
    assert torch.equal(view, augment(windows, draws(5), layout_of(windows)))
    if augment.name not in ("negation", "time_reversal"):
        assert not torch.equal(view, augment(windows, draws(6), layout_of(windows)))
    shares = [augment(part, draws(5, 3, rank), layout_of(part)) for rank, part in enumerate(windows.chunk(3))]
    torch.testing.assert_close(torch.cat(shares), view)


@pytest.mark.parametrize("augment", [*ALL_AUGMENTATIONS, *PUBLISHED_VARIANTS], ids=repr)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_views_stay_finite_and_of_their_type(augment: Augmentation, kind: torch.dtype) -> None:
    windows = windows_of(12, time=600, channels=12).to(kind)
    view = augment(windows, draws(5), layout_of(windows))
    assert view.dtype == kind
    assert view.shape == windows.shape
    assert torch.isfinite(view).all()


@pytest.mark.parametrize("augment", ALL_AUGMENTATIONS, ids=lambda augment: augment.name)
def test_probability_is_the_share_of_windows_that_change(augment: Augmentation) -> None:
    windows = windows_of(2000, channels=12)
    view = augment.model_copy(update={"probability": 0.3})(windows, draws(), layout_of(windows))
    changed = (view != windows).flatten(1).any(1)
    assert changed.double().mean().item() == pytest.approx(0.3, abs=0.04)


def test_noise_has_its_deviation() -> None:
    difference = Noise(deviation=0.5)(windows_of(), draws(), layout_of(windows_of())) - windows_of()
    assert difference.mean().item() == pytest.approx(0, abs=0.01)
    assert difference.std().item() == pytest.approx(0.5, rel=0.02)


def test_scaling_has_one_factor_per_window_and_channel() -> None:
    factors = Scaling(deviation=0.2)(windows_of(), draws(), layout_of(windows_of())) / windows_of()
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert factors[:, 0].std().item() == pytest.approx(0.2, rel=0.1)
    assert factors[:, 0].mean().item() == pytest.approx(1, abs=0.03)


def test_scaling_per_element_has_one_factor_per_sample_and_channel() -> None:
    windows = windows_of()
    view = Scaling(deviation=0.2, per="element")(windows, draws(3), layout_of(windows))
    torch.testing.assert_close(view, windows * (1 + 0.2 * draws(3).normal(windows, 40, 6)))
    factors = view / windows
    assert factors.std(dim=1).mean().item() == pytest.approx(0.2, rel=0.1), "within each window and channel"


def test_rotation_turns_each_sensor_by_at_most_its_angle() -> None:
    windows = windows_of()
    view = Rotation(degrees=30)(windows, draws(), layout_of(windows))
    angles = []
    for window, turned in zip(windows[:50].numpy(), view[:50].numpy(), strict=True):
        for sensor in (slice(0, 3), slice(3, 6)):
            turn, residual = Turn.align_vectors(turned[:, sensor], window[:, sensor])
            assert residual == pytest.approx(0, abs=1e-6)
            angles.append(np.degrees(turn.magnitude()))
    assert max(angles) <= 30 + 1e-6
    assert max(angles) > 25
    assert np.std(angles) > 5, "each sensor of each window by an angle of its own"


def test_negation_and_reversal_undo_themselves() -> None:
    windows = windows_of()
    for augment in (Negation(), TimeReversal()):
        assert torch.equal(augment(augment(windows, draws(), layout_of(windows)), draws(), layout_of(windows)), windows)
    assert torch.equal(TimeReversal()(windows, draws(), layout_of(windows))[:, 0], windows[:, -1])
    assert torch.equal(Negation()(windows, draws(), layout_of(windows)), -windows)


def test_negation_per_element_inverts_half_of_the_signs() -> None:
    windows = windows_of()
    view = Negation(per="element")(windows, draws(), layout_of(windows))
    assert torch.equal(view.abs(), windows.abs())
    inverted = (view == -windows).double()
    assert inverted.mean().item() == pytest.approx(0.5, abs=0.01)
    assert inverted.std(dim=(1, 2)).min() > 0.4, "signs of their own within each window"


def test_permutation_moves_whole_pieces() -> None:
    ramp = torch.arange(40, dtype=torch.float64).reshape(1, 40, 1).expand(300, 40, 2)
    view = Permutation(cuts=4)(ramp, draws(), layout_of(ramp))[:, :, 0]
    assert torch.equal(view.sort(1).values, ramp[:, :, 0])
    seams = (view[:, 1:] - view[:, :-1] != 1).sum(1)
    assert seams.max() == 4
    assert len(seams.unique()) > 2


def test_permutation_with_cuts_everywhere_shuffles_the_samples() -> None:
    ramp = torch.arange(8, dtype=torch.float64).reshape(1, 8, 1).expand(4000, 8, 2)
    view = Permutation(cuts="everywhere")(ramp, draws(), layout_of(ramp))
    assert torch.equal(view[..., 0], view[..., 1]), "channels stay together"
    assert torch.equal(view.sort(1).values, ramp)
    for position in range(8):
        assert view[:, position, 0].long().bincount(minlength=8).min() > 400, "each sample comes here about as often"


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.9), (0.3, 1.0), (0.5, 0.5)])
def test_crop_resize_is_its_definition(low: float, high: float) -> None:
    windows = windows_of(50)
    view = CropResize(low=low, high=high)(windows, draws(3), layout_of(windows)).numpy()
    drawn = draws(3).uniform(windows, 2).numpy()
    for window, mine, (length, start) in zip(windows.numpy(), view, drawn, strict=True):
        share = low + (high - low) * length
        first = start * (1 - share) * 39
        for channel in range(6):
            wanted = np.linspace(first, first + share * 39, 40)
            np.testing.assert_allclose(mine[:, channel], np.interp(wanted, np.arange(40), window[:, channel]))


def test_crop_resize_draws_pieces_inside_the_window() -> None:
    ramp = torch.arange(40, dtype=torch.float64).reshape(1, 40, 1).expand(2000, 40, 1)
    view = CropResize()(ramp, draws(), layout_of(ramp))[..., 0]
    shares = (view[:, -1] - view[:, 0]) / 39
    assert 0.8 <= shares.min() < 0.802
    assert 0.898 < shares.max() <= 0.9
    torch.testing.assert_close(view.diff(dim=1) / shares[:, None], torch.ones(2000, 39, dtype=ramp.dtype))
    assert view.min() >= 0
    assert view.max() <= 39
    assert view[:, 0].max() > 6
    whole = CropResize(low=1, high=1)
    torch.testing.assert_close(whole(windows_of(), draws(), layout_of(windows_of())), windows_of())


def test_crop_resize_refuses_an_empty_range() -> None:
    with pytest.raises(ValueError, match=r"'low' is 0.95, above 'high', 0.9; exchange them"):
        CropResize(low=0.95)


def test_time_warp_is_its_definition() -> None:
    """Speeds at six knots, a cubic spline between them, its sum as the clock, linear interpolation."""
    windows = windows_of(5)
    view = TimeWarp()(windows, draws(3), layout_of(windows)).numpy()
    speeds = 1 + 0.2 * draws(3).normal(windows, 6).numpy()
    for window, mine, drawn in zip(windows.numpy(), view, speeds, strict=True):
        curve = CubicSpline(np.linspace(0, 39, 6), drawn)(np.arange(40)).clip(0.05)
        clock = np.cumsum(curve)
        clock = 39 * (clock - clock[0]) / (clock[-1] - clock[0])
        for channel in range(6):
            np.testing.assert_allclose(mine[:, channel], np.interp(clock, np.arange(40), window[:, channel]))


def test_channel_shuffle_draws_every_other_order_alike() -> None:
    windows = torch.arange(3, dtype=torch.float64).expand(6000, 4, 3)
    view = ChannelShuffle()(windows, draws(), layout_of(windows))
    assert torch.equal(view, view[:, :1].expand_as(view)), "one order for the whole window"
    orders, counts = view[:, 0].unique(dim=0, return_counts=True)
    assert len(orders) == 5
    assert [0, 1, 2] not in orders.tolist()
    assert counts.min() > 1000
    many = torch.arange(24, dtype=torch.float64).expand(10, 4, 24)
    assert torch.equal(ChannelShuffle()(many, draws(), layout_of(many)).sort(2).values, many)


def test_channel_shuffle_moves_every_one_of_many_channels() -> None:
    """45 channels have more orders than can be numbered in 64 bits; still none of them stays where it is."""
    channels = torch.arange(45, dtype=torch.float32).expand(500, 4, 45)
    view = ChannelShuffle()(channels, draws(), layout_of(channels))
    assert torch.equal(view.sort(2).values, channels), "a permutation of each window's channels"
    assert torch.equal(view, view[:, :1].expand_as(view)), "one order for the whole window"
    orders = view[:, 0]
    assert len(orders.unique(dim=0)) == 500
    assert (orders != torch.arange(45)).any(dim=1).all()
    for index in range(45):
        at_index = orders[:, index]
        assert (at_index == index).sum() < 40, "in most windows another channel is here"
        assert len(at_index.unique()) == 45, "in some window or other, each of the channels is here"


def test_channel_shuffle_of_sensors_keeps_their_axes_together() -> None:
    layout = named("acc_x", "gyro_x", "pulse", "acc_y", "gyro_y", "acc_z", "gyro_z", "mag_x", "mag_y", "mag_z")
    windows = torch.arange(10, dtype=torch.float64).expand(500, 4, 10)
    view = ChannelShuffle(of="sensors")(windows, draws(), layout)
    assert torch.equal(view, view[:, :1].expand_as(view))
    sensors = list(layout.sensors.values())
    orders = set()
    for channels in view[:, 0].long().tolist():
        assert channels[2] == 2, "channels without a sensor stay"
        orders.add(tuple(sensors.index(tuple(channels[index] for index in axes)) for axes in sensors))
    assert orders == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


@pytest.mark.parametrize("names", [("acc_x", "acc_y", "acc_z"), ("acc_x", "acc_y", "gyro_x"), ("pulse", "light")])
def test_channel_shuffle_of_sensors_needs_sensors_that_can_be_exchanged(names: tuple[str, ...]) -> None:
    problem = ChannelShuffle(of="sensors").problem(named(*names))
    assert problem is not None
    assert problem.startswith("channel_shuffle of sensors needs two sensors or more")
    assert ChannelShuffle().problem(named(*names)) is None


@pytest.mark.parametrize("channels", [20, 21])
def test_channel_shuffle_is_as_thorough_on_either_side_of_its_limit(channels: int) -> None:
    windows = torch.arange(channels, dtype=torch.float64).expand(4000, 2, channels)
    view = ChannelShuffle()(windows, draws(), layout_of(windows))[:, 0]
    assert torch.equal(view.sort(1).values, windows[:, 0])
    counts = torch.stack([(view == channel).sum(0) for channel in range(channels)])
    assert counts.min() > 4000 / channels * 0.6
    assert counts.max() < 4000 / channels * 1.4


IN_ORDER = named("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
INTERLEAVED = named("acc_x", "gyro_x", "acc_y", "gyro_y", "acc_z", "gyro_z")


def test_rotation_finds_the_axes_of_interleaved_sensors() -> None:
    windows = windows_of()
    names = [channel.name for channel in IN_ORDER.channels]
    order = [names.index(channel.name) for channel in INTERLEAVED.channels]
    expected = Rotation()(windows, draws(3), IN_ORDER)[..., order]
    torch.testing.assert_close(Rotation()(windows[..., order], draws(3), INTERLEAVED), expected, rtol=0, atol=1e-12)
    assert not torch.allclose(Rotation()(windows[..., order], draws(3), IN_ORDER), expected)


@pytest.mark.parametrize("layout", [IN_ORDER, INTERLEAVED], ids=["in order", "interleaved"])
def test_rotation_keeps_the_length_of_each_sensors_vector(layout: Layout) -> None:
    windows = windows_of()
    view = Rotation()(windows, draws(), layout)
    for axes in layout.sensors.values():
        torch.testing.assert_close(view[..., axes].norm(dim=2), windows[..., axes].norm(dim=2))
        assert not torch.allclose(view[..., axes], windows[..., axes])


def test_rotation_leaves_channels_without_a_sensor_as_they_are() -> None:
    layout = named("pulse", "acc_x", "acc_y", "light", "acc_z", "pressure")
    windows = windows_of()
    before = windows.clone()
    view = Rotation()(windows, draws(3), layout)
    others = [0, 3, 5]
    assert torch.equal(view[..., others], windows[..., others])
    alone = Rotation()(windows[..., [1, 2, 4]], draws(3), named("acc_x", "acc_y", "acc_z"))
    torch.testing.assert_close(view[..., [1, 2, 4]], alone, rtol=0, atol=1e-12)
    assert torch.equal(windows, before)


def test_rotation_refuses_sensors_of_other_than_three_axes_and_none_at_all() -> None:
    four = Layout(
        length=40,
        channels=tuple(Channel(name=f"wrist_{axis}", unit="1", sensor="attitude") for axis in "wxyz"),
    )
    with pytest.raises(ValueError, match="rotation needs sensors of three axes, but sensor 'attitude' has 4"):
        Rotation()(windows_of(channels=4), draws(), four)
    with pytest.raises(ValueError, match="rotation needs sensors of three axes, but no channel belongs to a sensor"):
        Rotation()(windows_of(channels=6), draws(), Layout.anonymous(40, 6))
    for augment in ALL_AUGMENTATIONS:
        anonymous = augment.problem(Layout.anonymous(40, 6))
        needs_sensors = augment.name == "rotation" or isinstance(augment, JointAugmentation)
        assert (anonymous is None) != needs_sensors


@pytest.mark.parametrize(("augment", "channels"), [(Rotation(), 4), (ChannelShuffle(), 1)])
def test_impossible_channels_are_named(augment: Augmentation, channels: int) -> None:
    with pytest.raises(ValueError, match=f"{augment.name} needs"):
        augment(windows_of(channels=channels), draws(), layout_of(windows_of(channels=channels)))
    problem = augment.problem(layout_of(windows_of(channels=channels)))
    assert problem is not None
    assert first_problem([Noise(), augment, Rotation()], layout_of(windows_of(channels=channels))) == problem
    assert first_problem(ALL_AUGMENTATIONS, layout_of(windows_of(channels=12))) is None


def test_views_apply_one_after_the_other() -> None:
    windows = windows_of()
    assert make_view(windows, (), draws(), layout_of(windows)) is windows
    assert torch.equal(make_view(windows, (Negation(), TimeReversal()), draws(), layout_of(windows)), -windows.flip(1))


@pytest.mark.parametrize("pairs", [[(1, 1)], [(1, 2)], [(1, -1)], []])
def test_pairs_that_do_not_dilate_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="M > N"):
        Resampling.model_validate({"inserted_and_skipped": pairs})


def test_normalised_windows_have_mean_zero_and_deviation_one() -> None:
    signals = np.random.default_rng(0).normal([3, -2, 100], [1, 5, 0.1], (50, 20, 3)).astype(np.float32)
    normalised = Normalisation.of(signals)(signals)
    np.testing.assert_allclose(normalised.mean((0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(normalised.std((0, 1)), 1, atol=1e-3)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    assert (
        Normalisation.of(np.ones((2, 4, 1), np.float32))(np.ones((2, 4, 1), np.float32)).tolist() == [[[0.0]] * 4] * 2
    )


def test_seeds_depend_on_every_name() -> None:
    seeds = {derive_seed(0), derive_seed(1), derive_seed(0, "a"), derive_seed(0, "a", 1), derive_seed(0, "a1")}
    assert len(seeds) == 5
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
