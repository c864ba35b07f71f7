"""Measures of pre-training that need no labels, against loops."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.objectives import Objective, ObjectiveSettings, Step, StepResult
from contrastive_har.learning.pretraining import HISTORY_COLUMNS, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.diagnostics import SAMPLE, diagnose, measure_retrieval, measure_spread
from contrastive_har.models.layers.dropout import switch_off_dropout
from contrastive_har.scores.collapse import has_collapsed
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, SMALL, THREE, TWO, build, in_modalities, some, suited

MEASURED = ["cluster_nmi", "alignment", "uniformity"]
RECALLS = ["recall_at_1", "recall_at_5"]


def unit_vectors(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def result_of(projections: Tensor | None = None, clusters: Tensor | None = None) -> StepResult:
    return StepResult(torch.tensor(1.0), clusters, projections)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("count", [2, 9])
def test_alignment_and_uniformity_are_their_formulas(views: int, count: int) -> None:
    projections = unit_vectors(views, count, 4)
    p = projections.numpy()
    distances = [np.mean([np.sum((p[a, i] - p[b, i]) ** 2) for i in range(count)])
                 for a in range(views) for b in range(a + 1, views)]  # fmt: skip
    spread = []
    for view in p:
        kernels = [np.exp(-2 * np.sum((view[i] - view[j]) ** 2)) for i in range(count) for j in range(i + 1, count)]
        spread.append(np.log(np.mean(kernels)))
    found = diagnose(result_of(projections), np.zeros(count, np.int64))
    assert list(found) == MEASURED
    assert found["alignment"] == pytest.approx(np.mean(distances))
    assert found["uniformity"] == pytest.approx(np.mean(spread))
    assert np.isnan(found["cluster_nmi"])


def test_equal_views_are_aligned_and_equal_windows_are_not_uniform() -> None:
    view = unit_vectors(1, 8, 4)
    assert diagnose(result_of(view.repeat(2, 1, 1)), np.zeros(8, np.int64))["alignment"] == 0
    collapsed = diagnose(result_of(view[:, :1].repeat(2, 8, 1)), np.zeros(8, np.int64))
    assert collapsed["uniformity"] == pytest.approx(0)
    opposite = torch.stack([view[0], -view[0]])
    assert diagnose(result_of(opposite), np.zeros(8, np.int64))["alignment"] == pytest.approx(4)


def test_agreement_is_that_of_the_first_views_clusters_with_labelled_windows() -> None:
    clusters = torch.randint(0, 3, (2, 40), generator=torch.Generator().manual_seed(0))
    classes = np.arange(40) % 4 - 1
    found = diagnose(result_of(clusters=clusters), classes)
    labelled = classes >= 0
    expected = normalized_mutual_info_score(classes[labelled], clusters[0].numpy()[labelled])
    assert found["cluster_nmi"] == pytest.approx(expected)
    assert np.isnan([found["alignment"], found["uniformity"]]).all()
    assert np.isnan(diagnose(result_of(clusters=clusters), np.full(40, -1))["cluster_nmi"])
    assert np.isnan(list(diagnose(result_of(), classes).values())).all()


@pytest.mark.parametrize(("count", "width"), [(30, 4), (3, 8)])
def test_spread_is_its_formulas(count: int, width: int) -> None:
    """Deviation feature by feature; effective rank by the singular values of what differs from the mean."""
    embeddings = torch.randn(count, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
    z = embeddings.numpy() / np.linalg.norm(embeddings.numpy(), axis=1, keepdims=True)
    deviations = [np.sqrt(np.mean((z[:, j] - np.mean(z[:, j])) ** 2)) for j in range(width)]
    eigenvalues = np.linalg.eigvalsh((z - z.mean(0)).T @ (z - z.mean(0)))
    singular = np.sqrt(eigenvalues.clip(0))
    shares = singular[singular > 1e-7] / singular.sum()
    found = measure_spread(Embedded(), embeddings[:, None])
    assert found["deviation"] == pytest.approx(np.mean(deviations) * np.sqrt(width))
    assert found["effective_rank"] == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=1e-5)


def test_spread_tells_collapse_from_all_directions() -> None:
    everywhere = unit_vectors(4000, 1, 6)
    found = measure_spread(Embedded(), everywhere)
    assert found["deviation"] == pytest.approx(1, abs=0.01)
    assert found["effective_rank"] == pytest.approx(6, abs=0.01)
    assert not has_collapsed({**found, "uniformity": np.nan})
    line = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None, None] * torch.tensor([0.0, 1.0]) + torch.tensor(
        [3, 0]
    )
    for collapsed, rank in ((everywhere[:1].repeat(40, 1, 1), 1), (line, 1.2), (torch.zeros(5, 1, 6), 1)):
        found = measure_spread(Embedded(), collapsed)
        assert found["effective_rank"] == pytest.approx(rank, abs=0.2)
        assert has_collapsed({**found, "uniformity": np.nan})
    assert (
        measure_spread(Embedded(), torch.cat([everywhere[:40], everywhere[:1].repeat(40, 1, 1)], 1))["deviation"] == 0
    ), "of several modalities, that which differs the least"
    assert has_collapsed({"deviation": 1, "effective_rank": 6, "uniformity": -0.01})


def test_measuring_leaves_training_alone(windows: Windows) -> None:
    objective = build(TypeAdapter(ObjectiveSettings).validate_python({"name": "byol"}), windows).train()
    switch_off_dropout(objective)
    modes = [module.training for module in objective.modules()]
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    measure_spread(objective, some(windows, 20))
    assert [module.training for module in objective.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in objective.state_dict().items())


def test_a_collapse_is_warned_of(windows: Windows, caplog: pytest.LogCaptureFixture) -> None:
    """Without the batch's statistics and with a high learning rate, nothing keeps SimSiam from its least loss."""
    members = [np.arange(200)]
    history_of(windows, members, name="contrastive")
    assert "collapsed" not in caplog.text
    views = [[{"name": "noise"}], []]
    rate = {"learning_rate": 0.05, "epochs": 12}
    kept = history_of(windows, members, rate, name="simsiam", projection_batch_norm=False, prediction=[], views=views)
    assert "pre-training 1/1 has collapsed" in caplog.text
    assert has_collapsed(kept.iloc[-1].to_dict())


