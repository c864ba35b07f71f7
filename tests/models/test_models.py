from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from contrastive_har.models.encoders.tpn import TPN, TPNSettings
from contrastive_har.models.heads.linear import Linear
from contrastive_har.models.layers.companding import compand
from contrastive_har.models.layers.convolution import Convolution
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.models.layers.pooling import convolve_and_pool, global_max_pool


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("channels", "count"), [(3, 84_416), (6, 86_720), (9, 89_024)])
def test_tpn_has_the_published_number_of_parameters(channels: int, count: int) -> None:
    assert parameters(TPN(channels, TPNSettings())) == count


def test_projection_head_has_the_published_number_of_parameters() -> None:
    head = perceptron(96, (96, 96, 96))
    assert parameters(head) == 27_936
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize(("length", "steps"), [(400, (377, 362, 355)), (200, (177, 162, 155)), (128, (105, 90, 83))])
def test_time_shrinks_as_published(length: int, steps: tuple[int, int, int]) -> None:
    encoder = TPN(6, TPNSettings()).eval()
    windows = torch.randn(2, length, 6)
    for stage, expected in enumerate(steps[:2], start=1):
        assert encoder.run(encoder.enter(windows), 0, stage).shape[-1] == expected
    assert encoder(windows).shape == (2, 96)


def literal_tpn(encoder: TPN, windows: torch.Tensor) -> torch.Tensor:
    """One-dimensional convolutions, each rectified, then the maximum over time."""
    activations = windows.transpose(1, 2)
    for convolution in encoder.convolutions:
        activations = functional.relu(functional.conv1d(activations, convolution.weight.squeeze(2), convolution.bias))
    return activations.amax(-1)


def test_tpn_agrees_with_plain_one_dimensional_layers() -> None:
    encoder = TPN(6, TPNSettings()).double()
    windows = torch.randn(8, 128, 6, dtype=torch.float64)
    fast, slow = encoder.eval()(windows), literal_tpn(encoder, windows)
    torch.testing.assert_close(fast, slow)
    weights = list(encoder.parameters())
    direction = torch.randn_like(fast)
    for mine, theirs in zip(
        torch.autograd.grad((fast * direction).sum(), weights),
        torch.autograd.grad((slow * direction).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("learned", ["weight bias", "weight", "bias"])
@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
def test_a_convolution_has_the_gradients_of_pytorchs(precision: torch.dtype, learned: str) -> None:
    mine, theirs = Convolution(3, 5, (1, 4)), nn.Conv2d(3, 5, (1, 4))
    theirs.load_state_dict(mine.state_dict())
    start, direction = torch.randn(2, 3, 1, 9), torch.randn(2, 5, 1, 6)
    gradients = []
    for layer in (mine, theirs):
        entering = start.clone().requires_grad_()
        if precision == torch.float64:
            layer, entering, direction = layer.double(), entering.detach().double().requires_grad_(), direction.double()
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(name in learned.split())
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            rectified = functional.relu(layer(entering), inplace=True)
        weights = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        gradients.append(torch.autograd.grad((rectified * direction).sum(), [entering, *weights]))
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other)


def test_stages_in_two_steps_are_the_whole() -> None:
    encoder = TPN(6, TPNSettings()).eval()
    windows = torch.randn(4, 64, 6)
    for stage in range(4):
        kept = encoder.run(encoder.enter(windows), 0, stage)
        torch.testing.assert_close(encoder.run(kept, stage, encoder.depth), encoder(windows))


def test_companding_is_its_formula_and_keeps_means_and_unit_deviations() -> None:
    scale = 0.02
    windows = 0.3 * torch.randn(5, 40, 3, dtype=torch.float64) + 2
    expected = torch.empty_like(windows)
    for window in range(5):
        for channel in range(3):
            mean = float(windows[window, :, channel].mean())
            for time in range(40):
                deviation = float(windows[window, time, channel]) - mean
                expected[window, time, channel] = mean + math.asinh(deviation / scale) / math.asinh(1 / scale)
    torch.testing.assert_close(compand(windows, scale), expected)
    square = torch.tensor([1.0, -1.0]).repeat(20)[None, :, None]
    torch.testing.assert_close(compand(square + 5, scale), square + 5)
    tremor = 0.001 * square
    torch.testing.assert_close(compand(tremor, scale), tremor / (scale * math.asinh(1 / scale)), rtol=1e-3, atol=0)


def test_a_companded_encoder_sees_companded_windows() -> None:
    encoder = TPN(6, TPNSettings(companding=0.02)).eval()
    plain = TPN(6, TPNSettings()).eval()
    plain.load_state_dict(encoder.state_dict())
    windows = torch.randn(4, 64, 6)
    torch.testing.assert_close(encoder(windows), plain(compand(windows, 0.02)))
    assert not torch.allclose(encoder(windows), plain(windows))


def test_windows_too_short_name_the_cure() -> None:
    encoder = TPN(6, TPNSettings())
    assert encoder(torch.randn(2, 46, 6)).shape == (2, 96)
    with pytest.raises(ValueError, match=r"which needs 46\. Lengthen windows\.length"):
        encoder(torch.randn(2, 45, 6))


def test_initial_weights_are_glorot_uniform_with_zero_bias() -> None:
    first = TPN(6, TPNSettings()).convolutions[0]
    limit = (6 / (24 * 6 + 24 * 32)) ** 0.5
    assert first.weight.abs().max() <= limit
    assert first.weight.abs().max() > 0.95 * limit
    assert not first.bias.any()
    assert not Linear(96, 6).linear.bias.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_global_max_pool_and_its_gradient(dtype: torch.dtype) -> None:
    # A shuffled ramp has no ties, where a maximum would have no single gradient.
    ramps = torch.stack([torch.randperm(11) for _ in range(35)]).reshape(5, 7, 1, 11)
    features = ramps.to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    direction = torch.randn(5, 7).to(dtype)
    mine = global_max_pool(features)
    theirs = features.amax((2, 3))
    torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(
        *(torch.autograd.grad((pooled * direction).sum(), features)[0] for pooled in (mine, theirs))
    )


@pytest.mark.parametrize("learned", [["activations", "weight", "bias"], ["activations"], ["weight"], ["bias"]])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("batch", "kernel"), [(4, 1), (4, 4), (4, 9), (1, 4)])
def test_a_pooled_convolution_is_a_convolution_that_is_pooled(
    batch: int, kernel: int, channels_last: bool, learned: list[str]
) -> None:
    order = torch.channels_last if channels_last else torch.contiguous_format
    tensors = {
        "activations": torch.randn(batch, 3, 1, 9, dtype=torch.float64).to(memory_format=order),
        "weight": torch.randn(5, 3, 1, kernel, dtype=torch.float64),
        "bias": torch.randn(5, dtype=torch.float64),
    }
    learning = [tensors[name].requires_grad_() for name in learned]
    activations, weight, bias = tensors.values()
    plain = functional.conv1d(activations.squeeze(2), weight.squeeze(2), bias).amax(-1)
    direction = torch.randn_like(plain)
    pooled = convolve_and_pool(activations, weight, bias)
    torch.testing.assert_close(pooled, plain)
    for mine, theirs in zip(
        torch.autograd.grad((pooled * direction).sum(), learning),
        torch.autograd.grad((plain * direction).sum(), learning),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_a_pooled_convolution_follows_autocast() -> None:
    tensors = [torch.randn(64, 3, 1, 20), torch.randn(5, 3, 1, 4), torch.randn(5)]
    for tensor in tensors:
        tensor.requires_grad_()
    gradients = []
    with torch.autocast("cpu", torch.bfloat16):
        for pooled in (convolve_and_pool(*tensors), global_max_pool(functional.conv2d(*tensors))):
            assert pooled.dtype == torch.bfloat16
            gradients.append(torch.autograd.grad(pooled.float().square().sum(), tensors))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))


