from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from contrastive_har.files.stamps import SchemaError
from contrastive_har.learning import evaluation as classification
from contrastive_har.learning import pretraining
from contrastive_har.learning.clustering import KMeans
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.evaluation import EvaluationSettings, evaluate
from contrastive_har.learning.objectives import Step
from contrastive_har.learning.objectives.contrastive import Contrastive, ContrastiveLearning
from contrastive_har.learning.objectives.untrained import Untrained
from contrastive_har.learning.pretraining import PretrainingBudget, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet, TrainedEncoder, read_encoders, write_encoders
from contrastive_har.models.encoders.tpn import TPN, TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.protocols import ProtocolSettings
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.splits import LabelFraction, SplitSettings, assign_roles, windows_with_role
from contrastive_har.signals.windows import Windows

CPU = ComputeSettings(device="cpu", precision="float32", inference_batch=256)
ALONE = CPU.resolve()
BUDGET = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3)
PAPER = {"paper": SplitSettings(title="Paper", leak_free=False, held_out="none", pretrain_on="all")}


def train(
    windows: Windows, method: Contrastive | Untrained, budget: PretrainingBudget, compute: ComputeSettings = CPU
) -> object:
    members = [np.arange(len(windows.signals))]
    return pretrain(windows.signals, windows.classes(), members, method, TPNSettings(), budget, compute, 3, "test")


def test_loss_is_the_objective_of_the_projected_views() -> None:
    learner = ContrastiveLearning(TPN(3, TPNSettings()).eval(), Contrastive(views=((), ())), 3)
    windows = torch.randn(8, 64, 3)
    step = learner.loss(windows, 0, ALONE)
    projected = torch.nn.functional.normalize(learner.head(learner.encoder(windows)), dim=1)
    logits = projected @ projected.T / 0.1
    off = ~torch.eye(8, dtype=torch.bool)
    expected = (
        torch.log(torch.exp(logits.diagonal()) + 2 * (torch.exp(logits) * off).sum(1)) - logits.diagonal()
    ).mean()
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert step.clusters is None


def test_clusters_come_without_gradient_and_per_view() -> None:
    learner = ContrastiveLearning(TPN(3, TPNSettings()).eval(), Contrastive(clustering=KMeans()), 3)
    step = learner.loss(torch.randn(20, 64, 3), 0, ALONE)
    assert step.clusters is not None
    assert step.clusters.shape == (2, 20)
    step.loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())


def test_a_batch_smaller_than_the_number_of_clusters_still_trains() -> None:
    learner = ContrastiveLearning(TPN(3, TPNSettings()).eval(), Contrastive(clustering=KMeans(clusters=16)), 3)
    assert torch.isfinite(learner.loss(torch.randn(4, 64, 3), 0, ALONE).loss)


def test_training_lowers_the_loss_and_methods_start_alike(windows: Windows) -> None:
    budget = BUDGET.model_copy(update={"epochs": 12})
    encoders, history = train(windows, Contrastive(), budget)  # type: ignore[misc]
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    untrained, _ = train(windows, Untrained(), budget)  # type: ignore[misc]
    start = untrained.encoders[0].weights
    torch.manual_seed(derive_seed(3, "weights", 0))
    expected = TPN(3, TPNSettings()).state_dict()
    assert all(torch.equal(expected[name], start[name]) for name in start)
    assert not all(torch.equal(encoders.encoders[0].weights[name], start[name]) for name in start)


