from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from contrastive_har.files.stamps import SchemaError
from contrastive_har.learning import evaluation
from contrastive_har.learning.clustering import KMeans
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate
from contrastive_har.learning.evaluation.self_training import SelfTraining
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.objectives import ObjectiveSettings, Step, StepResult
from contrastive_har.learning.objectives.contrastive import Contrastive, ContrastiveSettings
from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.batches import Batches
from contrastive_har.learning.pretraining.encoders import EncoderSet, read_encoders, write_encoders
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.models.encoders.tpn import TPN, TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.models.heads.ridge import RidgeSettings
from contrastive_har.protocols import ProtocolSettings
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.sensors import Channel, Layout
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows

CPU = ComputeSettings(device="cpu", precision="float32", inference_batch=256)
ALONE = CPU.resolve()
BUDGET = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3)
PAPER = SplitSettings(title="Paper", leak_free=False, held_out="none", pretrain_on="all")
LAYOUT = Layout.anonymous(64, 3)


def train(
    windows: Windows,
    objective: ObjectiveSettings,
    budget: PretrainingBudget = BUDGET,
    compute: ComputeSettings = CPU,
    members: Sequence[np.ndarray] | None = None,
) -> tuple[EncoderSet, pd.DataFrame]:
    """Pre-train TPN, once on all windows unless there are ``members``."""
    plan = PretrainingPlan(name="test", objective=objective, budget=budget, seed=3)
    return pretrain(windows, [np.arange(len(windows.signals))] if members is None else members, plan, compute)


def contrastive(settings: ContrastiveSettings) -> Contrastive:
    return settings.build(TPN(3, TPNSettings()).eval(), LAYOUT, 3)


