"""Settings do what they say: whichever is changed, the result changes.

Numbers, booleans and choices of all objectives, encoders, heads, evaluations, clusterings, augmentations and of the
pre-training budget are changed one at a time. A setting counts if it changes the result of some entry below or of the
contract suite: some matter only with others. Those that change none are listed with the reason in ``WITHOUT_EFFECT``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from contrastive_har.learning.clustering import Clustering
from contrastive_har.learning.evaluation import EvaluationSettings, evaluate
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Augmentation, Draws
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, suited
from tests.learning.test_contract import ACROSS, ENCODERS, HEADS, OBJECTIVES, PLAN, TRAINED, Case, settings_of
from tests.learning.varied import variants

Result = list[np.ndarray]

WITHOUT_EFFECT = {"DBSCAN.clusters": "the number of clusters follows from the data"}
"""Settings that change no result, and why."""


def assert_all_have_effect(
    kind: Any,
    entries: Iterable[BaseModel],
    result: Callable[[Any], Result],
    is_usable: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Check that every setting changes the result of an entry, but for those that are said to change none."""
    seen: dict[str, bool] = {}
    for settings in entries:
        before: Result | None = None
        for name, changed in variants(kind, settings, is_usable):
            if seen.get(name) or _is_tested_alone(kind, name):
                continue
            before = result(settings) if before is None else before
            seen[name] = differs(before, result(changed))
    assert {name for name, has_effect in seen.items() if not has_effect} == seen.keys() & WITHOUT_EFFECT.keys()


def _is_tested_alone(kind: Any, name: str) -> bool:
    """Whether a setting of an objective is one of its augmentations or of its clustering, which have tests below."""
    owner, field = name.split(".")
    parts = {type(one).__name__ for one in ALL_AUGMENTATIONS} | {"KMeans", "Birch", "Agglomerative", "DBSCAN"}
    return kind is ObjectiveSettings and owner in parts and field not in ("clusters", "confidence")


def differs(before: Result, after: Result) -> bool:
    if [one.shape for one in before] != [one.shape for one in after]:
        return True
    return not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(before, after, strict=True))


def arrays(tensors: Iterable[torch.Tensor]) -> Result:
    return [tensor.detach().numpy().copy() for tensor in tensors]


BUDGET = PretrainingBudget(epochs=2, batch_size=24, learning_rate=1e-3)
MEMBERS = [np.arange(64)]


def pretrained(
    windows: Windows,
    objective: ObjectiveSettings,
    encoder: EncoderSettings,
    budget: PretrainingBudget = BUDGET,
) -> Result:
    """Losses and weights: not what the history repeats of the settings, as the learning rate."""
    plan = PretrainingPlan(
        objective=objective, backbone=BackboneSettings(encoder=encoder), budget=suited(budget, objective), seed=3
    )
    encoders, history = pretrain(windows, MEMBERS, plan, CPU)
    return [history["loss"].to_numpy(), *arrays(encoders.weights[0].values())]


TOGETHER = ACROSS["cmc"]
ANNEALED: dict[str, Any] = {"negatives": {"concentration": 0.5, "class_prior": 0.1, "annealing_steps": 4}}
FURTHER: list[dict[str, Any]] = [
    {"name": "contrastive", **ANNEALED},
    {"name": "contrastive", "negatives": {"within_views": False}, "projection_batch_norm": True},
    {"name": "contrastive", "clustering": {"name": "kmeans", "clusters": 5, "confidence": 60}},
    {**TOGETHER, "views": [[{"name": "rotation"}], [{"name": "scaling"}]]},
    {"name": "knowledge_mining", "views": TOGETHER["views"], "guides": ANNEALED},
    {"name": "nnclr", "queue": 10},
    {"name": "ttl", "left_out": 2, "negatives": 3, "margin": 0.1},
    {"name": "swav", "crop_share": 0.75, "prototypes": 7, "frozen": 0.6},
    {"name": "masked_reconstruction", "masked": 0.4, "span": 5},
]
"""Objectives beside those of the contract suite, where others of their settings matter."""

