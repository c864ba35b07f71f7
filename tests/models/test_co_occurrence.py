"""The network of co-occurring joints, against a literal transcription and its published shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingPlan
from contrastive_har.learning.pretraining.plans import PretrainingBudget
from contrastive_har.models.encoders.co_occurrence import CoOccurrence, CoOccurrenceSettings
from contrastive_har.protocols import IllPosedError, require_trainable
from contrastive_har.signals.sensors import Channel, Layout

Sensors = tuple[tuple[int, ...], ...]
SMALL = CoOccurrenceSettings(channels=(4, 26, 5, 6, 7, 8))


def joints(count: int, coordinates: int) -> Sensors:
    return tuple(tuple(range(joint * coordinates, (joint + 1) * coordinates)) for joint in range(count))


def outputs(encoder: CoOccurrence, windows: Tensor) -> dict[nn.Module, Tensor]:
    """What every layer returns."""
    found: dict[nn.Module, Tensor] = {}
    for layer in encoder.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda module, _, output: found.update({module: output}))
    encoder(windows)
    return found


@pytest.mark.parametrize(("count", "coordinates"), [(20, 3), (17, 2)])
def test_it_has_the_published_shapes(count: int, coordinates: int) -> None:
    encoder = CoOccurrenceSettings().build(count * coordinates, 50, joints(count, coordinates)).eval()
    windows = torch.randn(2, 50, count * coordinates)
    found = outputs(encoder, windows)
    for over_time, over_joints in zip(encoder.over_time, encoder.over_joints, strict=True):
        assert found[over_time[2]].shape == (2, 64, 50, count)
        assert found[over_time[4]].shape == (2, 32, 48, count)
        assert found[over_joints[2]].shape == (2, 32, 15, 23)
        assert found[over_joints[5]].shape == (2, 64, 6, 10)
    shapes = [tuple(encoder.run(encoder.enter(windows), 0, stage).shape[1:]) for stage in range(5)]
    assert shapes == [(2, coordinates, 50, count), (2, count, 32, 48), (64, 12, 10), (128, 5, 4), (256,)]
    assert encoder.features == 256


@pytest.mark.parametrize(("count", "coordinates"), [(20, 3), (17, 2)])
def test_it_has_its_number_of_parameters(count: int, coordinates: int) -> None:
    """Weights and bias of each convolution, scale and shift of each normalisation."""
    stream = (coordinates + 1) * 64 + (64 * 3 + 1) * 32 + (count * 9 + 1) * 32 + (32 * 9 + 1) * 64
    together = (64 * 9 + 1) * 128 + (128 * 9 + 1) * 256
    normalisations = 2 * (2 * (64 + 32 + 32 + 64) + 128 + 256)
    encoder = CoOccurrenceSettings().build(count * coordinates, 50, joints(count, coordinates))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2 * stream + together + normalisations


def convolve(image: NDArray[np.float64], layer: nn.Conv2d) -> NDArray[np.float64]:
    """Without padding: at every position, each filter times what is under it."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    filters, _, height, width = weight.shape
    convolved = np.empty((filters, image.shape[1] - height + 1, image.shape[2] - width + 1))
    for row in range(convolved.shape[1]):
        for column in range(convolved.shape[2]):
            under = image[:, row : row + height, column : column + width]
            for index in range(filters):
                convolved[index, row, column] = (under * weight[index]).sum() + bias[index]
    return convolved


def normalise(image: NDArray[np.float64], layer: nn.BatchNorm2d) -> NDArray[np.float64]:
    normalised = np.empty_like(image)
    for index, channel in enumerate(image):
        deviation = np.sqrt(layer.running_var[index].item() + layer.eps)
        scaled = (channel - layer.running_mean[index].item()) / deviation
        normalised[index] = scaled * layer.weight[index].item() + layer.bias[index].item()
    return normalised


