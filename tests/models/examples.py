"""Parts of networks, written out slowly; and their export."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def attend(layer: nn.MultiheadAttention, steps: Array) -> tuple[Array, Array]:
    """Attention of one window (steps, width), without dropout: its output, and the mean of all heads' weights."""
    count, width = steps.shape
    size = width // layer.num_heads
    queries, keys, values = np.split(steps @ array(layer.in_proj_weight).T + array(layer.in_proj_bias), 3, axis=1)
    output, mean = np.zeros((count, width)), np.zeros((count, count))
    for head in range(layer.num_heads):
        part = slice(head * size, (head + 1) * size)
        for step in range(count):
            powers = [np.exp((queries[step, part] * keys[other, part]).sum() / np.sqrt(size)) for other in range(count)]
            weights = np.array(powers) / sum(powers)
            mean[step] += weights / layer.num_heads
            for other in range(count):
                output[step, part] += weights[other] * values[other, part]
    return output @ array(layer.out_proj.weight).T + array(layer.out_proj.bias), mean


def convolve(layer: nn.Conv1d, steps: Array) -> Array:
    """One window (steps, width) after a convolution with zeros at both ends as the layer has them."""
    weight, bias, padding = array(layer.weight), array(layer.bias), layer.padding[0]
    length, kernel = len(steps), weight.shape[2]
    output = np.tile(bias, (length + 2 * padding - kernel + 1, 1))
    for start in range(len(output)):
        for tap in range(kernel):
            if 0 <= start + tap - padding < length:
                output[start] += weight[:, :, tap] @ steps[start + tap - padding]
    return output


def normalise_steps(layer: nn.LayerNorm, steps: Array) -> Array:
    """Each step less its mean, over its deviation, scaled and shifted."""
    rows = [(row - row.mean()) / np.sqrt(row.var() + layer.eps) for row in steps]
    return np.array(rows) * array(layer.weight) + array(layer.bias)


def normalise_features(layer: nn.BatchNorm1d, steps: Array) -> Array:
    """Each feature less its running mean, over its running deviation, scaled and shifted."""
    mean, variance = array(layer.running_mean), array(layer.running_var)
    return (steps - mean) / np.sqrt(variance + layer.eps) * array(layer.weight) + array(layer.bias)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def disturb(module: nn.Module) -> None:
    """Give every parameter and running statistic another value, so that none is left at one or zero."""
    for name, value in module.state_dict().items():
        if value.dtype.is_floating_point:
            value += 0.2 * (torch.rand_like(value) if name.endswith("var") else torch.randn_like(value))


def exported(encoder: nn.Module, windows: Tensor) -> Tensor:
    """What an ONNX model, exported for batches of any size, makes of ``windows``."""
    program = torch.onnx.export(
        encoder,
        (torch.zeros(2, *windows.shape[1:]),),
        input_names=["windows"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"windows": windows.numpy()})
    return torch.from_numpy(found)
