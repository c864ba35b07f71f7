"""Several processes must do together what one does alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastive_har.learning.clustering import KMeans
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.objectives.contrastive import Contrastive
from contrastive_har.learning.pretraining import PretrainingBudget, pretrain
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.signals.windows import Windows

BUDGET = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3)


def settings(processes: int) -> ComputeSettings:
    return ComputeSettings(device="cpu", precision="float32", processes=processes)


def test_two_processes_learn_what_one_does(windows: Windows) -> None:
    """Clusters and negatives come from the global batch: the same losses and weights after six steps each."""
    members = [np.arange(160), np.arange(20, 180)]
    method = Contrastive(clustering=KMeans(clusters=3))
    (alone, history), (together, shared_history) = (
        pretrain(
            windows.signals, windows.classes(), members, method, TPNSettings(), BUDGET, settings(processes), 3, "test"
        )
        for processes in (1, 2)
    )
    np.testing.assert_allclose(shared_history["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(shared_history["cluster_nmi"], history["cluster_nmi"])
    others, _ = pretrain(
        windows.signals, windows.classes(), members, Contrastive(), TPNSettings(), BUDGET, settings(1), 4, "test"
    )
    for mine, theirs, other in zip(together.encoders, alone.encoders, others.encoders, strict=True):
        for name, weight in mine.weights.items():
            # As a whole: Adam turns rounding of a gradient near zero into a step of full size for a few entries.
            distance = torch.linalg.vector_norm(weight - theirs.weights[name])
            foreign = torch.linalg.vector_norm(weight - other.weights[name])
            assert distance < 1e-2 * foreign, name


@pytest.mark.parametrize(
    ("encoder", "processes", "message"),
    [
        (TPNSettings(), 3, r"batch_size 64 does not divide among 3 processes"),
        (
            TransformerSettings(channels=(8,), kernels=(3,), layers=1, heads=2, feedforward=8),
            2,
            r"batch normalisation would see .* Set the encoder's batch_norm: false",
        ),
    ],
)
def test_what_processes_cannot_share_is_refused(
    windows: Windows, encoder: EncoderSettings, processes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(
            windows.signals,
            windows.classes(),
            [np.arange(100)],
            Contrastive(),
            encoder,
            BUDGET,
            settings(processes),
            3,
            "test",
        )


def test_several_machines_need_a_launcher(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    machines = settings(1).model_copy(update={"machines": 2})
    assert not machines.is_helper
    with pytest.raises(RuntimeError, match="Start it with torchrun"):
        machines.run(print)
    monkeypatch.setenv("RANK", "1")
    assert machines.is_helper
    assert not settings(1).is_helper, "a run of its own, whoever started it"


def test_shares_make_up_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = torch.arange(11)
    shares = []
    for rank in range(3):
        compute = Compute(torch.device("cpu"), bfloat16=False, inference_batch=1)
        monkeypatch.setattr(compute, "rank", rank)
        monkeypatch.setattr(compute, "processes", 3)
        shares.append(compute.share(batch))
    assert torch.equal(torch.cat(shares), batch[:9]), "equal shares in order; the odd ones are left out"


def test_only_contiguous_shares_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL, between GPUs, takes no others; gloo, between the processes above, does."""

    def all_gather(shares: list[torch.Tensor], share: torch.Tensor) -> None:
        assert all(each.is_contiguous() for each in (share, *shares))
        for each in shares:
            each.copy_(share)

    monkeypatch.setattr(torch.distributed, "all_gather", all_gather)
    compute = Compute(torch.device("cpu"), bfloat16=False, inference_batch=1)
    monkeypatch.setattr(compute, "_fabric", object())
    monkeypatch.setattr(compute, "processes", 2)
    transposed = torch.arange(6.0).view(2, 3).T
    assert torch.equal(compute.gather(transposed), torch.cat([transposed, transposed]))
