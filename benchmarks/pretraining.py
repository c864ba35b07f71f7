"""Times one ClusterCLHAR pre-training step against a literal implementation of the published one.

    python benchmarks/pretraining.py                 # windows of 128 samples
    python benchmarks/pretraining.py --length 200
    python benchmarks/pretraining.py --device cuda --profile   # what a step launches and waits for

Both steps run in one process, in turn, so that a slow minute of the machine hits both; ratios are medians over rounds.
Before anything is timed, both get the same weights, views and clusters and must agree on loss and gradients.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.interpolate import interp1d
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from contrastive_har.learning.clustering import KMeans as KMeansSettings
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives import Step
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining.plans import PretrainingBudget
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.models.encoders.tpn import TPN, TPNSettings
from contrastive_har.signals.augmentations.time import resample
from contrastive_har.signals.sensors import Layout

CLASSES = 6
TEMPERATURE = 0.1
LEARNING_RATE = 1e-3


class PublishedStep:
    """The published step, written down as it reads: nothing shared with the library."""

    def __init__(self, channels: int, python_masks: bool = True) -> None:
        self.python_masks = python_masks
        widths, kernels = (32, 64, 96), (24, 16, 8)
        layers: list[nn.Module] = []
        for before, after, kernel in zip((channels, *widths), widths, kernels, strict=False):
            layers += [nn.Conv1d(before, after, kernel), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 96))
        self.optimiser = torch.optim.Adam([*self.encoder.parameters(), *self.head.parameters()], LEARNING_RATE)
        self.random = np.random.default_rng(0)

    def __call__(self, windows: Tensor) -> None:
        """Take one step on normalised ``windows`` (batch, time, channels)."""
        inserted, skipped = [(1, 0), (2, 1), (3, 2)][self.random.integers(3)]
        starts = last_start(windows.shape[1], inserted, skipped) + 1
        view_a = self.project(self.resample(windows, inserted, skipped, self.random.integers(starts)))
        view_b = self.project(windows)
        loss = self.loss(view_a, view_b, self.cluster(view_a), self.cluster(view_b))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def resample(self, windows: Tensor, inserted: int, skipped: int, start: int) -> Tensor:
        length = windows.shape[1]
        fine = np.linspace(0, length - 1, (length - 1) * (inserted + 1) + 1)
        dense = interp1d(np.arange(length), windows.numpy(), axis=1)(fine)
        return torch.from_numpy(dense[:, start :: skipped + 1][:, :length]).to(windows.dtype)

    def project(self, windows: Tensor) -> Tensor:
        features = self.encoder(windows.transpose(1, 2)).amax(2)
        return functional.normalize(self.head(features), dim=1)

    def cluster(self, projections: Tensor) -> list[int]:
        return KMeans(CLASSES, n_init=10).fit_predict(projections.detach().numpy()).tolist()

    def loss(self, a: Tensor, b: Tensor, clusters_a: list[int], clusters_b: list[int]) -> Tensor:
        return (self._one_way(a, b, clusters_a) + self._one_way(b, a, clusters_b)).mean() / 2

    def _one_way(self, anchors: Tensor, others: Tensor, clusters: list[int]) -> Tensor:
        if self.python_masks:
            same = torch.tensor([[mine == other for other in clusters] for mine in clusters])
        else:
            same = torch.tensor(clusters)[:, None] == torch.tensor(clusters)
        own = torch.eye(len(anchors), dtype=torch.bool)
        across = (anchors @ others.T / TEMPERATURE).masked_fill(same & ~own, -torch.inf)
        within = (anchors @ anchors.T / TEMPERATURE).masked_fill(same, -torch.inf)
        return functional.cross_entropy(torch.cat([across, within], 1), torch.arange(len(anchors)), reduction="none")


def last_start(length: int, inserted: int, skipped: int) -> int:
    """Return the last sample of the interpolated window at which ``length`` samples can begin."""
    return (length - 1) * (inserted + 1) + 1 - length * (skipped + 1)


def trainer(layout: Layout, precision: str, device: str) -> Trainer:
    """Return the library's trainer of the published ClusterCLHAR, from fixed initial weights."""
    torch.manual_seed(0)
    budget = PretrainingBudget(epochs=1, batch_size=2, learning_rate=LEARNING_RATE)
    settings = ContrastiveSettings(temperature=TEMPERATURE, clustering=KMeansSettings())
    objective = settings.build(TPN(layout.width, TPNSettings()), layout, CLASSES)
    compute = ComputeSettings.model_validate({"device": device, "precision": precision})
    return Trainer(objective, budget, compute.resolve(), seed=0)