def encoder_of(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of the only encoder of a backbone."""
    return {
        name.removeprefix("encoders.0."): value for name, value in weights.items() if name.startswith("encoders.0.")
    }


def relabelled(windows: Windows, classes: np.ndarray) -> Windows:
    """The activity codes of the synthetic recordings are their class indices."""
    return replace(windows, table=windows.table.assign(activity=classes.astype(np.int16)))


def batches_of(normalised: torch.Tensor) -> Batches:
    return Batches(normalised, torch.arange(len(normalised)), lambda windows: windows, torch.device("cpu"))


def budgets(*names: str) -> tuple[LabelBudget, ...]:
    return tuple(LabelBudget.model_validate(name) for name in names)


def divide(windows: Windows, names: Sequence[str], repeats: int = 1, split: SplitSettings = PAPER) -> Roles:
    plan = SplitPlan(name="paper", split=split, label_budgets=budgets(*names), repeats=repeats, seed=0)
    return assign_roles(windows, plan)


def judge(
    windows: Windows, roles: Roles, encoders: EncoderSet, names: Sequence[str], **evaluations: EvaluationSettings
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedHead]]:
    known = budgets(*names)
    plan = EvaluationPlan(name="test", evaluations=evaluations, label_budgets=known, shown=known[0])
    return evaluate(windows, roles, encoders, plan, CPU)


def linear(**changes: object) -> EvaluationSettings:
    return EvaluationSettings.model_validate(
        {"title": "L", "trained_stages": 0, "learning_rate": 0.1, "epochs": 1, "batch_size": 16, **changes}
    )


def test_loss_is_the_objective_of_the_projected_views() -> None:
    objective = contrastive(ContrastiveSettings(views=((), ())))
    windows = torch.randn(8, 64, 3)
    result = objective.loss(windows, Step(0, ALONE))
    projected = torch.nn.functional.normalize(objective.heads[0](objective.encoders[0](windows)), dim=1)
    logits = projected @ projected.T / 0.1
    off = ~torch.eye(8, dtype=torch.bool)
    expected = (
        torch.log(torch.exp(logits.diagonal()) + 2 * (torch.exp(logits) * off).sum(1)) - logits.diagonal()
    ).mean()
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert result.clusters is None


def test_clusters_come_without_gradient_and_per_view() -> None:
    objective = contrastive(ContrastiveSettings(clustering=KMeans()))
    result = objective.loss(torch.randn(20, 64, 3), Step(0, ALONE))
    assert result.clusters is not None
    assert result.clusters.shape == (2, 20)
    result.loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_a_batch_smaller_than_the_number_of_clusters_still_trains() -> None:
    objective = contrastive(ContrastiveSettings(clustering=KMeans(clusters=16)))
    assert torch.isfinite(objective.loss(torch.randn(4, 64, 3), Step(0, ALONE)).loss)


def test_training_lowers_the_loss_and_objectives_start_alike(windows: Windows) -> None:
    budget = BUDGET.model_copy(update={"epochs": 12})
    encoders, history = train(windows, ContrastiveSettings(), budget)
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    untrained, _ = train(windows, UntrainedSettings(), budget)
    start = encoder_of(untrained.weights[0])
    torch.manual_seed(derive_seed(3, "weights", 0))
    expected = TPN(3, TPNSettings()).state_dict()
    assert start.keys() == expected.keys()
    assert all(torch.equal(expected[name], start[name]) for name in start)
    trained = encoder_of(encoders.weights[0])
    assert not all(torch.equal(trained[name], start[name]) for name in start)


def test_objectives_see_the_same_batches_and_views(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are paired: whether an objective clusters must not change what it is shown, in any epoch."""
    seen: dict[str, list[torch.Tensor]] = {}
    original = TPN.forward

    for name, clustering in (("simclr", None), ("clusterclhar", KMeans())):
        shown = seen.setdefault(name, [])

        def forward(self: TPN, views: torch.Tensor, shown: list[torch.Tensor] = shown) -> torch.Tensor:
            if torch.is_grad_enabled():  # not what embeddings are measured on after an epoch
                shown.append(views.clone())
            return original(self, views)

        monkeypatch.setattr(TPN, "forward", forward)
        train(windows, ContrastiveSettings(clustering=clustering), BUDGET.model_copy(update={"epochs": 3}))
    assert len(seen["simclr"]) == 3 * -(-len(windows.signals) // 64)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(seen["simclr"], seen["clusterclhar"], strict=True))


def test_agreement_of_unlabelled_windows_is_unknown(windows: Windows) -> None:
    classes = np.full(len(windows.signals), -1)
    classes[0] = 2
    members = [np.arange(1, len(windows.signals))]
    objective = ContrastiveSettings(clustering=KMeans(clusters=3))
    _, history = train(relabelled(windows, classes), objective, members=members)
    assert history["cluster_nmi"].isna().all()


def test_statistics_come_from_the_chosen_windows_only(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings(), members=[np.arange(10)])
    expected = Normalisation.of(windows.signals[:10])
    np.testing.assert_array_equal(encoders.weights[0]["mean"], expected.mean)
    np.testing.assert_array_equal(encoders.weights[0]["deviation"], expected.deviation)


@pytest.mark.parametrize("labels", ["shuffled", "none"])
def test_labels_do_not_influence_learning(windows: Windows, labels: str) -> None:
    classes = windows.classes()
    other = np.random.default_rng(0).permutation(classes) if labels == "shuffled" else np.full_like(classes, -1)
    objective = ContrastiveSettings(clustering=KMeans(clusters=3))
    first, second = (train(relabelled(windows, labels), objective)[0] for labels in (classes, other))
    for name, weight in first.weights[0].items():
        assert torch.equal(weight, second.weights[0][name])


def test_without_labels_there_are_as_many_clusters_as_activities(windows: Windows) -> None:
    """The number of activities is described; no label needs to show it."""
    unlabelled = Windows.from_arrays(windows.signals, np.full(len(windows.signals), -1), ["a", "b", "c"])
    encoders, history = train(unlabelled, ContrastiveSettings(clustering=KMeans()))
    assert history["loss"].notna().all()
    assert history["cluster_nmi"].isna().all()
    same, other = (
        train(unlabelled, ContrastiveSettings(clustering=KMeans(clusters=clusters)))[0].weights[0]
        for clusters in (3, 4)
    )
    assert all(torch.equal(weight, same[name]) for name, weight in encoders.weights[0].items())
    assert not all(torch.equal(weight, other[name]) for name, weight in encoders.weights[0].items())


@pytest.mark.parametrize(("keep", "expected"), [("best_in_second_half", 3), ("last", 4)])
def test_the_kept_epoch(windows: Windows, monkeypatch: pytest.MonkeyPatch, keep: str, expected: int) -> None:
    """Losses by epoch 1, 5, 2, 3: the least of the second half is epoch 3, though epoch 1 is less."""
    weights, losses = [], iter([1.0, 5.0, 2.0, 3.0])
    original = Trainer._epoch

    def epoch(self: Trainer, *arguments: object) -> dict[str, float]:
        row = original(self, *arguments)  # type: ignore[arg-type]
        weights.append({name: value.clone() for name, value in self.objective.encoders[0].state_dict().items()})
        return {**row, "loss": next(losses)}

    monkeypatch.setattr(Trainer, "_epoch", epoch)
    budget = PretrainingBudget.model_validate({**BUDGET.model_dump(), "epochs": 4, "keep": keep})
    encoders, _ = train(windows, ContrastiveSettings(), budget)
    kept = encoder_of(encoders.weights[0])
    assert kept.keys() == weights[0].keys()
    for name, weight in kept.items():
        assert torch.equal(weight, weights[expected - 1][name])


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_in_pretraining_is_a_setting(windows: Windows, dropout: bool) -> None:
    seen = []

    class Probe(Contrastive):
        def loss(self, windows: torch.Tensor, step: Step) -> StepResult:
            seen.append(self.encoders[0].dropout.training)
            return super().loss(windows, step)

    objective = Probe({"inertial": TPN(3, TPNSettings())}, ContrastiveSettings(), LAYOUT, 3)
    budget = PretrainingBudget(epochs=1, batch_size=64, learning_rate=1e-3, dropout=dropout)
    Trainer(objective, budget, ALONE, 0).run(batches_of(torch.from_numpy(windows.signals)), windows.classes())
    assert set(seen) == {dropout}


def test_a_diverging_loss_stops_with_a_cure(windows: Windows) -> None:
    broken = windows.signals.copy()
    broken[0] = np.nan
    with pytest.raises(FloatingPointError, match=r"Lower budget\.learning_rate"):
        train(replace(windows, signals=broken), ContrastiveSettings())


@pytest.mark.parametrize("stages", [0, 1])
def test_a_head_that_diverges_stops_with_a_cure(windows: Windows, stages: int) -> None:
    """It would be scored as if it took all windows for the first activity."""
    encoders, _ = train(windows, UntrainedSettings())
    settings = EvaluationSettings(title="E", learning_rate=1e38, epochs=3, batch_size=20, trained_stages=stages)
    with pytest.raises(FloatingPointError, match=r"'e', 10 % of the labels, repeat 1: .* Lower its learning_rate"):
        judge(windows, divide(windows, ["10 %"]), encoders, ["10 %"], e=settings)


def test_half_precision_agrees_with_single(windows: Windows) -> None:
    half = ComputeSettings(device="cpu", precision="bfloat16")
    single_loss, half_loss = (
        train(windows, ContrastiveSettings(), BUDGET, compute)[1]["loss"] for compute in (CPU, half)
    )
    np.testing.assert_allclose(half_loss, single_loss, rtol=0.05)


def test_half_precision_gradients_point_the_same_way(windows: Windows) -> None:
    batch = torch.from_numpy(Normalisation.of(windows.signals)(windows.signals))[::2]
    gradients = []
    for bfloat16 in (False, True):
        torch.manual_seed(0)
        objective = contrastive(ContrastiveSettings())
        compute = Compute(torch.device("cpu"), bfloat16, inference_batch=64)
        objective.loss(batch, Step(0, compute)).loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in objective.encoders[0].parameters()]))
    # Eight bits of mantissa let the maximum over time fall on a neighbouring sample now and then.
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.97