def test_tpn_is_the_same_with_dropout_that_hardly_drops() -> None:
    windows = torch.randn(8, 64, 6, dtype=torch.float64)
    torch.manual_seed(1)
    never = TPN(6, TPNSettings(dropout=0)).double()
    hardly = TPN(6, TPNSettings(dropout=1e-9)).double()  # takes the way of dropout, at a rate that is rounded to none
    hardly.load_state_dict(never.state_dict())
    gradients = []
    for encoder in (never, hardly):
        embeddings = encoder(windows)
        gradients.append(torch.autograd.grad(embeddings.square().sum(), list(encoder.parameters())))
    assert hardly.dropout.drops
    assert not never.dropout.drops
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    ones = torch.ones(200, 32, 1, 50).to(memory_format=torch.channels_last)
    dropped = Dropout(rate)(ones)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1, abs=0.005)
    assert dropped.is_contiguous(memory_format=torch.channels_last)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - rate)], rel=1e-4)


def test_dropout_follows_the_seed_and_rests_in_evaluation() -> None:
    activations = torch.randn(4, 8, 1, 9)
    layer = Dropout(0.3)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(layer(activations))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert layer.eval()(activations) is activations or torch.equal(layer.eval()(activations), activations)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dropout_writes_its_factor_in_every_precision(dtype: torch.dtype) -> None:
    dropped = Dropout(0.25)(torch.ones(500, dtype=dtype))
    factor = torch.tensor(1 / 0.75, dtype=dtype)
    assert dropped.dtype == dtype
    assert set(dropped.tolist()) == {0.0, factor.item()}


def test_dropout_gradient_is_its_mask() -> None:
    activations = torch.randn(4, 8, requires_grad=True)
    dropped = Dropout(0.4)(activations)
    (gradient,) = torch.autograd.grad(dropped.sum(), activations)
    torch.testing.assert_close(gradient * activations, dropped)
