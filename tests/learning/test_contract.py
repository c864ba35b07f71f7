"""What every objective keeps with every encoder on every source, and every head with them.

A new objective, encoder, head or augmentation needs one entry in its table below.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import BaseModel, TypeAdapter

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate
from contrastive_har.learning.evaluation.trained import TrainedHead, read_heads, write_heads
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.pretraining import HISTORY_COLUMNS, BackboneSettings, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet, embed, read_encoders, write_encoders
from contrastive_har.learning.pretraining.plans import PretrainingBudget
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import combine, recognise
from tests.learning.examples import suited

SMALL_TRANSFORMER = {"layers": 1, "heads": 2, "feedforward": 16, "channels": [8, 8], "kernels": [3, 3]}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "untrained": {"name": "untrained"},
    "simclr": {"name": "contrastive"},
    "simclr, strong views": {
        "name": "contrastive",
        "views": [
            [{"name": "rotation", "degrees": 30}, {"name": "scaling"}],
            [{"name": "permutation"}, {"name": "crop_resize"}],
        ],
    },
    "clusterclhar, K-means": {"name": "contrastive", "clustering": {"name": "kmeans"}},
    "clusterclhar, BIRCH": {"name": "contrastive", "clustering": {"name": "birch", "clusters": 4}},
    "clusterclhar, hierarchical": {"name": "contrastive", "clustering": {"name": "agglomerative"}},
    "clusterclhar, DBSCAN": {"name": "contrastive", "clustering": {"name": "dbscan", "confidence": 90}},
    "moco": {"name": "moco", "queue": 100},
    "nnclr": {"name": "nnclr", "queue": 100},
    "byol": {"name": "byol"},
    "simsiam": {"name": "simsiam"},
    "msf": {"name": "msf", "queue": 100},
    "ttl": {"name": "ttl"},
    "swav": {"name": "swav", "crop_share": 0.75},
    "vicreg": {"name": "vicreg"},
    "ts2vec": {"name": "ts2vec"},
    "multi_task": {"name": "multi_task"},
    "autoencoding": {"name": "autoencoding", "corruption": [{"name": "noise"}]},
    "masked_reconstruction": {"name": "masked_reconstruction"},
    "masked autoencoding": {"name": "masked_reconstruction", "masked": 0.75, "span": 8},
    "predictive_coding": {"name": "predictive_coding"},
}
CMC: dict[str, Any] = {
    "name": "contrastive",
    "across_modalities": True,
    "negatives": {"within_views": False},
    "views": [[{"name": "rotation", "degrees": 20}, {"name": "scaling"}]],
}
ACROSS: dict[str, dict[str, Any]] = {
    "cmc": CMC,
    "hard negatives": {**CMC, "negatives": {"concentration": 1, "class_prior": None, "annealing_steps": 9}},
    "cluster negatives": {**CMC, "clustering": {"name": "kmeans"}},
    "knowledge mining": {"name": "knowledge_mining", "views": CMC["views"]},
}
"""Objectives that need several modalities; those of ``OBJECTIVES`` train each by itself."""
ENCODERS: dict[str, dict[str, Any]] = {
    "tpn": {"name": "tpn"},
    "small tpn": {"name": "tpn", "channels": [8, 8], "kernels": [5, 3], "dropout": 0.2, "companding": 0.05},
    "transformer": {"name": "transformer", **SMALL_TRANSFORMER},
    "mean transformer": {"name": "transformer", **SMALL_TRANSFORMER, "batch_norm": False, "pooling": "mean"},
    "striding transformer": {
        "name": "transformer",
        **SMALL_TRANSFORMER,
        "stride": 4,
        "padding": 0,
        "activation": "relu",
        "pooling": "mean",
    },
    "deepconvlstm": {"name": "deepconvlstm", "convolutions": 2, "width": 8},
    "conv_autoencoder": {"name": "conv_autoencoder", "channels": [8, 8], "latent": 16},
    "conv_gru": {"name": "conv_gru", "channels": [8, 8], "hidden": 8},
    "conv_bins": {
        "name": "conv_bins",
        "channels": [8, 8],
        "kernels": [5, 3],
        "pooling": "both",
        "differences": True,
        "batch_norm": True,
        "dropout": 0.2,
    },
    "dilated": {"name": "dilated", "hidden": 8, "features": 12, "blocks": 2},
    "dilated_filters": {"name": "dilated_filters", "filters": 4, "companding": 0.05, "dropout": 0.2},
    "spectral": {"name": "spectral", "segment": 16, "channels": [8, 8], "dropout": 0.2},
    "co_occurrence": {"name": "co_occurrence", "channels": [8, 26, 8, 8, 8, 8]},
    "ma_cnn": {"name": "ma_cnn", "channels": [8, 8], "hidden": 8},
    "tst": {"name": "tst", **SMALL_TRANSFORMER, "channels": [8], "kernels": [1]},
    "that": {"name": "that", "temporal_layers": 2, "temporal_filters": 8, "temporal_kernels": [5, 9]},
    "tarnet": {"name": "tarnet", **SMALL_TRANSFORMER, "channels": [16], "kernels": [1], "pooling": "flatten"},
    "hand_features": {"name": "hand_features"},
    "rocket": {"name": "rocket", "kernels": 40},
    "minirocket": {"name": "minirocket", "size": 252},
}
HEAD_GROUPS = {
    "rotating": ["internal rotation", "external rotation"],
    "lifting": ["abduction", "forward elevation", "trapezius extension", "upright row", "pendulum"],
    "of synthetic windows": ["rest", "walk", "run"],
}
HEADS: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear"},
    "logistic": {"name": "logistic"},
    "mlp": {"name": "mlp", "hidden": [8]},
    "ridge": {"name": "ridge"},
    "supcon": {"name": "supcon", "projection": [8, 6]},
    "knn": {"name": "knn", "neighbours": 5, "windows": 100},
    "boosted trees": {"name": "boosted_trees", "rounds": 5, "depth": 2},
    "hierarchical": {"name": "hierarchical", "groups": HEAD_GROUPS, "network": {"hidden": [8]}},
    "label_sequence": {"name": "label_sequence", "embedding": 8, "width": 8},
    "late fusion": {"name": "late_fusion"},
    "late fusion, fitted": {"name": "late_fusion", "head": {"name": "logistic"}},
}
SOURCES = ["synthetic", "watch", "two modalities"]

CPU = ComputeSettings(device="cpu", precision="float32", inference_batch=256)
PRETRAINING = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3, dropout=True)
BUDGET = LabelBudget.model_validate("10 %")
SPLIT = SplitSettings(title="Unseen", leak_free=True, held_out="subject", pretrain_on="train")
TRAINED = {"learning_rate": 0.01, "epochs": 2, "batch_size": 16}
EVALUATIONS = {
    "linear": EvaluationSettings(title="Linear", learning_rate=0.1, epochs=3, batch_size=16, test_every=2),
    "fine_tuning": EvaluationSettings(title="Fine", trained_stages=1, weight_penalty=1e-4, test_every=5, **TRAINED),
    "supervised": EvaluationSettings(title="All", trained_stages="all", weight_penalty=1e-4, **TRAINED),
}
PLAN = EvaluationPlan(name="test", evaluations=EVALUATIONS, label_budgets=(BUDGET,), shown=BUDGET, seed=5)


def settings_of(kind: Any, entry: dict[str, Any]) -> Any:
    return TypeAdapter(kind).validate_python(entry)


@dataclass(frozen=True)
class Case:
    """One objective with one encoder on one source; each step is computed once for all checks."""

    windows: Windows
    objective: ObjectiveSettings
    encoder: EncoderSettings

    @cached_property
    def roles(self) -> Roles:
        plan = SplitPlan(name="unseen", split=SPLIT, label_budgets=(BUDGET,), repeats=2, seed=0)
        return assign_roles(self.windows, plan)

    def pretrain(self, compute: ComputeSettings = CPU) -> tuple[EncoderSet, pd.DataFrame]:
        plan = PretrainingPlan(
            name="test",
            objective=self.objective,
            backbone=BackboneSettings(encoder=self.encoder),
            budget=suited(PRETRAINING, self.objective),
            seed=3,
        )
        members = [self.roles.members(repeat, "pretrain") for repeat in range(2)]
        return pretrain(self.windows, members, plan, compute)

    @cached_property
    def pretrained(self) -> tuple[EncoderSet, pd.DataFrame]:
        torch.manual_seed(1)
        return self.pretrain()

    @cached_property
    def evaluated(self) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedHead]]:
        return evaluate(self.windows, self.roles, self.pretrained[0], PLAN, CPU)


def objective_of(name: str) -> ObjectiveSettings:
    settings: ObjectiveSettings = settings_of(ObjectiveSettings, {**OBJECTIVES, **ACROSS}[name])
    return settings


def trains(objective: str, encoder: str) -> bool:
    """Whether the protocol's settings allow the pair."""
    settings = objective_of(objective)
    return settings.refusal(settings_of(EncoderSettings, ENCODERS[encoder])) is None