def pool(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of each two by two; a last odd row or column is left out."""
    pooled = np.empty((image.shape[0], image.shape[1] // 2, image.shape[2] // 2))
    for row in range(pooled.shape[1]):
        for column in range(pooled.shape[2]):
            square = image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            pooled[:, row, column] = square.max(axis=(1, 2))
    return pooled


def literal(encoder: CoOccurrence, window: NDArray[np.float64], sensors: Sensors) -> NDArray[np.float64]:
    """One window (time, channels), layer after layer."""
    time, coordinates = len(window), len(sensors[0])
    positions = np.empty((coordinates, time, len(sensors)))
    for joint, axes in enumerate(sensors):
        for coordinate, channel in enumerate(axes):
            positions[coordinate, :, joint] = window[:, channel]
    motion = np.zeros_like(positions)
    for sample in range(1, time):
        motion[:, sample] = positions[:, sample] - positions[:, sample - 1]
    streams = []
    for image, over_time, over_joints in zip((positions, motion), encoder.over_time, encoder.over_joints, strict=True):
        conv1, norm1, _, conv2, norm2 = over_time
        image = np.maximum(normalise(convolve(image, conv1), norm1), 0)
        image = normalise(convolve(image, conv2), norm2)
        conv3, norm3, _, conv4, norm4, _ = over_joints
        image = pool(normalise(convolve(np.moveaxis(image, 2, 0), conv3), norm3))
        streams.append(pool(normalise(convolve(image, conv4), norm4)))
    image = np.concatenate(streams, axis=1)
    for convolution, norm, _, _ in encoder.together:
        image = pool(np.maximum(normalise(convolve(image, convolution), norm), 0))
    return image.ravel()


@pytest.mark.parametrize("length", [48, 67])
def test_it_agrees_with_a_literal_transcription(length: int) -> None:
    """Coordinates of a joint need not be adjacent, nor joints in the order of channels; longer windows leave a time."""
    torch.manual_seed(0)
    sensors = ((4, 0), (1, 5), (3, 2))
    encoder = SMALL.build(6, length, sensors).double().eval()
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    windows = torch.randn(2, length, 6, dtype=torch.float64)
    found = encoder(windows)
    assert found.shape == (2, encoder.features) == (2, 8 * {48: 1, 67: 2}[length])
    expected = np.stack([literal(encoder, window, sensors) for window in windows.numpy()])
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-10)
    assert np.abs(expected).max() > 0.1


def test_streams_have_their_own_weights_and_all_gradients_flow() -> None:
    torch.manual_seed(0)
    encoder = SMALL.build(6, 50, joints(3, 2)).double()
    windows = torch.randn(8, 50, 6, dtype=torch.float64)
    encoder(windows).square().sum().backward()
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    # Batch normalisation takes away the bias of the convolution before it and, without a ReLU between, the last shift.
    taken_away = [layer.bias for layer in [*convolutions, *(stream[1] for stream in encoder.over_joints)]]
    for name, parameter in encoder.named_parameters():
        flows = not any(parameter is bias for bias in taken_away)
        assert (parameter.grad.abs().max().item() > 1e-6) == flows, name
    assert len(convolutions) == 10
    assert not torch.allclose(encoder.over_time[0][0].weight.grad, encoder.over_time[1][0].weight.grad)
    assert not torch.equal(encoder.over_joints[0][0].weight, encoder.over_joints[1][0].weight)


def test_a_still_skeleton_has_no_motion() -> None:
    encoder = SMALL.build(6, 50, joints(3, 2)).eval()
    still = torch.randn(2, 1, 6).expand(2, 50, 6)
    positions, motion = encoder.enter(still).unbind(1)
    assert positions.shape == (2, 2, 50, 3)
    assert positions.any()
    assert not motion.any()


def test_the_shortest_window_leaves_one_step() -> None:
    settings = CoOccurrenceSettings()
    assert settings.shortest_window == 48
    assert settings.build(6, 48, joints(2, 3)).features == 256
    encoder = SMALL.build(6, 48, joints(3, 2)).eval()
    assert encoder(torch.randn(2, 48, 6)).shape == (2, 8)
    with pytest.raises(ValueError, match=r"47 samples .* which needs 48\. Lengthen windows\.length"):
        encoder(torch.randn(2, 47, 6))
    with pytest.raises(RuntimeError, match="Output size is too small"):
        encoder.run(encoder.enter(torch.randn(2, 47, 6)), 0, 4)
    assert SMALL.build(6, 47, joints(3, 2)).features == 0


def test_the_height_has_to_last() -> None:
    assert SMALL.channels[1] == 26
    with pytest.raises(ValidationError, match="must be at least 26"):
        CoOccurrenceSettings(channels=(4, 25, 5, 6, 7, 8))
    taller = CoOccurrenceSettings(channels=(4, 64, 5, 6, 7, 8)).build(6, 48, joints(3, 2)).eval()
    assert taller(torch.randn(2, 48, 6)).shape == (2, taller.features)
    assert taller.features > 8


@pytest.mark.parametrize(
    ("channels", "sensors", "message"),
    [
        (6, (), r"co_occurrence needs the joints of a skeleton, but no channel .*; declare each joint as a sensor"),
        (4, ((0, 1), (2,), (3,)), r"needs 2 or 3 coordinates .* have \[1, 2\] channels"),
        (5, ((0, 1), (2, 3, 4)), r"needs 2 or 3 coordinates .* have \[2, 3\] channels"),
        (4, ((0, 1, 2, 3),), r"needs 2 or 3 coordinates .* have \[4\] channels; declare"),
        (7, ((0, 1, 2), (4, 5, 6)), r"channels \[3\] belong to no sensor; .* or choose another encoder"),
    ],
)
def test_what_is_no_skeleton_is_refused_before_training(channels: int, sensors: Sensors, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SMALL.build(channels, 50, sensors)
    joint_of = {channel: f"joint {joint}" for joint, axes in enumerate(sensors) for channel in axes}
    layout = Layout(
        length=50,
        channels=tuple(
            Channel(name=f"channel {index}", unit="m", sensor=joint_of.get(index)) for index in range(channels)
        ),
    )
    plan = PretrainingPlan(
        name="hard negatives",
        objective=UntrainedSettings(),
        backbone=BackboneSettings(encoder=SMALL),
        budget=PretrainingBudget(epochs=1, batch_size=2, learning_rate=0.1),
    )
    with pytest.raises(IllPosedError, match=r"Method 'hard negatives' cannot embed modality 'inertial' with .*; "):
        require_trainable(plan, [10], layout, 3)
