"""Several processes must do together what one does alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from contrastive_har.learning.clustering import KMeans
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.objectives.knowledge_mining import KnowledgeMiningSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.signals.windows import Windows
from tests.learning.examples import TWO, in_modalities, suited

BUDGET = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3)


def settings(processes: int) -> ComputeSettings:
    return ComputeSettings(device="cpu", precision="float32", processes=processes)


def train(
    windows: Windows,
    members: list[np.ndarray],
    objective: ObjectiveSettings,
    processes: int,
    encoder: EncoderSettings | None = None,
    seed: int = 3,
) -> tuple[EncoderSet, pd.DataFrame]:
    plan = PretrainingPlan(
        name="test",
        objective=objective,
        backbone=BackboneSettings(encoder=encoder or TPNSettings()),
        budget=suited(BUDGET, objective),
        repeats=len(members),
        seed=seed,
    )
    return pretrain(windows, members, plan, settings(processes))


@pytest.mark.parametrize(
    "objective", [ContrastiveSettings(clustering=KMeans(clusters=3)), ContrastiveSettings(neighbours=3)]
)
def test_two_processes_learn_what_one_does(windows: Windows, objective: ContrastiveSettings) -> None:
    """Clusters, negatives and neighbours are of the global batch: the same losses and weights after six steps each."""
    members = [np.arange(160), np.arange(20, 180)]
    (alone, history), (together, shared_history) = (
        train(windows, members, objective, processes) for processes in (1, 2)
    )
    np.testing.assert_allclose(shared_history["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(shared_history["cluster_nmi"], history["cluster_nmi"])
    others, _ = train(windows, members, ContrastiveSettings(), 1, seed=4)
    assert_alike(together, alone, others)


def assert_alike(together: EncoderSet, alone: EncoderSet, others: EncoderSet) -> None:
    """Weights are equal but for rounding, compared with those of another training."""
    for mine, theirs, other in zip(together.weights, alone.weights, others.weights, strict=True):
        for name, weight in mine.items():
            if not name.startswith("encoders."):  # the normalisation is measured, not learned
                assert torch.equal(weight, theirs[name]), name
                continue
            # As a whole: Adam turns rounding of a gradient near zero into a step of full size for a few entries.
            distance = torch.linalg.vector_norm(weight - theirs[name])
            foreign = torch.linalg.vector_norm(weight - other[name])
            assert distance < 1e-2 * foreign, name


@pytest.mark.parametrize(
    "objective",
    [
        ContrastiveSettings.model_validate(
            {
                "across_modalities": True,
                "views": [[{"name": "noise"}]],
                "negatives": {"concentration": 1, "class_prior": None, "annealing_steps": 2},
                "clustering": {"name": "kmeans", "clusters": 8},
            }
        ),
        KnowledgeMiningSettings.model_validate({"views": [[{"name": "noise"}]]}),
    ],
    ids=lambda objective: objective.name,
)
def test_two_processes_learn_across_modalities_what_one_does(windows: Windows, objective: ObjectiveSettings) -> None:
    """The similar windows that a guide mines, and what clusters leave, are those of the global batch."""
    both = in_modalities(windows, *TWO)
    members = [np.arange(160)]
    encoder = TPNSettings(channels=(8, 8), kernels=(8, 4))
    (alone, history), (together, shared_history) = (
        train(both, members, objective, processes, encoder) for processes in (1, 2)
    )
    # Rounding can move a window from one cluster to the next, which changes the loss.
    near = 2e-3 if isinstance(objective, ContrastiveSettings) else 1e-4
    measured = ["alignment", "uniformity", "cluster_nmi", "recall_at_1"]
    np.testing.assert_allclose(shared_history["loss"], history["loss"], rtol=near)
    np.testing.assert_allclose(shared_history[measured], history[measured], rtol=min(near, 1e-3), atol=1e-6)
    others, _ = train(both, members, objective, 1, encoder, seed=4)
    assert_alike(together, alone, others)


def differentiate(compute: Compute, batch: torch.Tensor, found: torch.Tensor) -> None:
    """Fill in a row of ``found`` (processes, parameters): the gradients of layers before and after the gathering."""
    torch.manual_seed(0)
    before, after = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    outputs = after(compute.gather(before(compute.share(batch)).tanh()))
    # Not a mean over windows: each is compared with all others, as projections are.
    (outputs @ outputs.T).logsumexp(1).mean().backward()
    parameters = [*before.parameters(), *after.parameters()]
    compute.average_gradients(parameters)
    found[compute.rank] = torch.cat([parameter.grad.flatten() for parameter in parameters])


def differentiate_parts(compute: Compute, batch: torch.Tensor, found: torch.Tensor) -> None:
    """Fill in a row of ``found`` (processes, 1 + parameters): a loss, each process its anchors' part, and gradients."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 4).double()
    outputs = compute.gather_for_anchors(layer(compute.share(batch)).tanh())
    rows = outputs[compute.anchors(len(outputs)) or slice(None)]
    loss = compute.total((rows @ outputs.T).logsumexp(1).sum())
    loss.backward()
    compute.average_gradients(layer.parameters())
    gradients = [parameter.grad.flatten() for parameter in layer.parameters()]
    found[compute.rank] = torch.cat([loss.detach()[None], *gradients])


@pytest.mark.parametrize(("work", "numbers"), [(differentiate, 26), (differentiate_parts, 17)])
def test_gradients_through_the_gathering_are_those_of_one_process(work: Callable[..., None], numbers: int) -> None:
    batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    alone, together = (torch.full((processes, numbers), torch.nan, dtype=torch.float64) for processes in (1, 2))
    settings(1).run(work, batch, alone)
    settings(2).run(work, batch, together)
    assert alone.abs().min() > 0
    for rank in range(2):
        torch.testing.assert_close(together[rank], alone[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("encoder", "processes", "message"),
    [
        (TPNSettings(), 3, r"batch_size 64 does not divide among 3 processes"),
        (
            TransformerSettings(channels=(8,), kernels=(3,), layers=1, heads=2, feedforward=8),
            2,
            r"batch normalisation would see .* Set batch_norm: false where the encoder or the objective has it",
        ),
    ],
)
def test_what_processes_cannot_share_is_refused(
    windows: Windows, encoder: EncoderSettings, processes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(windows, [np.arange(100)], ContrastiveSettings(), processes, encoder)


def test_batch_normalisation_of_the_objectives_own_is_refused(windows: Windows) -> None:
    members = [np.arange(100)]
    normalising = ContrastiveSettings(projection_batch_norm=True)
    with pytest.raises(ValueError, match=r"batch normalisation would see each process's share"):
        train(windows, members, normalising, 2)
    alone, plain = (train(windows, members, chosen, 1)[1] for chosen in (normalising, ContrastiveSettings()))
    assert not np.allclose(alone["loss"], plain["loss"]), "one process trains it"


def test_several_machines_need_a_launcher(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    machines = settings(1).model_copy(update={"machines": 2})
    assert not machines.is_worker
    with pytest.raises(RuntimeError, match="Start it with torchrun"):
        machines.run(print)
    monkeypatch.setenv("RANK", "1")
    assert machines.is_worker
    assert not settings(1).is_worker, "a run of its own, whoever started it"


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
    for gather in (compute.gather, compute.gather_for_anchors):
        assert torch.equal(gather(transposed), torch.cat([transposed, transposed]))