PAIRS = [(objective, encoder) for objective in OBJECTIVES for encoder in ENCODERS if trains(objective, encoder)]
STEPS = [
    *((objective, encoder) for objective, encoder in PAIRS if OBJECTIVES[objective]["name"] != "untrained"),
    *((objective, "small tpn") for objective in ACROSS),
]
CASES = [
    *(
        (source, objective, encoder)
        for source in SOURCES
        for objective, encoder in PAIRS
        # Modalities are tried with one encoder per objective.
        if source != "two modalities" or encoder == "small tpn" or not trains(objective, "small tpn")
    ),
    *(("two modalities", objective, "small tpn") for objective in ACROSS),
]


def is_slow(objective: str, encoder: str) -> bool:
    """Whether a pair is left to the long tests: the others have every objective and every encoder."""
    return encoder != "small tpn" and objective not in ("untrained", "simclr") and trains(objective, "small tpn")


def marked(values: tuple[Any, ...], slow: bool) -> Any:
    """The parameters of one case, of the long tests or not."""
    name = ", ".join(values[0] if len(values) == 1 else values)
    return pytest.param(*values, marks=[pytest.mark.slow] if slow else [], id=name)


@pytest.fixture(
    scope="module",
    params=[
        # Other sources than the first have every objective, with one encoder.
        marked((one,), is_slow(*one[1:]) or (one[0] == "watch" and one[2] != "small tpn"))
        for one in CASES
    ],
)
def case(request: pytest.FixtureRequest) -> Case:
    """One objective with one encoder on one source; module scope keeps the checks of a case together."""
    source, objective, encoder = request.param
    fixture = {"synthetic": "windows", "watch": "watch_windows", "two modalities": "two_modalities"}[source]
    return Case(
        request.getfixturevalue(fixture),
        objective_of(objective),
        settings_of(EncoderSettings, ENCODERS[encoder]),
    )


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(("objective", "encoder"), [marked(pair, is_slow(*pair)) for pair in STEPS])
def test_without_dropout_a_step_draws_nothing_unseeded(
    windows: Windows, two_modalities: Windows, objective: str, encoder: str, dropout: bool
) -> None:
    """Copies of the encoder, attention and recurrent layers included."""
    windows = two_modalities if objective in ACROSS else windows
    shape = settings_of(EncoderSettings, ENCODERS[encoder])
    torch.manual_seed(0)
    layout = windows.layout
    built = objective_of(objective).build_for(BackboneSettings(encoder=shape).build(layout).by_modality, layout, 3)
    budget = PretrainingBudget(epochs=1, batch_size=64, learning_rate=1e-3, dropout=dropout)
    losses = set()
    for seed in (1, 2):
        trainer = Trainer(deepcopy(built), budget, CPU.resolve(), seed=3)
        torch.manual_seed(seed)
        losses.add(trainer.step(torch.from_numpy(windows.signals[:64])).loss.item())
    drops = any(getattr(module, "p", 0) for module in built.modules() if isinstance(module, torch.nn.Dropout))
    assert len(losses) == (2 if dropout and drops else 1)