def test_half_precision_leaves_views_alone(windows: Windows) -> None:
    """A tremor beside gravity would have a handful of values left."""
    seen: list[torch.Tensor] = []
    encoder = TPN(3, TPNSettings())
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    view = tuple(augment for augment in ALL_AUGMENTATIONS if augment.problem(windows.layout) is None)
    objective = ContrastiveSettings(views=(view, ())).build(encoder, windows.layout, 3)
    for bfloat16 in (False, True):
        step = Step(0, Compute(torch.device("cpu"), bfloat16, inference_batch=64))
        objective.loss(torch.from_numpy(windows.signals[:32]), step)
    torch.testing.assert_close(seen[1], seen[0], rtol=0, atol=0)


def test_linear_evaluation_freezes_the_encoder_in_evaluation_mode(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    original = TPN.run

    def run(self: TPN, activations: torch.Tensor, first: int, end: int) -> torch.Tensor:
        if first < end:
            modes.append(self.training)
        return original(self, activations, first, end)

    monkeypatch.setattr(TPN, "run", run)
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    roles = divide(windows, names)
    judge(windows, roles, encoders, names, linear=linear(epochs=2))
    assert set(modes) == {False}
    judge(windows, roles, encoders, names, fine=linear(trained_stages=1))
    assert set(modes) == {False, True}


def test_a_linear_head_learns_separable_activities(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    roles = divide(windows, ["50 %"])
    settings = linear(epochs=60, batch_size=64, test_every=60)
    predictions, curves, _ = judge(windows, roles, encoders, ["50 %"], linear=settings)
    true, predicted = predictions["true"].to_numpy(), predictions["predicted"].to_numpy()
    score = macro_f1(confusion_matrix(true, predicted, 3))
    assert score > 0.95
    assert curves.loc[curves["role"] == "test", "macro_f1"].iloc[-1] == pytest.approx(score)


def test_a_label_budget_may_be_for_some_evaluations_only(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %", "20 %"]
    roles = divide(windows, names)
    of_all, of_one = linear(batch_size=8), linear(batch_size=8, label_budgets=["10 %"])
    found, _, heads = judge(windows, roles, encoders, names, a=of_all, b=of_one)
    cells = set(found[["evaluation", "label_budget"]].itertuples(index=False, name=None))
    assert cells == {("a", "10 %"), ("a", "20 %"), ("b", "10 %")}
    assert {(one.facts.evaluation, one.facts.label_budget) for one in heads} == cells


def test_attention_drops_nothing_in_pretraining_either(windows: Windows) -> None:
    """Attention has a dropout of its own, which no Dropout module shows."""
    encoder = TransformerSettings(channels=(8,), kernels=(3,), layers=1, heads=2, feedforward=8, dropout=0.5)
    objective = ContrastiveSettings().build(encoder.build(3, 64), LAYOUT, 3)
    Trainer(objective, BUDGET, ALONE, 0)
    batch = torch.from_numpy(windows.signals[:8].copy())
    assert torch.equal(objective.encoders[0](batch), objective.encoders[0](batch))


def test_heads_trained_together_do_not_know_of_each_other(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 16 and 46 windows, three per epoch each: the smaller ones are padded."""
    encoders, _ = train(windows, UntrainedSettings(), members=[np.arange(len(windows.signals))] * 2)
    sizes = {"10 %": 16, "30 %": 46}
    names = list(sizes)
    roles = divide(windows, names, repeats=2)
    for budget in budgets(*names):
        assert -(-len(roles.members(0, "train", budget)) // sizes[budget.name]) == 3
    settings = linear(epochs=30, batch_size=sizes)
    together, curves, _ = judge(windows, roles, encoders, names, linear=settings)
    for name in names:
        alone, own_curves, _ = judge(windows, roles, encoders, [name], linear=settings)
        mine = together[together["label_budget"] == name]
        np.testing.assert_array_equal(mine["window"], alone["window"])
        np.testing.assert_allclose(mine["probability"], alone["probability"], atol=1e-4)
        np.testing.assert_allclose(curves[curves["label_budget"] == name]["loss"], own_curves["loss"], rtol=1e-3)
    assert not np.allclose(*(rows["loss"] for _, rows in curves.groupby("label_budget")), rtol=0.05)


@pytest.mark.parametrize("stages", [0, 1])
def test_the_learning_rate_is_chosen_on_validation_subjects(windows: Windows, stages: int) -> None:
    encoders, _ = train(windows, UntrainedSettings(), members=[np.arange(len(windows.signals))] * 2)
    names = ["50 %"]
    split = SplitSettings(title="U", leak_free=True, held_out="subject", pretrain_on="train", validation_share=0.2)
    roles = divide(windows, names, 2, split)

    def evaluated(*rates: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        settings = linear(trained_stages=stages, learning_rate=rates, epochs=5, batch_size=64)
        return judge(windows, roles, encoders, names, e=settings)[:2]

    def validation(curves: pd.DataFrame) -> pd.Series:
        last = curves[(curves["role"] == "validation") & (curves["epoch"] == 5)]
        return last.set_index("repeat")["macro_f1"]

    rates = (1e-6, 0.01)
    alone = {rate: evaluated(rate) for rate in rates}
    predictions, curves = evaluated(*rates)
    for repeat in range(2):
        best = max(rates, key=lambda rate, repeat=repeat: validation(alone[rate][1])[repeat])
        mine = curves[curves["repeat"] == repeat]
        assert set(mine["learning_rate"]) == {best}
        expected = alone[best][0]
        np.testing.assert_array_equal(
            predictions.loc[predictions["repeat"] == repeat, "probability"],
            expected.loc[expected["repeat"] == repeat, "probability"],
        )
    with pytest.raises(ValueError, match="split 'paper' has none"):
        judge(
            windows,
            divide(windows, names, 2),
            encoders,
            names,
            e=linear(trained_stages=stages, learning_rate=rates, batch_size=64),
        )


@pytest.mark.parametrize("stages", [0, 1])
def test_an_evaluation_sees_the_modalities_that_there_are(windows: Windows, stages: int) -> None:
    """Those it names; one that the windows do not have is refused."""
    channels = [
        Channel(name="acc_x", unit="g"),
        Channel(name="hip", unit="cm", modality="skeleton"),
        Channel(name="knee", unit="cm", modality="skeleton"),
    ]
    both = Windows.from_arrays(windows.signals, windows.classes(), ["a", "b", "c"], channels)
    other = replace(both, signals=both.signals * np.array([-2, 1, 1], np.float32))  # of the first modality only
    names = ["10 %"]
    roles = divide(both, names)
    encoders, _ = train(both, UntrainedSettings())

    def probabilities(shown: Windows, *modalities: str) -> np.ndarray:
        settings = linear(trained_stages=stages, modalities=modalities)
        return judge(shown, roles, encoders, names, e=settings)[0]["probability"].to_numpy()

    np.testing.assert_array_equal(probabilities(both, "skeleton"), probabilities(other, "skeleton"))
    for seen in (("inertial",), ("inertial", "skeleton")):
        assert not np.array_equal(probabilities(both, *seen), probabilities(other, *seen))
    for misspelled in (("sceleton",), ("inertial", "sceleton")):
        with pytest.raises(ValueError, match="sceleton"):
            probabilities(both, *misspelled)


def test_an_evaluation_without_its_label_budget_predicts_nothing(windows: Windows) -> None:
    """A split that holds nothing out has no roles with all labels: nothing would be left to test on."""
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %", "100 %"]
    roles = divide(windows, names)
    assert roles.budgets == ["10 %"]
    predictions, curves, heads = judge(windows, roles, encoders, names, e=linear(label_budgets=["100 %"]))
    assert list(predictions.columns) == evaluation.PREDICTION_COLUMNS
    assert list(curves.columns) == evaluation.CURVE_COLUMNS
    assert (len(predictions), len(curves), len(heads)) == (0, 0, 0)


@pytest.mark.parametrize("stages", [0, 1])
def test_a_label_budget_may_have_batches_of_its_own(windows: Windows, stages: int) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["30 %"]
    roles = divide(windows, names)

    def probabilities(size: int | dict[str, int]) -> np.ndarray:
        settings = linear(trained_stages=stages, epochs=3, batch_size=size)
        return judge(windows, roles, encoders, names, e=settings)[0]["probability"].to_numpy()

    np.testing.assert_array_equal(probabilities({"30 %": 8, "other": 64}), probabilities(8))
    np.testing.assert_array_equal(probabilities({"5 %": 64, "other": 8}), probabilities(8))
    assert not np.array_equal(probabilities({"30 %": 8, "other": 64}), probabilities(64))
    with pytest.raises(ValueError, match="batch_size has no entry '30 %' or 'other'"):
        probabilities({"5 %": 8})


HOW: list[dict[str, object]] = [{}, {"trained_stages": 1, "learning_rate": 0.01}, {"head": {"name": "mlp"}}]


@pytest.mark.parametrize("how", HOW, ids=["side by side", "with a stage", "alone"])
def test_steps_are_counted_through_epochs(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, how: dict[str, object]
) -> None:
    """10 % of the labels are three batches, and 30 % are seven: 12 steps are four epochs, or one and 5 batches."""
    states: list[list[torch.Tensor]] = []
    original = torch.optim.Adam.step

    def step(self: torch.optim.Adam) -> None:
        original(self)
        states.append([value.detach().clone() for group in self.param_groups for value in group["params"]])

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %", "30 %"]
    roles = divide(windows, names)
    of_batches = {name: -(-len(roles.members(0, "train", *budgets(name))) // 16) for name in names}
    assert of_batches == {"10 %": 3, "30 %": 7}

    def trained(name: str, **changes: object) -> tuple[pd.DataFrame, pd.DataFrame]:
        states.clear()
        return judge(windows, roles, encoders, [name], e=linear(**how, **changes))[:2]

    whole = trained("10 %", epochs=4)
    assert len(states) == 12
    same = trained("10 %", epochs=None, steps=12, test_every=1)
    for found, expected in zip(same, whole, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    once = trained("10 %", epochs=None, steps=12)
    pd.testing.assert_frame_equal(once[0], whole[0])
    looked = whole[1][whole[1]["epoch"].isin([2, 4])].reset_index(drop=True)
    pd.testing.assert_frame_equal(once[1], looked)

    trained("30 %", epochs=2)
    longer = states.copy()
    _, curves = trained("30 %", epochs=None, steps=12, test_every=1)
    assert curves["epoch"].tolist() == [1, 2]
    assert (len(longer), len(states)) == (14, 12)
    for found, expected in zip(states, longer[:12], strict=True):
        assert all(map(torch.equal, found, expected))

    trained("30 %", epochs=None, steps=1)
    assert len(states) == 1


@pytest.mark.parametrize("head", [{"name": "linear"}, {"name": "mlp", "dropout": 0}])
def test_the_loss_of_a_cut_epoch_is_the_mean_of_its_steps(windows: Windows, head: dict[str, object]) -> None:
    """Equal windows of one activity have equal losses, and a small learning rate changes nothing."""
    equal = replace(windows, signals=np.repeat(windows.signals[:1], len(windows.signals), axis=0))
    encoders, _ = train(windows, UntrainedSettings())
    (budget,) = budgets("10 %")
    indices = np.flatnonzero(windows.classes() == 0)
    roles = Roles.of_one_repeat(budget, train=indices[:40], validation=indices[:0], test=indices[40:])

    def loss(**changes: object) -> float:
        settings = linear(head=head, learning_rate=1e-30, **changes)
        return float(judge(equal, roles, encoders, ["10 %"], e=settings)[1]["loss"].iloc[-1])

    whole = loss(epochs=1)
    assert whole > 0.1
    for steps in (1, 2, 3, 4):
        assert loss(epochs=None, steps=steps) == pytest.approx(whole, rel=1e-5)


def test_a_head_that_is_fitted_takes_no_steps(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    settings = EvaluationSettings(title="R", head=RidgeSettings(), steps=500)
    predictions, curves, _ = judge(windows, divide(windows, names), encoders, names, e=settings)
    assert curves["epoch"].tolist() == [1]
    assert len(predictions)


def test_every_head_copes_with_an_activity_without_labels(windows: Windows) -> None:
    """It is tested, but heads that know activities by their labels only do not find it."""
    encoders, _ = train(windows, UntrainedSettings())
    names = ["without walk"]
    split = SplitSettings(title="U", leak_free=True, held_out="subject", pretrain_on="train")
    roles = divide(windows, names, split=split)
    heads: list[dict[str, object]] = [{"name": name} for name in ("linear", "mlp", "logistic", "ridge")]
    heads += [{"name": "late_fusion", "head": head} for head in heads[:3]]
    evaluations = {str(index): linear(head=head, epochs=20) for index, head in enumerate(heads)}
    evaluations["fine"] = linear(trained_stages=1, learning_rate=0.01)
    predictions, curves, trained = judge(windows, roles, encoders, names, **evaluations)
    assert np.isfinite(curves["loss"]).all()
    assert [one.facts.evaluation for one in trained] == list(evaluations)
    for _, rows in predictions.groupby("evaluation"):
        np.testing.assert_array_equal(rows["window"], roles.members(0, "test", *budgets(*names)))
        assert set(rows["true"]) == {0, 1, 2}
        assert set(rows["predicted"]) == {0, 2}
        assert np.isfinite(rows["probability"]).all()


def test_one_evaluation_does_not_depend_on_the_others(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %", "30 %"]
    roles = divide(windows, names)
    settings = linear(epochs=3)
    fine = linear(trained_stages=2, learning_rate=0.01)
    both, _, _ = judge(windows, roles, encoders, names, fine=fine, linear=settings)
    alone, _, _ = judge(windows, roles, encoders, names[1:], linear=settings)
    mine = both[(both["evaluation"] == "linear") & (both["label_budget"] == "30 %")].reset_index(drop=True)
    np.testing.assert_array_equal(mine["probability"], alone["probability"])


def test_without_test_windows_nothing_is_predicted(windows: Windows) -> None:
    """Predictions are the test windows' and never the validation windows', whatever the kind of head and training."""
    encoders, _ = train(windows, UntrainedSettings())
    (budget,) = budgets("10 %")
    indices = np.arange(len(windows.signals))
    nobody = np.array([], np.int64)
    evaluations = {
        "linear": linear(),
        "fine": linear(trained_stages=1),
        "ridge": EvaluationSettings(title="R", head=RidgeSettings()),
    }
    roles = Roles.of_one_repeat(budget, train=indices[::2], validation=indices[1::4], test=nobody)
    predictions, curves, heads = judge(windows, roles, encoders, ["10 %"], **evaluations)
    assert predictions.empty
    assert list(predictions.columns) == evaluation.PREDICTION_COLUMNS
    assert set(curves["role"]) == {"validation"}
    last = curves.set_index("evaluation")["macro_f1"]
    assert {one.facts.evaluation: one.facts.validation_macro_f1 for one in heads} == last.to_dict()
    assert set(last.index) == set(evaluations)
    # Everything else is as it is with test windows.
    tested = Roles.of_one_repeat(budget, train=indices[::2], validation=indices[1::4], test=indices[3::4])
    predictions, more_curves, _ = judge(windows, tested, encoders, ["10 %"], **evaluations)
    for _, mine in predictions.groupby("evaluation"):
        np.testing.assert_array_equal(mine["window"], indices[3::4])
    of_validation = more_curves[more_curves["role"] == "validation"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_validation, curves)


def test_compute_settings_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert ComputeSettings().resolve().device.type == "cpu"
    assert str(ComputeSettings(precision="float32").resolve()) == "cpu, float32"
    assert str(ComputeSettings(precision="bfloat16").resolve()) == "cpu, bfloat16"
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        ComputeSettings(device="cuda").resolve()


def test_accelerators_are_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(ComputeSettings().resolve()) == "mps, float32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert str(ComputeSettings().resolve()) == "cuda, bfloat16"


@pytest.fixture
def encoder_file(tmp_path: Path) -> Path:
    settings = BackboneSettings()
    weights = {name: value.clone() for name, value in settings.build(LAYOUT).state_dict().items()}
    path = tmp_path / "encoders.safetensors"
    write_encoders(EncoderSet(settings, LAYOUT, "abc", (weights,)), path)
    return path


def test_encoder_files_say_what_they_are(encoder_file: Path) -> None:
    size = int.from_bytes(encoder_file.read_bytes()[:8], "little")
    header = json.loads(encoder_file.read_bytes()[8 : 8 + size])["__metadata__"]
    assert header["kind"] == "encoders"
    assert header["fingerprint"] == "abc"
    assert header["repeats"] == "1"
    assert BackboneSettings.model_validate_json(header["settings"]) == BackboneSettings(encoder=TPNSettings())
    assert Layout.model_validate_json(header["layout"]) == LAYOUT


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x80\x04pickle"])
def test_broken_encoder_files_are_refused(encoder_file: Path, content: bytes) -> None:
    encoder_file.write_bytes(content)
    with pytest.raises(SchemaError, match="not a readable safetensors file"):
        read_encoders(encoder_file)


def test_foreign_encoder_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(SchemaError, match="holds 'something else', not 'encoders'"):
        read_encoders(path)


PROTOCOL = {
    "title": "T",
    "repeats": 1,
    "windows": {"length": 64, "stride": 32},
    "label_budgets": ["10 %"],
    "splits": {"p": PAPER.model_dump()},
    "budget": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    "compared_with": "m",
    "methods": {"m": {"title": "M", "objective": {"name": "contrastive"}, "evaluations": ["linear"]}},
    "evaluations": {
        "linear": {"title": "L", "trained_stages": 0, "learning_rate": 0.1, "epochs": 1, "batch_size": 8},
    },
}


def row(**changes: object) -> dict[str, object]:
    return {"methods": {"m": {**PROTOCOL["methods"]["m"], **changes}}}  # type: ignore[index]


def judged(**changes: object) -> dict[str, object]:
    return {"evaluations": {"linear": {**PROTOCOL["evaluations"]["linear"], **changes}}}  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour"),
        ({"repeats": 0}, "greater than 0"),
        ({"label_budgets": ["10 %"] * 2}, "lists one twice"),
        ({"label_budgets": ["10 %", "10%"]}, "lists one twice"),
        ({"label_budgets": ["a few"]}, "'a few' is no label budget"),
        (
            {
                "label_budgets": ["10 %", "20 %"],
                "evaluations": {
                    **judged(label_budgets=["10 %"])["evaluations"],  # type: ignore[dict-item]
                    "other": {**PROTOCOL["evaluations"]["linear"], "label_budgets": ["20 %"]},  # type: ignore[index]
                },
            },
            "must be for all evaluations",
        ),
        (judged(label_budgets=["10 %", "20 %"]), r"evaluation 'linear' asks for label budgets \['20 %'\]"),
        (judged(batch_size={"20 %": 8}), "batch_size has no entry '10 %' or 'other'"),
        (judged(batch_size={"many": 8, "other": 8}), "'many' is no label budget"),
        (judged(learning_rate=[]), "learning_rate"),
        (judged(modalities=[]), "modalities"),
        (judged(learning_rate=None), "head 'linear' is trained by gradient and needs learning_rate"),
        (judged(epochs=None), "head 'linear' is trained by gradient and needs epochs or steps"),
        (judged(steps=5), "training ends after 'epochs' or 'steps'; set one of them to null"),
        (judged(epochs=None, steps=0), "steps"),
        (judged(test_every=0), "test_every"),
        (judged(head={"name": "ridge"}, trained_stages=1), "head 'ridge' is fitted to frozen encoders"),
        (
            row(encoder={"name": "transformer", "stride": 4}, objective={"name": "masked_reconstruction"}),
            "'m' reconstructs every sample, but its encoder has a stride of 4; set its stride to 1",
        ),
        (judged(trained_stages=4), "'linear' trains 4 stages, but the encoder of method 'm' has 3"),
        (judged(learning_rate=[0.1, 0.01]), "split 'p' has none; give it a validation_share"),
        ({"encoder": {"name": "tpn", "channels": [8]}}, "equally many"),
        (row(encoder={"channels": [8]}), "equally many"),
        ({"evaluations": {"other": PROTOCOL["evaluations"]["linear"]}}, "unknown evaluations"),  # type: ignore[index]
        (row(objective={"name": "magic"}), "magic"),
        (
            row(encoder={"name": "conv_gru"}, objective={"name": "autoencoding"}),
            "'m' cannot train the encoder 'conv_gru'; set its encoder to conv_autoencoder",
        ),
        (
            row(
                encoder={"name": "conv_autoencoder"},
                encoders={"inertial": {"name": "conv_gru"}},
                objective={"name": "autoencoding"},
            ),
            "'m' cannot train the encoder 'conv_gru'; set its encoder to conv_autoencoder",
        ),
        (row(objective={"name": "contrastive", "temperature": 0}), "temperature"),
        (row(base="n"), "row 'm' is based on 'n', which is none of m"),
        (row(base="m"), "in a circle: m -> m"),
    ],
)
def test_inconsistent_protocols_are_refused(change: dict[str, object], message: str) -> None:
    ProtocolSettings.model_validate(PROTOCOL)
    with pytest.raises(ValueError, match=message):
        ProtocolSettings.model_validate({**PROTOCOL, **change})


def test_training_windows_need_a_label_budget(windows: Windows) -> None:
    roles = divide(windows, ["10 %"])
    with pytest.raises(ValueError, match="the windows with role 'train' depend on the label budget"):
        roles.members(0, "train")
    assert len(roles.members(0, "train", *budgets("10 %"))) > 0


def test_batches_are_a_share_of_the_labels_and_steps_are_enough(windows: Windows) -> None:
    """Few labels with a batch size for many would be one step an epoch."""
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    roles = divide(windows, names)
    labels = len(roles.members(0, "train", *budgets(*names)))

    def epochs_of(**changes: object) -> int:
        _, curves, _ = judge(windows, roles, encoders, names, e=linear(batch_size=500, epochs=2, **changes))
        return int(curves["epoch"].max())

    assert labels < 500
    assert epochs_of() == 2
    assert epochs_of(least_steps=7) == 7
    assert epochs_of(least_steps=7, largest_share=0.5) == 4
    assert epochs_of(least_steps=7, largest_share=0.5, trained_stages=1, learning_rate=0.01) == 4
    small, same = (
        judge(windows, roles, encoders, names, e=linear(epochs=2, **changes))[0]["probability"].to_numpy()
        for changes in ({"batch_size": 500, "largest_share": 0.25}, {"batch_size": -(-labels // 4)})
    )
    np.testing.assert_array_equal(small, same)


@pytest.mark.parametrize("trained_stages", [0, 1])
def test_an_annealed_learning_rate_falls_along_a_cosine(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, trained_stages: int
) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    rates: list[float] = []
    step = torch.optim.Adam.step

    def noted(optimiser: torch.optim.Adam) -> None:
        rates.append(optimiser.param_groups[0]["lr"])
        step(optimiser)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    changes = {"epochs": None, "steps": 7, "batch_size": 16, "trained_stages": trained_stages}
    judge(windows, divide(windows, names), encoders, names, e=linear(annealed=True, learning_rate=0.2, **changes))
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=7)
    expected = []
    for _ in range(7):
        expected.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(rates[:7], expected)
    assert len(rates) % 7 == 0


@pytest.mark.parametrize("test_every", [4, 100])
def test_the_last_round_of_self_training_is_scored(windows: Windows, test_every: int) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    always = EvaluationSettings(title="S", head=LogisticSettings(), self_training=SelfTraining(rounds=2))
    at_times = always.model_copy(update={"test_every": test_every})
    roles = divide(windows, names)
    (expected, all_curves, _), (found, curves, _) = (
        judge(windows, roles, encoders, names, e=settings) for settings in (always, at_times)
    )
    assert len(expected)
    pd.testing.assert_frame_equal(found, expected)
    assert curves["epoch"].max() == all_curves["epoch"].max() == 3


def test_of_several_penalties_the_best_on_validation_windows_is_chosen(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %"]
    split = SplitSettings(title="U", leak_free=True, held_out="subject", pretrain_on="train", validation_share=0.3)
    penalties = (1e-6, 1e-3, 10.0)

    def judged_with(roles: Roles, *chosen: float) -> TrainedHead:
        settings = EvaluationSettings(title="L", head=LogisticSettings(inverse_penalty=chosen))
        return judge(windows, roles, encoders, names, e=settings)[2][0]

    validated = divide(windows, names, split=split)
    scores = [judged_with(validated, penalty).facts.validation_macro_f1 for penalty in penalties]
    best = scores.index(max(score for score in scores if score is not None))
    assert best != 0
    assert judged_with(validated, *penalties).facts.head == LogisticSettings(inverse_penalty=penalties[best])
    assert judged_with(divide(windows, names), *penalties).facts.head == LogisticSettings(inverse_penalty=penalties[0])