def test_methods_see_the_same_batches_and_views(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of methods are paired: whether a method clusters must not change what it is shown, in any epoch."""
    seen: dict[str, list[torch.Tensor]] = {}
    original = TPN.forward

    for name, method in (("simclr", Contrastive()), ("clusterclhar", Contrastive(clustering=KMeans()))):
        shown = seen.setdefault(name, [])

        def forward(self: TPN, views: torch.Tensor, shown: list[torch.Tensor] = shown) -> torch.Tensor:
            shown.append(views.clone())
            return original(self, views)

        monkeypatch.setattr(TPN, "forward", forward)
        train(windows, method, BUDGET.model_copy(update={"epochs": 3}))
    assert len(seen["simclr"]) == 3 * -(-len(windows.signals) // 64)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(seen["simclr"], seen["clusterclhar"], strict=True))


def test_agreement_of_unlabelled_windows_is_unknown(windows: Windows) -> None:
    classes = np.full(len(windows.signals), -1)
    classes[0] = 2
    members = [np.arange(1, len(windows.signals))]
    method = Contrastive(clustering=KMeans(clusters=3))
    _, history = pretrain(windows.signals, classes, members, method, TPNSettings(), BUDGET, CPU, 0, "test")
    assert history["cluster_nmi"].isna().all()


def test_statistics_come_from_the_chosen_windows_only(windows: Windows) -> None:
    chosen = np.arange(10)
    encoders, _ = pretrain(
        windows.signals, windows.classes(), [chosen], Untrained(), TPNSettings(), BUDGET, CPU, 0, "test"
    )
    np.testing.assert_array_equal(encoders.encoders[0].normalisation.mean, Normalisation.of(windows.signals[:10]).mean)


def test_labels_do_not_influence_learning(windows: Windows) -> None:
    shuffled = np.random.default_rng(0).permutation(windows.classes())
    members = [np.arange(len(windows.signals))]
    method = Contrastive(clustering=KMeans(clusters=3))
    first, second = (
        pretrain(windows.signals, labels, members, method, TPNSettings(), BUDGET, CPU, 0, "test")[0]
        for labels in (windows.classes(), shuffled)
    )
    for name, weight in first.encoders[0].weights.items():
        assert torch.equal(weight, second.encoders[0].weights[name])


@pytest.mark.parametrize(("keep", "expected"), [("best_in_second_half", 3), ("last", 4)])
def test_the_kept_epoch(windows: Windows, monkeypatch: pytest.MonkeyPatch, keep: str, expected: int) -> None:
    """Losses by epoch 1, 5, 2, 3: the least of the second half is epoch 3, though epoch 1 is less."""
    weights, losses = [], iter([1.0, 5.0, 2.0, 3.0])
    original = pretraining.Trainer._epoch

    def epoch(self: pretraining.Trainer, *arguments: object) -> dict[str, float]:
        row = original(self, *arguments)  # type: ignore[arg-type]
        weights.append({name: value.clone() for name, value in self.learner.encoder.state_dict().items()})
        return {**row, "loss": next(losses)}

    monkeypatch.setattr(pretraining.Trainer, "_epoch", epoch)
    budget = PretrainingBudget.model_validate({**BUDGET.model_dump(), "epochs": 4, "keep": keep})
    encoders, _ = train(windows, Contrastive(), budget)  # type: ignore[misc]
    for name, weight in encoders.encoders[0].weights.items():
        assert torch.equal(weight, weights[expected - 1][name])


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_in_pretraining_is_a_setting(windows: Windows, dropout: bool) -> None:
    seen = []

    class Probe(ContrastiveLearning):
        def loss(self, batch: torch.Tensor, seed: int, compute: Compute) -> Step:
            seen.append(self.encoder.dropout.training)
            return super().loss(batch, seed, compute)

    learner = Probe(TPN(3, TPNSettings()), Contrastive(), 3)
    budget = PretrainingBudget(epochs=1, batch_size=64, learning_rate=1e-3, dropout=dropout)
    pretraining.Trainer(learner, budget, ALONE, 0).run(torch.from_numpy(windows.signals.copy()), windows.classes())
    assert set(seen) == {dropout}


def test_a_diverging_loss_stops_with_a_cure(windows: Windows) -> None:
    broken = windows.signals.copy()
    broken[0] = np.nan
    with pytest.raises(FloatingPointError, match=r"Lower pretraining\.learning_rate"):
        pretrain(
            broken, windows.classes(), [np.arange(len(broken))], Contrastive(), TPNSettings(), BUDGET, CPU, 0, "test"
        )


def test_half_precision_agrees_with_single(windows: Windows) -> None:
    half = ComputeSettings(device="cpu", precision="bfloat16")
    single_loss, half_loss = (train(windows, Contrastive(), BUDGET, compute)[1]["loss"] for compute in (CPU, half))  # type: ignore[index]
    np.testing.assert_allclose(half_loss, single_loss, rtol=0.05)


def test_half_precision_gradients_point_the_same_way(windows: Windows) -> None:
    batch = torch.from_numpy(Normalisation.of(windows.signals)(windows.signals))[::2]
    gradients = []
    for bfloat16 in (False, True):
        torch.manual_seed(0)
        learner = ContrastiveLearning(TPN(3, TPNSettings()).eval(), Contrastive(), 3)
        compute = Compute(torch.device("cpu"), bfloat16, inference_batch=64)
        step = learner.loss(batch, 0, compute)
        step.loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in learner.encoder.parameters()]))
    # Eight bits of mantissa let the maximum over time fall on a neighbouring sample now and then.
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.97


def test_half_precision_leaves_views_alone(windows: Windows) -> None:
    """A tremor beside gravity would have a handful of values left."""
    seen: list[torch.Tensor] = []
    encoder = TPN(3, TPNSettings())
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    learner = ContrastiveLearning(encoder, Contrastive(views=(ALL_AUGMENTATIONS, ())), 3)
    for bfloat16 in (False, True):
        learner.loss(torch.from_numpy(windows.signals[:32]), 0, Compute(torch.device("cpu"), bfloat16, 64))
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
    encoders, _ = train(windows, Untrained(), BUDGET)  # type: ignore[misc]
    roles = assign_roles(windows, PAPER, [LabelFraction(share=0.1, batch_size=16)], 1, 0)
    settings = {"linear": EvaluationSettings(title="L", trained_stages=0, learning_rate=0.1, epochs=2)}
    arguments = (windows.signals, windows.classes(), roles, "paper", encoders)
    evaluate(*arguments, settings, [LabelFraction(share=0.1, batch_size=16)], CPU, 0, "test")
    assert set(modes) == {False}
    tuned = {"fine": EvaluationSettings(title="F", trained_stages=1, learning_rate=0.1, epochs=1)}
    evaluate(*arguments, tuned, [LabelFraction(share=0.1, batch_size=16)], CPU, 0, "test")
    assert set(modes) == {False, True}


def test_a_linear_classifier_learns_separable_activities(windows: Windows) -> None:
    encoders, _ = train(windows, Untrained(), BUDGET)  # type: ignore[misc]
    fractions = [LabelFraction(share=0.5, batch_size=64)]
    roles = assign_roles(windows, PAPER, fractions, 1, 0)
    settings = {"linear": EvaluationSettings(title="L", trained_stages=0, learning_rate=0.1, epochs=60, test_every=60)}
    predictions, curves, _ = evaluate(
        windows.signals, windows.classes(), roles, "paper", encoders, settings, fractions, CPU, 0, "test"
    )
    true, predicted = predictions["true"].to_numpy(), predictions["predicted"].to_numpy()
    score = macro_f1(confusion_matrix(true, predicted, 3))
    assert score > 0.95
    assert curves.loc[curves["role"] == "test", "macro_f1"].iloc[-1] == pytest.approx(score)


def test_a_fraction_may_be_for_some_evaluations_only(windows: Windows) -> None:
    members = [np.arange(len(windows.signals))]
    encoders, _ = pretrain(
        windows.signals, windows.classes(), members, Untrained(), TPNSettings(), BUDGET, CPU, 3, "test"
    )
    one = EvaluationSettings(title="L", trained_stages=0, learning_rate=0.1, epochs=1)
    fractions = [LabelFraction(share=0.1, batch_size=8), LabelFraction(share=0.2, batch_size=8, evaluations=("a",))]
    roles = assign_roles(windows, PAPER, fractions, 1, 0)
    found, _, _ = evaluate(
        windows.signals, windows.classes(), roles, "paper", encoders, {"a": one, "b": one}, fractions, CPU, 0, "test"
    )
    cells = set(found[["evaluation", "label_fraction"]].itertuples(index=False, name=None))
    assert cells == {("a", 0.1), ("a", 0.2), ("b", 0.1)}


def test_attention_drops_nothing_in_pretraining_either(windows: Windows) -> None:
    """Attention has a dropout of its own, which no Dropout module shows."""
    encoder = TransformerSettings(channels=(8,), kernels=(3,), layers=1, heads=2, feedforward=8, dropout=0.5)
    learner = Contrastive().build(encoder.build(3, 64), (64, 3), 3)
    pretraining.Trainer(learner, BUDGET, ALONE, 0)
    batch = torch.from_numpy(windows.signals[:8].copy())
    assert torch.equal(learner.encoder(batch), learner.encoder(batch))


def test_classifiers_trained_together_do_not_know_of_each_other(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 16 and 46 windows, three an epoch each: the smaller ones are padded."""
    members = [np.arange(len(windows.signals))] * 2
    encoders, _ = pretrain(
        windows.signals, windows.classes(), members, Untrained(), TPNSettings(), BUDGET, CPU, 3, "test"
    )
    fractions = [LabelFraction(share=0.1, batch_size=16), LabelFraction(share=0.3, batch_size=46)]
    roles = assign_roles(windows, PAPER, fractions, 2, 0)
    for fraction in fractions:
        count = len(windows_with_role(roles, "paper", 0, "train", fraction.share))
        assert -(-count // fraction.batch_size) == 3
    linear = {"linear": EvaluationSettings(title="L", trained_stages=0, learning_rate=0.1, epochs=30)}
    arguments = (windows.signals, windows.classes(), roles, "paper", encoders, linear)
    together, curves, _ = evaluate(*arguments, fractions, CPU, 0, "test")
    for fraction in fractions:
        alone, own_curves, _ = evaluate(*arguments, [fraction], CPU, 0, "test")
        mine = together[together["label_fraction"] == fraction.share]
        np.testing.assert_array_equal(mine["window"], alone["window"])
        np.testing.assert_allclose(mine["probability"], alone["probability"], atol=1e-4)
        np.testing.assert_allclose(
            curves[curves["label_fraction"] == fraction.share]["loss"], own_curves["loss"], rtol=1e-3
        )
    assert not np.allclose(*(rows["loss"] for _, rows in curves.groupby("label_fraction")), rtol=0.05)
    monkeypatch.setattr(classification, "_AT_ONCE", 0)  # one repeat after the other, as where features are wide
    apart, _, _ = evaluate(*arguments, fractions, CPU, 0, "test")
    columns = ["repeat", "label_fraction", "window"]
    np.testing.assert_array_equal(apart[columns], together[columns])
    np.testing.assert_allclose(apart["probability"], together["probability"], atol=1e-4)


@pytest.mark.parametrize("stages", [0, 1])
def test_the_learning_rate_is_chosen_on_validation_people(windows: Windows, stages: int) -> None:
    members = [np.arange(len(windows.signals))] * 2
    encoders, _ = pretrain(windows.signals, windows.classes(), members, Untrained(), TPNSettings(), BUDGET, CPU, 3, "t")
    fractions = [LabelFraction(share=0.5, batch_size=64)]
    split = SplitSettings(title="U", leak_free=True, held_out="subjects", pretrain_on="train", validation_share=0.2)
    roles = assign_roles(windows, {"s": split}, fractions, 2, 0)
    arguments = (windows.signals, windows.classes(), roles, "s", encoders)

    def judge(*rates: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        settings = {"e": EvaluationSettings(title="E", trained_stages=stages, learning_rate=rates, epochs=5)}
        return evaluate(*arguments, settings, fractions, CPU, 0, "test")[:2]

    def validation(curves: pd.DataFrame) -> pd.Series:
        last = curves[(curves["role"] == "validation") & (curves["epoch"] == 5)]
        return last.set_index("repeat")["macro_f1"]

    rates = (1e-6, 0.01)
    alone = {rate: judge(rate) for rate in rates}
    predictions, curves = judge(*rates)
    for repeat in range(2):
        best = max(rates, key=lambda rate, repeat=repeat: validation(alone[rate][1])[repeat])
        mine = curves[curves["repeat"] == repeat]
        assert set(mine["learning_rate"]) == {best}
        expected = alone[best][0]
        np.testing.assert_array_equal(
            predictions.loc[predictions["repeat"] == repeat, "probability"],
            expected.loc[expected["repeat"] == repeat, "probability"],
        )
    paper = assign_roles(windows, PAPER, fractions, 2, 0)
    both = {"e": EvaluationSettings(title="E", trained_stages=stages, learning_rate=rates, epochs=1)}
    with pytest.raises(ValueError, match="split 'paper' has none"):
        evaluate(windows.signals, windows.classes(), paper, "paper", encoders, both, fractions, CPU, 0, "test")


@pytest.mark.parametrize("stages", [0, 1])
def test_an_evaluation_may_have_batches_of_its_own(windows: Windows, stages: int) -> None:
    encoders, _ = train(windows, Untrained(), BUDGET)  # type: ignore[misc]
    roles = assign_roles(windows, PAPER, [LabelFraction(share=0.3, batch_size=1)], 1, 0)
    plain = EvaluationSettings(title="L", trained_stages=stages, learning_rate=0.1, epochs=3)

    def probabilities(own: int | None, of_fraction: int) -> np.ndarray:
        settings = {"e": plain.model_copy(update={"batch_size": own})}
        arguments = (windows.signals, windows.classes(), roles, "paper", encoders, settings)
        found, _, _ = evaluate(*arguments, [LabelFraction(share=0.3, batch_size=of_fraction)], CPU, 0, "test")
        return found["probability"].to_numpy()

    np.testing.assert_array_equal(probabilities(8, 64), probabilities(None, 8))
    assert not np.array_equal(probabilities(8, 64), probabilities(None, 64))


def test_one_evaluation_does_not_depend_on_the_others(windows: Windows) -> None:
    encoders, _ = train(windows, Untrained(), BUDGET)  # type: ignore[misc]
    fractions = [LabelFraction(share=0.1, batch_size=16), LabelFraction(share=0.3, batch_size=16)]
    roles = assign_roles(windows, PAPER, fractions, 1, 0)
    linear = EvaluationSettings(title="L", trained_stages=0, learning_rate=0.1, epochs=3)
    fine = EvaluationSettings(title="F", trained_stages=2, learning_rate=0.01, epochs=1)
    arguments = (windows.signals, windows.classes(), roles, "paper", encoders)
    both, _, _ = evaluate(*arguments, {"fine": fine, "linear": linear}, fractions, CPU, 0, "test")
    alone, _, _ = evaluate(*arguments, {"linear": linear}, fractions[1:], CPU, 0, "test")
    mine = both[(both["evaluation"] == "linear") & (both["label_fraction"] == 0.3)].reset_index(drop=True)
    np.testing.assert_array_equal(mine["probability"], alone["probability"])


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
    weights = {name: value.clone() for name, value in TPN(3, TPNSettings()).state_dict().items()}
    trained = TrainedEncoder(weights, Normalisation(np.zeros(3, np.float32), np.ones(3, np.float32)))
    path = tmp_path / "encoders.safetensors"
    write_encoders(EncoderSet(TPNSettings(), (64, 3), "abc", (trained,)), path)
    return path


def test_encoder_files_say_what_they_are(encoder_file: Path) -> None:
    size = int.from_bytes(encoder_file.read_bytes()[:8], "little")
    header = json.loads(encoder_file.read_bytes()[8 : 8 + size])["__metadata__"]
    assert header["kind"] == "encoders"
    assert header["fingerprint"] == "abc"
    assert TPNSettings.model_validate_json(header["settings"]) == TPNSettings()


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
    "label_fractions": [{"share": 0.1, "batch_size": 8}],
    "splits": {"p": PAPER["paper"].model_dump()},
    "pretraining": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    "compared_with": "m",
    "methods": {"m": {"title": "M", "pretraining": {"objective": "contrastive"}, "evaluations": ["linear"]}},
    "evaluations": {"linear": {"title": "L", "trained_stages": 0, "learning_rate": 0.1, "epochs": 1}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour"),
        ({"repeats": 0}, "greater than 0"),
        ({"label_fractions": [{"share": 0.1, "batch_size": 8}] * 2}, "a share twice"),
        (
            {"label_fractions": [{"share": 0.1, "batch_size": 8, "evaluations": ["linear"]}]},
            "must be for all evaluations",
        ),
        (
            {"label_fractions": [*PROTOCOL["label_fractions"], {"share": 0.2, "batch_size": 8, "evaluations": ["x"]}]},  # type: ignore[misc]
            r"label fraction 0.2 asks for unknown evaluations \['x'\]",
        ),
        (
            {
                "methods": {
                    "m": {
                        **PROTOCOL["methods"]["m"],  # type: ignore[index]
                        "encoder": {"name": "transformer", "stride": 4},
                        "pretraining": {"objective": "masked_reconstruction"},
                    }
                }
            },
            "'m' restores every sample, but its encoder sees every 4th; set its stride to 1",
        ),
        (
            {"evaluations": {"linear": {**PROTOCOL["evaluations"]["linear"], "trained_stages": 4}}},  # type: ignore[index]
            "'linear' trains 4 stages, but the encoder of method 'm' has 3",
        ),
        (
            {"evaluations": {"linear": {**PROTOCOL["evaluations"]["linear"], "learning_rate": [0.1, 0.01]}}},  # type: ignore[index]
            "split 'p' has none; give it a validation_share",
        ),
        (
            {"encoder": {"name": "tpn", "channels": [8]}},
            "equally many",
        ),
        ({"evaluations": {"other": PROTOCOL["evaluations"]["linear"]}}, "unknown evaluations"),  # type: ignore[index]
        ({"methods": {"m": {**PROTOCOL["methods"]["m"], "pretraining": {"objective": "magic"}}}}, "magic"),  # type: ignore[index]
        (
            {
                "methods": {
                    "m": {
                        **PROTOCOL["methods"]["m"],
                        "encoder": {"name": "conv_gru"},
                        "pretraining": {"objective": "autoencoding"},
                    }
                }
            },
            "'m' cannot train the encoder 'conv_gru'; set its encoder to conv_autoencoder",
        ),
        (
            {
                "methods": {
                    "m": {**PROTOCOL["methods"]["m"], "pretraining": {"objective": "contrastive", "temperature": 0}}
                }
            },  # type: ignore[index]
            "temperature",
        ),
    ],
)
def test_inconsistent_protocols_are_refused(change: dict[str, object], message: str) -> None:
    ProtocolSettings.model_validate(PROTOCOL)
    with pytest.raises(ValueError, match=message):
        ProtocolSettings.model_validate({**PROTOCOL, **change})


def test_windows_with_role_needs_a_fraction(windows: Windows) -> None:
    roles = assign_roles(windows, PAPER, [LabelFraction(share=0.1, batch_size=4)], 1, 0)
    assert len(windows_with_role(roles, "paper", 0, "train")) == 0