class Embedded(Objective):
    """Embeds windows (batch, modalities, features) as they are."""

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        raise AssertionError("nothing is trained")

    def embed(self, windows: Tensor) -> list[Tensor]:
        return list(windows.unbind(1))


class Projected(Objective):
    """Projects windows (batch, modalities, features) as they are."""

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        raise AssertionError("nothing is trained")

    def project(self, windows: Tensor) -> list[Tensor]:
        return list(windows.unbind(1))


def ranking(p: np.ndarray, q: np.ndarray, most: int) -> float:
    """Share of windows whose partner is among the ``most`` nearest, by sorting all."""
    found = []
    for i in range(len(p)):
        nearest = sorted(range(len(q)), key=lambda j: float(np.sum((p[i] - q[j]) ** 2)))
        found.append(i in nearest[:most])
    return float(np.mean(found))


@pytest.mark.parametrize(("modalities", "count"), [(2, 3), (2, 30), (3, 30)])
def test_recall_is_that_of_a_brute_force_ranking(modalities: int, count: int) -> None:
    shared = unit_vectors(count, 1, 5)
    windows = functional.normalize(shared + unit_vectors(count, modalities, 5, seed=1), dim=2)
    found = measure_retrieval(Projected(), windows)
    p = windows.numpy()
    pairs = [(a, b) for a in range(modalities) for b in range(modalities) if a != b]
    for name, most in zip(RECALLS, (1, 5), strict=True):
        assert found[name] == pytest.approx(np.mean([ranking(p[:, a], p[:, b], most) for a, b in pairs]))
    assert 0 < found["recall_at_1"] < 1
    assert found["recall_at_1"] <= found["recall_at_5"]


def test_equal_projections_find_everything_and_opposite_ones_nothing() -> None:
    view = unit_vectors(20, 1, 6)
    assert measure_retrieval(Projected(), view.repeat(1, 2, 1)) == dict.fromkeys(RECALLS, 1)
    assert measure_retrieval(Projected(), torch.cat([view, -view], dim=1)) == dict.fromkeys(RECALLS, 0)


