"""Each method's loss against a slow, literal transcription of its formula."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives import Learner, Objective
from contrastive_har.learning.objectives.base import draws_for
from contrastive_har.learning.objectives.memory import NNCLR, MoCo, MomentumContrast, NearestNeighbourContrast, Queue
from contrastive_har.learning.objectives.multi_task import MultiTask
from contrastive_har.learning.objectives.predictive import PredictiveCoding
from contrastive_har.learning.objectives.reconstruction import Autoencoding, MaskedReconstruction
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.models.encoders.conv_gru import ConvGRUSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Negation, Rotation, make_view

ROOT = Path(__file__).parents[2]
ALONE = ComputeSettings(device="cpu", precision="float32").resolve()
WINDOWS = torch.randn(12, 50, 6, generator=torch.Generator().manual_seed(1))
SHAPE = (50, 6)
TPN = TPNSettings(dropout=0)
TRANSFORMER = TransformerSettings(
    channels=(16,), kernels=(1,), batch_norm=False, layers=1, heads=2, feedforward=16, dropout=0, pooling="mean"
)


def build(method: Objective, encoder: object) -> Learner:
    torch.manual_seed(0)
    return method.build(encoder.build(6, 50), SHAPE, 3)  # type: ignore[attr-defined]


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
    method = MoCo(queue=7, projection=(8, 4), views=((Negation(),), ()))
    learner = build(method, TPN)
    assert isinstance(learner, MomentumContrast)
    queue = learner.negatives.rows.double().numpy().copy()
    loss = learner.loss(WINDOWS, 5, ALONE).loss
    query = unit(learner.head(learner.encoder(-WINDOWS)))
    key = unit(learner.followers[1](learner.followers[0](WINDOWS)))
    total = 0.0
    for i in range(12):
        positive = np.exp(query[i] @ key[i] / 0.07)
        total += -np.log(positive / (positive + sum(np.exp(query[i] @ row / 0.07) for row in queue)))
    assert loss.item() == pytest.approx(total / 12, rel=1e-4)
    assert {tuple(row.round(4)) for row in unit(learner.negatives.rows)} == {tuple(row.round(4)) for row in key[-7:]}
    loss.backward()
    assert all(parameter.grad is None for parameter in learner.followers.parameters())
    assert all(parameter.grad is not None for parameter in learner.encoder.parameters())


def test_mocos_copy_follows_slowly() -> None:
    learner = build(MoCo(momentum=0.9), TPN)
    assert isinstance(learner, MomentumContrast)
    leader, follower = next(learner.encoder.parameters()), next(learner.followers.parameters())
    start = follower.clone()
    with torch.no_grad():
        leader += 1
    learner.loss(WINDOWS, 0, ALONE)
    torch.testing.assert_close(follower, start + 0.1)


def test_nnclr_is_its_formula() -> None:
    learner = build(NNCLR(queue=9, projection=(8, 4), views=((Negation(),), ())), TPN)
    assert isinstance(learner, NearestNeighbourContrast)
    queue = learner.earlier.rows.double().numpy().copy()
    loss = learner.loss(WINDOWS, 5, ALONE).loss
    a, b = (unit(learner.head(learner.encoder(view))) for view in (-WINDOWS, WINDOWS))
    total = 0.0
    for mine, other in ((a, b), (b, a)):
        for i in range(12):
            neighbour = max(queue, key=lambda row, i=i, mine=mine: row @ mine[i])
            weights = [np.exp(neighbour @ other[k] / 0.1) for k in range(12)]
            total += -np.log(weights[i] / sum(weights))
    assert loss.item() == pytest.approx(total / 24, rel=1e-4)
    assert {tuple(row.round(4)) for row in a[-9:]} == {tuple(row.round(4)) for row in unit(learner.earlier.rows)}


def test_multi_task_is_its_formula() -> None:
    method = MultiTask(hidden=8)
    learner = build(method, TPN)
    windows = torch.randn(18, 50, 6, generator=torch.Generator().manual_seed(2))
    loss = learner.loss(windows, 5, ALONE).loss
    draws = draws_for(windows, 5, ALONE)
    order = draws.uniform(windows).argsort().tolist()
    total = 0.0
    for kind in range(9):
        part = windows[order[2 * kind : 2 * kind + 2]]
        shown = part if kind == 0 else make_view(part, (method.transformations[kind - 1],), draws)
        for task, head in enumerate(learner.heads, start=1):  # type: ignore[arg-type, var-annotated]
            for logit in head(learner.encoder(shown)).flatten().tolist():
                total += np.log1p(np.exp(-logit)) if task == kind else np.log1p(np.exp(logit))
    assert loss.item() == pytest.approx(total / 18, rel=1e-4)
    assert [t.name for t in method.transformations] == [a.name for a in ALL_AUGMENTATIONS if a.name != "resampling"]


def test_masked_reconstruction_looks_at_hidden_samples_only() -> None:
    learner = build(MaskedReconstruction(masked=0.2), TRANSFORMER)
    loss = learner.loss(WINDOWS, 5, ALONE).loss
    hidden = draws_for(WINDOWS, 5, ALONE).uniform(WINDOWS, 50, 1) < 0.2
    assert 0.1 < hidden.double().mean() < 0.3
    shown = torch.where(hidden, 0, WINDOWS)
    restored = learner.restore(learner.encoder.sequence(shown))  # type: ignore[operator]
    errors = [
        (restored[i, t, c] - WINDOWS[i, t, c]).item() ** 2 for i, t, _ in hidden.nonzero().tolist() for c in range(6)
    ]
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-4)


@pytest.mark.parametrize("length", [50, 47, 8])
def test_the_autoencoder_restores_the_shape(length: int) -> None:
    torch.manual_seed(0)
    windows = torch.sin(torch.arange(length)[None, :, None] / 6 + 6 * torch.rand(4, 1, 6))
    learner = Autoencoding().build(ConvAutoencoderSettings(channels=(8, 8, 8)).build(6, length), (length, 6), 3)
    assert learner.loss(windows, 0, ALONE).loss.item() > 0.3
    optimiser = torch.optim.Adam(learner.parameters(), lr=0.01)
    for step in range(80):
        loss = learner.loss(windows, step, ALONE).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15, "four windows can be learned by heart, signs included"


def test_predictive_coding_is_its_formula() -> None:
    encoder = ConvGRUSettings(channels=(4, 5), hidden=6, layers=1, dropout=0)
    learner = build(PredictiveCoding(horizon=3), encoder)
    seed = 12345
    loss = learner.loss(WINDOWS, seed, ALONE).loss
    present = seed % (50 - 3)
    local = learner.encoder.local(WINDOWS)  # type: ignore[operator]
    context = learner.encoder.context(local[:, : present + 1])[0][:, -1]  # type: ignore[operator]
    foreseen = learner.predict(context).view(12, 3, 5).detach().double().numpy()  # type: ignore[operator]
    future = local.detach().double().numpy()
    total = 0.0
    for ahead in range(3):
        for i in range(12):
            scores = [np.exp(future[i, present + 1 + ahead] @ foreseen[j, ahead]) for j in range(12)]
            total += -np.log(scores[i] / sum(scores))
    assert loss.item() == pytest.approx(total / 36, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "batch", "shape", "message"),
    [
        (PredictiveCoding(horizon=28), 10, (28, 6), "foresees 28 samples, but windows have 28"),
        (Autoencoding(corruption=(Rotation(),)), 10, (50, 4), "rotation needs sensors of three axes"),
        (MultiTask(), 10, (50, 4), "rotation needs sensors of three axes"),
    ],
)
def test_ill_posed_methods_say_why(method: Objective, batch: int, shape: tuple[int, int], message: str) -> None:
    assert message in str(method.problem(batch, shape, 3))
    assert method.problem(batch, (64, 6), 3) is None


def test_gradients_reach_the_whole_encoder() -> None:
    cases: list[tuple[Objective, object, Callable[[Learner], None] | None]] = [
        (MultiTask(), TPN, None),
        (Autoencoding(), ConvAutoencoderSettings(), None),
        (MaskedReconstruction(), TRANSFORMER, None),
        (PredictiveCoding(), ConvGRUSettings(), None),
    ]
    for method, encoder, _ in cases:
        learner = build(method, encoder)
        learner.loss(WINDOWS, 3, ALONE).loss.backward()
        for name, parameter in learner.encoder.named_parameters():
            assert parameter.grad is not None, f"{method}: {name}"
            assert parameter.grad.abs().sum() > 0, f"{method}: {name}"


def test_the_documented_method_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/methods.md, as it stands there: the file, its entry and the line of the contract suite."""
    text = (ROOT / "docs/methods.md").read_text(encoding="utf-8").partition("## Add your own method")[2]
    (file, line), (entry,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml"))
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "src/contrastive_har/learning/methods/agreement.py"
    path.write_text(file)

    def run(*command: str | Path) -> str:
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": "src"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    run("-m", "ruff", "check", path)
    run("-m", "ruff", "format", "--check", path)
    rows = [yaml.safe_load(entry)["agreement"], {"title": "T", "pretraining": eval(f"{{{line}}}")["agreement"]}]
    rows[1]["evaluations"] = ["linear"]
    read = "from contrastive_har.protocols import MethodSettings as Row; print(type(Row(**{}).pretraining))"
    for row in rows:
        assert "methods.agreement.Agreement" in run("-c", read.format(row))

    monkeypatch.syspath_prepend(path.parent)
    module = import_module("agreement")
    learner = build(module.Agreement(views=((Negation(),), ())), TPN)
    loss = learner.loss(WINDOWS, 0, ALONE).loss
    a, b = (unit(learner.head(learner.encoder(view))) for view in (-WINDOWS, WINDOWS))  # type: ignore[operator]
    assert loss.item() == pytest.approx(1 - (a * b).sum(1).mean(), rel=1e-4)