def require_agreement(windows: Tensor) -> None:
    """Fail unless both implementations agree on resampling, loss and every gradient, given the same clusters."""
    published = PublishedStep(windows.shape[2])
    settings = ContrastiveSettings(views=((), ()), temperature=TEMPERATURE, clustering=KMeansSettings())
    layout = Layout.anonymous(*windows.shape[1:])
    ours = settings.build(TPN(layout.width, TPNSettings()).eval(), layout, CLASSES).double()
    windows = windows.double()  # so that nothing but the formulas can differ
    published.encoder.double()
    published.head.double()
    convolutions = [layer for layer in published.encoder if isinstance(layer, nn.Conv1d)]
    pairs = list(zip(convolutions, ours.encoders[0].convolutions, strict=True))
    pairs += [(p, o) for p, o in zip(published.head, ours.heads[0], strict=True) if isinstance(p, nn.Linear)]
    with torch.no_grad():
        for theirs, mine in pairs:
            mine.weight.copy_(theirs.weight.reshape(mine.weight.shape))
            mine.bias.copy_(theirs.bias)
    start = last_start(windows.shape[1], 2, 1) // 2
    view = published.resample(windows, 2, 1, start)
    m, n, s = (torch.tensor([value]) for value in (2, 1, start))
    torch.testing.assert_close(resample(windows, m, n, s), view)

    view_a, view_b = published.project(windows), published.project(windows)
    clusters = published.cluster(view_a), published.cluster(view_b)
    expected = published.loss(view_a, view_b, *clusters)
    expected.backward()
    cluster = KMeansSettings.__call__
    KMeansSettings.__call__ = lambda *_: torch.tensor(clusters)
    loss = ours.loss(windows, Step(0, ComputeSettings(device="cpu", precision="float32").resolve())).loss
    KMeansSettings.__call__ = cluster
    loss.backward()
    torch.testing.assert_close(loss, expected)
    worst = max(
        float((mine.grad.reshape(other.shape) - other.grad).norm() / other.grad.norm())
        for theirs, ours_too in pairs
        for mine, other in zip(ours_too.parameters(), theirs.parameters(), strict=True)
    )
    if worst > 1e-9:
        raise AssertionError(f"gradients differ by {worst:.1e}")
    print(f"agreement   loss {loss.item():.6f} against {expected.item():.6f}; gradients differ by at most {worst:.1e}")


def operations(batch: int, length: int, channels: int) -> float:
    """Return the floating-point operations that a step of this package computes in the convolutions of two views.

    The gradient of the windows is not, and the last convolution's weight gradient at the maxima over time only.
    """
    total, steps, width, sizes = 0.0, length, channels, TPNSettings()
    for index, (out, kernel) in enumerate(zip(sizes.channels, sizes.kernels, strict=True)):
        steps -= kernel - 1
        forward = 2.0 * steps * out * width * kernel
        of_weights = forward / steps if index == len(sizes.channels) - 1 else forward
        of_inputs = 0.0 if index == 0 else forward
        total += forward + of_weights + of_inputs
        width = out
    return 2 * batch * total


class Stopwatch:
    """Times calls on a device, waiting for it to finish."""

    def __init__(self, device: str) -> None:
        self.synchronise = torch.cuda.synchronize if device == "cuda" else lambda: None

    def __call__(self, work: Callable[[], object]) -> float:
        self.synchronise()
        started = time.perf_counter()
        work()
        self.synchronise()
        return time.perf_counter() - started


def profile(step: Callable[[], object], watch: Stopwatch, device: str, steps: int = 5) -> None:
    """Print what a step launches, copies and waits for, and its dearest operators."""
    for _ in range(steps):
        step()
    seconds = statistics.median(watch(step) for _ in range(30))
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as recorded:
        for _ in range(steps):
            step()
        watch.synchronise()
    averages = recorded.key_averages()
    of_device = (event for event in averages if event.device_type == torch.autograd.DeviceType.CUDA)
    kernels = sum(event.self_device_time_total for event in of_device) / steps / 1e3
    print(f"{1e3 * seconds:.2f} ms a step, of which {kernels:.2f} ms of kernels on the device; calls a step:")
    for event in averages:
        if event.key.startswith(("cudaLaunch", "cudaMemcpy", "cudaStreamSynchronize", "Memcpy")):
            print(f"  {event.count / steps:6.1f} {event.key}")
    sorting = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
    print(averages.table(sort_by=sorting, row_limit=15, max_name_column_width=60))