def test_collapsed_projections_find_nothing() -> None:
    """All windows are equally similar: a partner found among them is found by chance."""
    collapsed = unit_vectors(1, 1, 6).repeat(20, 2, 1)
    assert measure_retrieval(Projected(), collapsed) == dict.fromkeys(RECALLS, 0)
    assert measure_retrieval(Projected(), torch.zeros(20, 2, 6)) == dict.fromkeys(RECALLS, 0)


@pytest.mark.parametrize("shape", [(20, 1, 6), (0, 2, 6)])
def test_recall_of_a_single_modality_or_of_no_window_is_unknown(shape: tuple[int, ...]) -> None:
    found = measure_retrieval(Projected(), unit_vectors(*shape))
    assert list(found) == RECALLS
    assert np.isnan(list(found.values())).all()


def history_of(
    windows: Windows, members: list[np.ndarray], budget: Mapping[str, float] = MappingProxyType({}), **objective: object
) -> pd.DataFrame:
    contrastive = {"name": "contrastive", "projection": [8, 4], **objective}
    settings = TypeAdapter(ObjectiveSettings).validate_python(objective if "name" in objective else contrastive)
    given = PretrainingBudget.model_validate({"epochs": 2, "batch_size": 100, "learning_rate": 1e-3, **budget})
    plan = PretrainingPlan(objective=settings, backbone=SMALL, budget=suited(given, settings), seed=3)
    return pretrain(windows, members, plan, CPU)[1]


ACROSS = {"across_modalities": True, "views": [[{"name": "noise"}]]}


def test_every_history_has_what_its_objective_allows(windows: Windows) -> None:
    both, members = in_modalities(windows, *TWO), [np.arange(200), np.arange(100, 300)]
    across = history_of(both, members, **ACROSS)
    assert list(across.columns) == HISTORY_COLUMNS
    assert set(HISTORY_COLUMNS) >= {*MEASURED, *RECALLS}
    assert across[["alignment", "uniformity"]].notna().all(axis=None)
    assert across["alignment"].between(0, 4).all()
    assert across["uniformity"].between(-8, 0).all()
    assert across["cluster_nmi"].isna().all()
    assert across.groupby("epoch")[RECALLS].count().to_numpy().tolist() == [[0, 0], [2, 2]], "after the last epoch"
    apart = history_of(both, members)
    assert apart[["alignment", "uniformity"]].notna().all(axis=None)
    assert apart[RECALLS].iloc[1].notna().all(), "heads of single modalities project too"
    single = history_of(windows, members, clustering={"name": "kmeans"})
    assert single[MEASURED].notna().all(axis=None)
    assert single[RECALLS].isna().all(axis=None)
    nothing = history_of(both, members, name="multi_task", transformations=[{"name": "negation"}])
    assert nothing[[*MEASURED, *RECALLS]].isna().all(axis=None)
    for history in (across, apart, single, nothing):
        assert history["deviation"].between(0.05, 1, inclusive="neither").all()
        assert history["effective_rank"].between(1.5, 8).all()


def test_retrieval_uses_only_windows_that_were_not_learned_from(windows: Windows) -> None:
    """Other windows that are not learned from change nothing else."""
    several = in_modalities(windows, *THREE)
    members = [np.arange(0, 300)]
    before = history_of(several, members, **ACROSS)
    collapsed = several.signals.copy()
    collapsed[300:] = collapsed[300]
    several_alike = Windows(several.description, several.length, several.stride, several.table, collapsed)
    after = history_of(several_alike, members, **ACROSS)
    pd.testing.assert_series_equal(after["loss"], before["loss"])
    assert before["recall_at_5"].iloc[-1] > 0
    assert after["recall_at_5"].iloc[-1] == 0, "windows that are all alike cannot be told apart"
    nothing_unseen = history_of(several, [np.arange(len(several.signals))], **ACROSS)
    assert nothing_unseen[RECALLS].isna().all(axis=None)


def test_of_large_batches_the_first_windows_are_compared() -> None:
    """Pairs grow with the square of a batch."""
    view = unit_vectors(2, SAMPLE + 5, 4)
    whole = diagnose(result_of(view), np.zeros(SAMPLE + 5, np.int64))["uniformity"]
    assert whole == diagnose(result_of(view[:, :SAMPLE]), np.zeros(SAMPLE, np.int64))["uniformity"]
