"""A branch of convolutions per sensor, against plain one-dimensional layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.encoders.ma_cnn import MACNN, MACNNSettings
from tests.models.examples import parameters

SMALL = MACNNSettings(channels=(4, 6), kernel=3, hidden=7)


def literal(encoder: MACNN, windows: Tensor, sensors: list[list[int]]) -> Tensor:
    branches = []
    for index, axes in enumerate(sensors):
        branch = windows[:, :, axes].transpose(1, 2)
        for block in encoder.blocks:
            convolution = block.convolutions[index]
            branch = functional.conv1d(branch, convolution.weight.squeeze(2), convolution.bias).clamp(min=0)
            branch = functional.max_pool1d(branch, 2)
        branches.append(branch)
    joined = torch.cat(branches, dim=1).flatten(1)
    return functional.linear(joined, encoder.dense[1].weight, encoder.dense[1].bias).clamp(min=0)


@pytest.mark.parametrize(
    ("sensors", "branches"),
    [
        (((0, 1, 2), (3, 4, 5)), [[0, 1, 2], [3, 4, 5]]),
        (((5, 1), (2, 3, 0)), [[5, 1], [2, 3, 0], [4]]),
        ((), [[0, 1, 2, 3, 4, 5]]),
    ],
)
def test_each_sensor_has_its_branch(sensors: tuple[tuple[int, ...], ...], branches: list[list[int]]) -> None:
    """Channels that belong to no sensor have one more."""
    torch.manual_seed(0)
    encoder = SMALL.build(6, 21, sensors).double()
    windows = torch.randn(4, 21, 6, dtype=torch.float64)
    fast, slow = encoder(windows), literal(encoder, windows, branches)
    assert fast.shape == (4, encoder.features) == (4, 7)
    torch.testing.assert_close(fast, slow)
    weights = list(encoder.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(fast.square().sum(), weights),
        torch.autograd.grad(slow.square().sum(), weights),
        strict=True,
    ):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, theirs)


def test_sensors_do_not_see_each_other_before_the_dense_layer() -> None:
    encoder = SMALL.build(6, 21, ((0, 1, 2), (3, 4, 5)))
    windows = torch.randn(4, 21, 6)
    changed = windows.clone()
    changed[..., 4] += 1
    before, after = (encoder.run(encoder.enter(some), 0, 2) for some in (windows, changed))
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.isclose(before[:, 6:], after[:, 6:]).all()
    assert not torch.isclose(encoder(windows), encoder(changed)).all()


def test_it_has_its_number_of_parameters() -> None:
    """Two sensors; 128 samples become 124, 62, 58, 29."""
    branch = (3 * 5 + 1) * 64 + (64 * 5 + 1) * 64
    encoder = MACNNSettings().build(6, 128, ((0, 1, 2), (3, 4, 5)))
    assert parameters(encoder) == 2 * branch + (2 * 64 * 29 + 1) * 128


def test_the_shortest_window_leaves_one_step() -> None:
    assert SMALL.shortest_window == 10  # 10, 8, 4, 2, 1; of 9 nothing would be left
    encoder = SMALL.build(6, 10)
    assert encoder.dense[1].in_features == 6
    with pytest.raises(ValueError, match=r"9 samples .* which needs 10\. Lengthen windows\.length"):
        encoder(torch.randn(2, 9, 6))