def ceilings(device: str, batch: int, length: int, channels: int) -> dict[str, tuple[float, Callable[[], object]]]:
    """Return reference work by name with its operation count: large matrix products and the encoder's convolutions."""
    size = 4096
    work: dict[str, tuple[float, Callable[[], object]]] = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        work[f"matrix product, {name}"] = (2.0 * size**3, partial(torch.mm, a, b))
        steps, width, settings = length, channels, TPNSettings()
        for out, kernel in zip(settings.channels, settings.kernels, strict=True):
            inputs = torch.randn(2 * batch, 1, steps, width, device=device, dtype=kind).permute(0, 3, 1, 2)
            weights = torch.randn(out, width, 1, kernel, device=device, dtype=kind)
            weights = weights.to(memory_format=torch.channels_last)
            steps -= kernel - 1
            count = 2.0 * 2 * batch * steps * out * width * kernel
            work[f"convolution {width} to {out}, {name}"] = (count, partial(functional.conv2d, inputs, weights))
            width = out
    return work


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=128, help="samples in a window (default 128)")
    parser.add_argument("--batch", type=int, default=1024, help="windows in a batch (default 1024)")
    parser.add_argument("--channels", type=int, default=6, help="sensor channels (default 6)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each timing everything once (default 9)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="where our steps run (default cpu)")
    parser.add_argument("--profile", action="store_true", help="profile our steps and compare nothing")
    chosen = parser.parse_args()

    torch.manual_seed(0)
    time_axis = torch.arange(chosen.length) / 50
    frequency = torch.rand(chosen.batch, 1, chosen.channels) * 4
    windows = torch.sin(6.28 * frequency * time_axis[None, :, None]) + 0.3 * torch.randn(
        chosen.batch, chosen.length, chosen.channels
    )
    require_agreement(windows)

    on_device = windows.to(chosen.device)
    published, vectorised = PublishedStep(chosen.channels), PublishedStep(chosen.channels, python_masks=False)
    layout = Layout.anonymous(chosen.length, chosen.channels)
    ours = {name: trainer(layout, name, chosen.device) for name in ("float32", "bfloat16")}
    watch = Stopwatch(chosen.device)
    if chosen.profile:
        for name, step in ours.items():
            print(name)
            profile(partial(step.step, on_device), watch, chosen.device)
        return
    references = ceilings(chosen.device, chosen.batch, chosen.length, chosen.channels)

    clustering: list[float] = []
    cluster = KMeansSettings.__call__

    def clocked(*arguments: Any) -> Tensor:
        labels: list[Tensor] = []
        clustering.append(watch(lambda: labels.append(cluster(*arguments))))
        return labels[0]

    work: dict[str, Callable[[], object]] = {
        "published": partial(published, windows),
        "vectorised": partial(vectorised, windows),
        **{name: partial(step.step, on_device) for name, step in ours.items()},
        **{name: function for name, (_, function) in references.items()},
    }
    for function in work.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in tqdm(range(chosen.rounds), unit=" rounds", disable=None):
        for name, function in work.items():
            KMeansSettings.__call__ = clocked if name == "bfloat16" else cluster
            seconds[name].append(watch(function))
    median = {name: statistics.median(values) for name, values in seconds.items()}

    print(f"step        batch {chosen.batch}, two views, {chosen.length} samples, {chosen.channels} channels")
    for name, remark in (("published", ""), ("vectorised", "   published, but masks as one tensor comparison")):
        print(f"{name:<11} {1e3 * median[name]:8.1f} ms   {chosen.batch / median[name]:8.0f} windows/s{remark}")
    for name in ours:
        # Of each precision, the fastest reference is what the machine can do.
        best = max(count / median[other] for other, (count, _) in references.items() if other.endswith(name))
        ratio, fair = (
            statistics.median(theirs / mine for theirs, mine in zip(seconds[other], seconds[name], strict=True))
            for other in ("published", "vectorised")
        )
        rate = operations(chosen.batch, chosen.length, chosen.channels) / median[name]
        print(
            f"{name:<11} {1e3 * median[name]:8.1f} ms   {chosen.batch / median[name]:8.0f} windows/s   "
            f"{ratio:5.2f} x published, {fair:.2f} x vectorised   {rate / 1e9:6.0f} GFLOP/s, "
            f"{rate / best:.0%} of the ceiling"
        )
    part = statistics.median(clustering)
    print(f"clustering  {1e3 * part:8.1f} ms   {part / median['bfloat16']:.1%} of the bfloat16 step")
    for name, (count, _) in references.items():
        print(f"ceiling     {1e3 * median[name]:8.1f} ms   {count / median[name] / 1e9:6.0f} GFLOP/s   {name}")


if __name__ == "__main__":
    main()