class TestContract:
    """All checks of one case, in the order in which its steps are computed."""

    def test_settings_survive_json(self, case: Case) -> None:
        for kind, settings in ((ObjectiveSettings, case.objective), (EncoderSettings, case.encoder)):
            assert isinstance(settings, BaseModel)
            assert TypeAdapter(kind).validate_json(settings.model_dump_json()) == settings

    def test_the_history_has_a_finite_row_per_repeat_and_epoch(self, case: Case) -> None:
        _, history = case.pretrained
        assert list(history.columns) == HISTORY_COLUMNS
        if not case.objective.trains:
            assert history.empty
            return
        assert history[["repeat", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
        assert np.isfinite(history[["loss", "seconds", "windows_per_second"]]).all().all()
        assert history["cluster_nmi"].notna().all() == (getattr(case.objective, "clustering", None) is not None)

    def test_training_changes_every_encoder_and_nothing_else_does(self, case: Case) -> None:
        encoders, _ = case.pretrained
        untrained = Case(case.windows, settings_of(ObjectiveSettings, {"name": "untrained"}), case.encoder)
        start = untrained.pretrained[0]
        numbers = range(len(case.windows.layout.modalities))
        for number in numbers:
            prefix = f"encoders.{number}."
            changed = any(
                not torch.equal(value, start.weights[0][name])
                for name, value in encoders.weights[0].items()
                if name.startswith(prefix)
            )
            assert changed == case.objective.trains

    def test_embeddings_are_finite_and_of_the_declared_width(self, case: Case) -> None:
        backbone = case.pretrained[0].build(1)
        embeddings = embed(backbone, case.windows.signals, CPU.resolve())
        assert embeddings.shape == (len(case.windows.signals), backbone.features)
        assert torch.isfinite(embeddings).all()

    def test_encoders_survive_storage(self, case: Case, tmp_path: Any) -> None:
        encoders, _ = case.pretrained
        write_encoders(encoders, tmp_path / "encoders.safetensors")
        stored = read_encoders(tmp_path / "encoders.safetensors")
        assert (stored.fingerprint, stored.settings, stored.layout) == (
            encoders.fingerprint,
            encoders.settings,
            encoders.layout,
        )
        for before, after in zip(encoders.weights, stored.weights, strict=True):
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)

    def test_the_same_seed_gives_the_same_numbers(self, case: Case) -> None:
        encoders, history = case.pretrained
        before = case.windows.signals.copy()
        torch.manual_seed(99)
        undisturbed = torch.get_rng_state()
        again, repeated = case.pretrain()
        for first, second in zip(encoders.weights, again.weights, strict=True):
            assert all(torch.equal(first[name], second[name]) for name in first)
        pd.testing.assert_series_equal(history["loss"], repeated["loss"])
        assert torch.equal(torch.get_rng_state(), undisturbed), "the caller's random state is left alone"
        np.testing.assert_array_equal(case.windows.signals, before)

    def test_every_evaluation_predicts_every_test_window(self, case: Case) -> None:
        predictions, _, _ = case.evaluated
        assert set(predictions["evaluation"]) == set(EVALUATIONS)
        for (repeat, _), rows in predictions.groupby(["repeat", "evaluation"]):
            np.testing.assert_array_equal(rows["window"], case.roles.members(int(repeat), "test", BUDGET))
            np.testing.assert_array_equal(rows["true"], case.windows.classes()[rows["window"]])
        assert predictions["probability"].between(1 / case.windows.class_count, 1).all()

    def test_learning_curves_have_the_epochs_asked_for(self, case: Case) -> None:
        _, curves, _ = case.evaluated
        assert set(curves["role"]) == {"test", "validation"}
        linear = curves[(curves["evaluation"] == "linear") & (curves["role"] == "test") & (curves["repeat"] == 0)]
        assert linear["epoch"].tolist() == [2, 3], "every second epoch and the last"

    def test_what_is_stored_predicts_what_was_scored(self, case: Case, tmp_path: Any) -> None:
        predictions, _, heads = case.evaluated
        write_heads(heads, tmp_path / "heads.safetensors")
        for head in read_heads(tmp_path / "heads.safetensors"):
            _check_recogniser(case, head, predictions)
            assert head.facts.validation_macro_f1 is not None


def _check_recogniser(case: Case, head: TrainedHead, predictions: pd.DataFrame) -> None:
    facts = head.facts
    scored = predictions[(predictions["repeat"] == facts.repeat) & (predictions["evaluation"] == facts.evaluation)]
    architecture, weights = combine(case.pretrained[0], head, case.windows)
    signals = case.windows.signals[scored["window"]]
    if facts.modalities is not None:
        channels = case.windows.layout.modalities
        signals = np.concatenate([signals[..., channels[name]] for name in facts.modalities], axis=2)
    found = recognise(architecture.build(weights), signals)
    np.testing.assert_allclose(found.max(axis=1), scored["probability"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("modalities", [None, ("gyro",)])
def test_every_head_on_every_choice_of_modalities(
    two_modalities: Windows, head: str, modalities: tuple[str, ...] | None
) -> None:
    """Trained or fitted, what is scored is what is stored, served and exported."""
    case = Case(
        two_modalities,
        settings_of(ObjectiveSettings, OBJECTIVES["simclr"]),
        settings_of(EncoderSettings, ENCODERS["small tpn"]),
    )
    settings = settings_of(HeadSettings, HEADS[head])
    fitted = {} if settings.fitted else TRAINED
    evaluations = {"one": EvaluationSettings(title="One", head=settings, modalities=modalities, **fitted)}
    if not settings.fitted:
        evaluations["tuned"] = evaluations["one"].model_copy(update={"trained_stages": 1})
    plan = PLAN.model_copy(update={"evaluations": evaluations})
    predictions, curves, heads = evaluate(case.windows, case.roles, case.pretrained[0], plan, CPU)
    named = {f"{name}/gyro" if modalities else name for name in evaluations}
    assert {one.facts.evaluation for one in heads} == named
    assert curves["macro_f1"].between(0, 1).all()
    for one in heads:
        assert one.facts.head == settings
        _check_recogniser(case, one, predictions)