NAMES = {entry["name"] for entry in (*OBJECTIVES.values(), *ACROSS.values()) if entry["name"] != "untrained"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_of_objectives(windows: Windows, two_modalities: Windows, name: str) -> None:
    every = [*OBJECTIVES.values(), *ACROSS.values(), *FURTHER]
    entries = [settings_of(ObjectiveSettings, entry) for entry in every if entry["name"] == name]
    known = [settings_of(EncoderSettings, ENCODERS[one]) for one in ("small tpn", *ENCODERS)]
    encoder = next(one for one in known if entries[0].refusal(one) is None)

    def of(objective: ObjectiveSettings) -> Windows:
        return two_modalities if objective.joins_modalities else windows

    def result(objective: ObjectiveSettings) -> Result:
        return pretrained(of(objective), objective, encoder)

    def is_usable(objective: ObjectiveSettings) -> bool:
        made = of(objective)
        fits = objective.refusal(encoder) is None and objective.shortest_view(made.length) >= encoder.shortest_window
        return fits and objective.problem(16, made.layout, made.class_count) is None

    assert_all_have_effect(ObjectiveSettings, entries, result, is_usable)


def test_of_the_pretraining_budget(windows: Windows) -> None:
    objective = settings_of(ObjectiveSettings, OBJECTIVES["simclr"])
    encoder = settings_of(EncoderSettings, ENCODERS["small tpn"])
    # Losses of high learning rates rise now and then: the last epoch is not the best, and the rate is halved.
    restless = [{"epochs": 6, "patience": 1, "learning_rate": rate} for rate in (0.05, 0.3)]
    entries = [BUDGET, *(BUDGET.model_copy(update=changed) for changed in restless)]
    assert_all_have_effect(PretrainingBudget, entries, lambda one: pretrained(windows, objective, encoder, one))


@pytest.mark.parametrize("name", sorted({entry["name"] for entry in ENCODERS.values()} - {"hand_features"}))
def test_of_encoders(name: str) -> None:
    batch = torch.randn(8, 64, 6, generator=torch.Generator().manual_seed(0))

    def result(settings: Any) -> Result:
        with seeded(1):
            encoder = settings.build(6, 64, ((0, 1, 2), (3, 4, 5)))
            encoder.calibrate(batch)
        with seeded(2):
            trained = encoder.train()(batch)
            auxiliary = encoder.auxiliary_loss(encoder.enter(batch))
        embedded = encoder.eval()(batch)
        return arrays([trained, embedded, *([] if auxiliary is None else [auxiliary]), *encoder.state_dict().values()])

    normalised = [{**ENCODERS[one], "batch_norm": True} for one in ("tst", "tarnet")]
    entries = [settings_of(EncoderSettings, one) for one in (*ENCODERS.values(), *normalised) if one["name"] == name]
    assert_all_have_effect(EncoderSettings, entries, result, lambda one: one.shortest_window <= 64)


@pytest.mark.parametrize("name", sorted({entry["name"] for entry in HEADS.values()}))
def test_of_heads(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(45) % 3
    features = torch.randn(3, 8, generator=generator)[targets] + torch.randn(45, 8, generator=generator)

    names = ["walk up", "walk down", "run up"] if name == "label_sequence" else ["rest", "walk", "run"]

    def result(settings: Any) -> Result:
        with seeded(1):
            head = settings.build_for([5, 3], names)
            head.initialise()
            if settings.fitted:
                head.fit(features, targets)
                return arrays([head(features), *head.state_dict().values()])
            loss = head.train().loss(features, targets)
        return arrays([loss, head.eval()(features), *head.state_dict().values()])

    one_penalty = {"name": "ridge", "penalty": 2.0}
    entries = [settings_of(HeadSettings, one) for one in (*HEADS.values(), one_penalty) if one["name"] == name]
    assert_all_have_effect(HeadSettings, entries, result)


SELF_TRAINED: dict[str, Any] = {
    "head": {"name": "logistic", "inverse_penalty": 0.3},
    "self_training": {"rounds": 2, "first_share": 0.4, "last_share": 0.7},
}


COPIES = {"view": [{"name": "scaling", "deviation": 0.4}], "copies": 2}


def test_of_evaluations(two_modalities: Windows) -> None:
    encoder = settings_of(EncoderSettings, ENCODERS["small tpn"])
    case = Case(two_modalities, settings_of(ObjectiveSettings, OBJECTIVES["untrained"]), encoder)

    def result(settings: EvaluationSettings) -> Result:
        plan = PLAN.model_copy(update={"evaluations": {"one": settings}})
        predictions, curves, heads = evaluate(case.windows, case.roles, case.pretrained[0], plan, CPU)
        scored = [predictions["probability"].to_numpy(float), curves["macro_f1"].to_numpy(float)]
        return [*scored, *(array for head in heads for array in arrays(head.weights.values()))]

    tuned = {**TRAINED, "trained_stages": 1, "weight_penalty": 1e-2}
    entries = [
        {"learning_rate": 0.1, "epochs": 3, "batch_size": 16, "test_every": 2, "most_labels": 1000},
        tuned,
        {**tuned, "epochs": None, "steps": 5},
        {**tuned, "trained_stages": "all"},
        {**tuned, "largest_share": 0.1, "least_steps": 90},
        {
            **tuned,
            "trained_stages": "all",
            "consistency": {
                "weak": [{"name": "noise", "deviation": 0.3}],
                "strong": [{"name": "negation"}],
                "threshold": 0.35,
                "windows": 2,
            },
        },
        SELF_TRAINED,
        {
            **SELF_TRAINED,
            "self_training": {**SELF_TRAINED["self_training"], "balance": "recognised", "averaged": False},
        },
        {**tuned, "self_training": SELF_TRAINED["self_training"]},
        {**tuned, "trained_stages": 0, "self_training": SELF_TRAINED["self_training"]},
        {**SELF_TRAINED, "augmented": COPIES},
        {**tuned, "augmented": COPIES},
        {**tuned, "trained_stages": 0, "augmented": COPIES},
    ]
    of_entries = [EvaluationSettings(title="One", **entry) for entry in entries]
    assert_all_have_effect(EvaluationSettings, of_entries, result)


@pytest.mark.parametrize("name", ["kmeans", "birch", "agglomerative", "dbscan"])
def test_of_clusterings(name: str) -> None:
    """On points without clusters, where every choice matters."""
    points = torch.rand(2, 120, 3, generator=torch.Generator().manual_seed(0))

    def result(settings: Any) -> Result:
        generator = torch.Generator().manual_seed(1)
        return arrays([settings(points, settings.clusters or 9, generator)])

    base: dict[str, Any] = {"name": name, "clusters": 9}
    sized: dict[str, Any] = {"radius": 0.12, "neighbours": 4} if name == "dbscan" else {}
    entries = [{**base, **sized}, {**base, **sized, "confidence": 60}]
    if name == "kmeans":
        entries.append({**base, "restarts": 1, "trial_iterations": 1, "iterations": 1})
    of_entries = [settings_of(Clustering, entry) for entry in entries]
    assert_all_have_effect(Clustering, of_entries, result)


@pytest.mark.parametrize("augmentation", ALL_AUGMENTATIONS, ids=lambda one: one.name)
def test_of_augmentations(two_modalities: Windows, augmentation: Augmentation) -> None:
    layout = two_modalities.layout
    if augmentation.problem(layout):
        pytest.skip("moves joints: tests/signals/test_skeletons.py")
    batch = torch.from_numpy(two_modalities.signals[:20])

    def result(settings: Any) -> Result:
        return arrays([settings(batch, Draws(torch.Generator().manual_seed(0)), layout)])

    entries = [augmentation, augmentation.model_copy(update={"probability": 0.4})]
    assert_all_have_effect(Augmentation, entries, result, lambda one: one.problem(layout) is None)
