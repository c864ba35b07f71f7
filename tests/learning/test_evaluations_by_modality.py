"""Evaluations of all modalities, of each and of every combination."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.learning import evaluation
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate, frozen
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet, embed
from contrastive_har.models.backbone import Backbone, TrainedStages
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, SMALL, THREE, TWO, in_modalities

SPLIT = SplitSettings(title="Unseen", leak_free=True, held_out="subject", pretrain_on="train")
BUDGETS = tuple(LabelBudget.model_validate(name) for name in ("10 %", "30 %", "2 per class"))
RIDGE: dict[str, Any] = {"title": "Ridge", "head": {"name": "ridge"}}
LINEAR: dict[str, Any] = {"title": "Linear", "learning_rate": 0.1, "epochs": 2, "batch_size": 16}
LATE: dict[str, Any] = {"title": "Late", "head": {"name": "late_fusion", "head": {"name": "logistic"}}}
TUNED: dict[str, Any] = {**LINEAR, "head": {"name": "late_fusion"}, "trained_stages": "all"}


def settings(entry: dict[str, Any], **changes: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate({**entry, **changes})


def encoders_of(windows: Windows, modalities: tuple[str, ...] | None = None, repeats: int = 2) -> EncoderSet:
    chosen = BackboneSettings(encoder=SMALL.encoder, modalities=modalities)
    part = windows.only(modalities)
    statistics = Normalisation.of(part.signals)
    torch.manual_seed(0)
    made = []
    for _ in range(repeats):
        backbone = chosen.build(part.layout)
        backbone.set_normalisation(torch.from_numpy(statistics.mean), torch.from_numpy(statistics.deviation))
        made.append(backbone.state_dict())
    return EncoderSet(chosen, part.layout, "fingerprint", tuple(made))


def roles_of(windows: Windows) -> Roles:
    return assign_roles(windows, SplitPlan(name="s", split=SPLIT, label_budgets=BUDGETS, repeats=2, seed=0))


def thinned(windows: Windows, *names: str) -> Windows:
    """A third of the windows, which is enough to tell modalities apart."""
    several = in_modalities(windows, *names)
    table = several.table.iloc[::3].reset_index(drop=True)
    return replace(several, table=table.assign(window=table.index), signals=several.signals[::3])


def judge(
    windows: Windows, encoders: EncoderSet, **evaluations: EvaluationSettings
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedHead]]:
    plan = EvaluationPlan(evaluations=evaluations, label_budgets=BUDGETS, shown=BUDGETS[0], seed=1)
    return evaluate(windows, roles_of(windows), encoders, plan, CPU)


def expanded(modalities: Any, trained: tuple[str, ...], known: tuple[str, ...]) -> dict[str, Any]:
    found = settings(RIDGE, modalities=modalities).expand("ridge", trained, known)
    return {name: one.modalities for name, one in found.items()}


ABC = ("a", "b", "c")


@pytest.mark.parametrize(
    ("modalities", "trained", "known", "expected"),
    [
        (None, ABC, ABC, {"ridge": None}),
        (None, ("a", "c"), ABC, {"ridge/a-and-c": None}),
        ("each", ABC, ABC, {"ridge": None, "ridge/a": ("a",), "ridge/b": ("b",), "ridge/c": ("c",)}),
        ("each", ("a", "b"), ABC, {"ridge/a-and-b": None, "ridge/a": ("a",), "ridge/b": ("b",)}),
        ("each", ("b",), ABC, {"ridge/b": None}),
        ("each", ("a",), ("a",), {"ridge": None}),
        ("subsets", ("a",), ("a",), {"ridge": None}),
        ("subsets", ("a", "b"), ABC, {"ridge/a-and-b": None, "ridge/a": ("a",), "ridge/b": ("b",)}),
        (("b",), ABC, ABC, {"ridge/b": ("b",)}),
        (("b", "a", "a"), ABC, ABC, {"ridge/a-and-b": ("a", "b")}),
        (("b", "x"), ABC, ABC, {"ridge/b-and-x": ("b", "x")}),
    ],
)
def test_names_say_which_modalities_are_used(
    modalities: Any, trained: tuple[str, ...], known: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert expanded(modalities, trained, known) == expected


def test_subsets_are_all_combinations_the_largest_first() -> None:
    found = expanded("subsets", ABC, ABC)
    assert found.pop("ridge") is None
    assert list(found.values()) == [some for size in (2, 1) for some in combinations(ABC, size)]
    assert list(found) == ["ridge/a-and-b", "ridge/a-and-c", "ridge/b-and-c", "ridge/a", "ridge/b", "ridge/c"]
    assert len(expanded("subsets", (*ABC, "d"), (*ABC, "d"))) == 2**4 - 1


@pytest.mark.parametrize("entry", [RIDGE, LINEAR, LATE, TUNED], ids=lambda entry: str(entry["title"]))
def test_each_modality_is_scored_as_if_it_were_asked_for_alone(windows: Windows, entry: dict[str, Any]) -> None:
    both = thinned(windows, *TWO)
    encoders = encoders_of(both)
    predictions, curves, heads = judge(both, encoders, e=settings(entry, modalities="each"))
    names = ["e", "e/hand", "e/foot"]
    assert list(dict.fromkeys(predictions["evaluation"])) == names
    assert set(curves["evaluation"]) == set(names)
    assert len(heads) == len(names) * len(BUDGETS) * 2
    for head in heads:
        _, _, modality = head.facts.evaluation.partition("/")
        assert head.facts.modalities == ((modality,) if modality else None)
    for modalities in (None, ("hand",), ("foot",)):
        name = "e" if modalities is None else f"e/{modalities[0]}"
        alone, _, _ = judge(both, encoders, e=settings(entry, modalities=modalities))
        part = predictions[predictions["evaluation"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone, check_exact=False)
    of = {name: predictions.loc[predictions["evaluation"] == name, "probability"].to_numpy() for name in names}
    assert not np.allclose(of["e/hand"], of["e/foot"])


def test_encoders_of_some_modalities_are_scored_by_their_names(windows: Windows) -> None:
    """Windows may have more than was trained."""
    several = thinned(windows, *THREE)
    encoders = encoders_of(several, ("hand", "head"))
    names = ["e/hand-and-head", "e/hand", "e/head"]
    predictions, _, heads = judge(several, encoders, e=settings(RIDGE, modalities="subsets"))
    assert list(dict.fromkeys(predictions["evaluation"])) == names
    assert {head.facts.modalities for head in heads} == {None, ("hand",), ("head",)}
    part = several.only(["hand", "head"])
    alone, _, _ = judge(part, encoders_of(part), e=settings(RIDGE, modalities="subsets"))
    expected = alone.assign(evaluation=alone["evaluation"].replace({"e": names[0]}))
    pd.testing.assert_frame_equal(predictions, expected)


def test_an_evaluation_stops_at_its_most_labels(windows: Windows) -> None:
    both = thinned(windows, *TWO)
    roles, encoders = roles_of(both), encoders_of(both)
    counts = {
        budget.name: max(len(roles.members(repeat, "train", budget)) for repeat in range(2)) for budget in BUDGETS
    }
    assert counts["2 per class"] == 6 < counts["10 %"] < counts["30 %"]
    for most, expected in (
        (counts["10 %"], {"2 per class", "10 %"}),
        (counts["10 %"] - 1, {"2 per class"}),
        (5, set()),
        (None, set(counts)),
    ):
        predictions, curves, heads = judge(both, encoders, e=settings(RIDGE, most_labels=most))
        assert set(predictions["label_budget"]) == set(curves["label_budget"]) == expected
        assert {head.facts.label_budget for head in heads} == expected
    limited = {"a": settings(LINEAR, most_labels=5), "b": settings(LINEAR, label_budgets=("10 %",), most_labels=6)}
    assert judge(both, encoders, **limited)[0].empty


def test_late_fusion_averages_the_probabilities_of_its_modalities(windows: Windows) -> None:
    """Of heads that are fitted to each modality alone."""
    both = thinned(windows, *TWO)
    encoders = encoders_of(both, repeats=1)
    roles = assign_roles(both, SplitPlan(name="s", split=SPLIT, label_budgets=BUDGETS, repeats=1, seed=0))
    logistic = settings({"title": "Logistic", "head": {"name": "logistic"}}, modalities="each")
    plan = EvaluationPlan(
        evaluations={"late": settings(LATE), "e": logistic}, label_budgets=BUDGETS[:1], shown=BUDGETS[0], seed=1
    )
    predictions, _, heads = evaluate(both, roles, encoders, plan, CPU)
    late = predictions[predictions["evaluation"] == "late"]
    embeddings = embed(encoders.build(0), both.signals[late["window"]], CPU.resolve())
    by_name = {head.facts.evaluation: head.weights for head in heads}
    chances = []
    for name, part in zip(("e/hand", "e/foot"), embeddings.split(encoders.build(0).widths, dim=1), strict=True):
        weights = by_name[name]
        chances.append((part @ weights["head.weight"] + weights["head.bias"]).softmax(1))
    mean = torch.stack(chances).mean(0)
    np.testing.assert_allclose(late["probability"], mean.max(1).values, atol=1e-4)
    np.testing.assert_array_equal(late["predicted"], mean.argmax(1))
    whole = predictions.loc[predictions["evaluation"] == "e", "probability"]
    assert not np.allclose(whole, late["probability"], atol=1e-3), "early fusion is something else"


@pytest.mark.parametrize("memory", [2**28, 0])
def test_frozen_stages_run_once_for_all_evaluations(
    windows: Windows, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = thinned(windows, *TWO)
    encoders = encoders_of(several)
    evaluations = {
        "ridge": settings(RIDGE, modalities="each"),
        "late": settings(LATE, modalities="each"),
        "frozen": settings(LINEAR, head={"name": "mlp", "hidden": [4]}),
        "tuned": settings(TUNED),
    }
    expected, _, _ = judge(several, encoders, **evaluations)
    begun: list[tuple[tuple[str, ...], object]] = []
    begin = Backbone.begin

    def count(backbone: Backbone, part: torch.Tensor, trained: TrainedStages) -> dict[str, torch.Tensor]:
        begun.append((tuple(backbone.channels), trained))
        return begin(backbone, part, trained)

    monkeypatch.setattr(Backbone, "begin", count)
    monkeypatch.setattr(evaluation, "AT_ONCE", memory)
    monkeypatch.setattr(frozen, "AT_ONCE", memory)
    found, _, _ = judge(several, encoders, **evaluations)
    pd.testing.assert_frame_equal(found, expected, check_exact=bool(memory), atol=1e-4)
    batches = -(-len(several.signals) // CPU.inference_batch)
    if memory:
        each = [((modality,), trained) for trained in (0, "all") for modality in several.layout.modalities]
        assert sorted(begun, key=str) == sorted(each * 2 * batches, key=str), "once per repeat and modality"
    else:
        assert len(begun) > 4 * batches, "nothing is kept"


def test_augmented_copies_do_not_depend_on_what_is_kept(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    several = thinned(windows, *TWO)
    encoders = encoders_of(several)
    copies = {"view": [{"name": "scaling"}], "copies": 1}
    evaluations = {"ridge": settings(RIDGE, modalities="each", augmented=copies)}
    expected, _, _ = judge(several, encoders, **evaluations)
    alone, _, _ = judge(several, encoders, ridge=settings(RIDGE, modalities=["foot"], augmented=copies))
    pd.testing.assert_frame_equal(alone, expected[expected["evaluation"] == "ridge/foot"].reset_index(drop=True))
    monkeypatch.setattr(evaluation, "AT_ONCE", 0)
    found, _, _ = judge(several, encoders, **evaluations)
    pd.testing.assert_frame_equal(found, expected)
    plain, _, _ = judge(several, encoders, ridge=settings(RIDGE, modalities="each"))
    assert not np.allclose(plain["probability"], expected["probability"], atol=1e-3)


def test_activations_are_kept_as_long_as_they_are_few(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings, of which no stage is trained, always are."""
    several = thinned(windows, *TWO)
    backbone = encoders_of(several).build(0)
    signals, used = several.only(backbone.channels).signals, torch.arange(10)
    kept = frozen.run_frozen(backbone, 1, signals, used, CPU.resolve())
    values = sum(one.values.numel() for one in kept.values() if isinstance(one, frozen.Kept))
    for most, kind in ((values, frozen.Kept), (values - 1, frozen.OnDemand)):
        monkeypatch.setattr(frozen, "AT_ONCE", most)
        found = frozen.run_frozen(backbone, 1, signals, used, CPU.resolve())
        assert {type(one) for one in found.values()} == {kind}
        for name, one in found.items():
            torch.testing.assert_close(one[used[3:5]], kept[name][used[3:5]])
    monkeypatch.setattr(frozen, "AT_ONCE", 0)
    embedded = frozen.run_frozen(backbone, 0, signals, used, CPU.resolve())
    assert {type(one) for one in embedded.values()} == {frozen.Kept}


def test_frozen_stages_see_the_windows_of_the_heads_only(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    several = thinned(windows, *TWO)
    encoders = encoders_of(several)
    evaluations = {"ridge": settings(RIDGE), "linear": settings(LINEAR), "late": settings(LATE)}
    few = LabelBudget.model_validate("10 %")
    roles = roles_of(several)
    of_heads = [
        {window for role in ("train", "validation", "test") for window in roles.members(repeat, role, few)}
        for repeat in range(2)
    ]
    assert all(len(used) < len(several.signals) for used in of_heads)
    begun: dict[str, list[torch.Tensor]] = {modality: [] for modality in several.layout.modalities}
    begin = Backbone.begin

    def record(backbone: Backbone, part: torch.Tensor, trained: TrainedStages) -> dict[str, torch.Tensor]:
        (modality,) = backbone.channels
        begun[modality].append(part)
        return begin(backbone, part, trained)

    monkeypatch.setattr(Backbone, "begin", record)
    plan = EvaluationPlan(name="t", evaluations=evaluations, label_budgets=(few,), shown=few, seed=0)
    found, curves, _ = evaluate(several, roles, encoders, plan, CPU)
    for modality, parts in begun.items():
        for part, used in zip(parts, of_heads, strict=True):
            np.testing.assert_array_equal(part.numpy(), several.only([modality]).signals[sorted(used)])
    monkeypatch.setattr(evaluation._Evaluator, "_used", lambda *_: np.arange(len(several.signals)))
    expected, expected_curves, _ = evaluate(several, roles, encoders, plan, CPU)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    pd.testing.assert_frame_equal(curves, expected_curves, rtol=1e-4)


def test_kept_activations_are_those_of_the_used_windows_only() -> None:
    values, used = torch.arange(6.0).reshape(3, 2), torch.tensor([1, 4, 5])
    kept = frozen.Kept(values, used, 7)
    assert kept.values.data_ptr() == values.data_ptr()
    torch.testing.assert_close(kept[torch.tensor([5, 1])], values[[2, 0]])
    with pytest.raises(IndexError):
        kept[torch.tensor([0])]
    everything = kept.of_all()
    torch.testing.assert_close(everything[used], values)
    assert everything[[0, 2, 3, 6]].isnan().all()
    assert frozen.Kept(values, torch.arange(3), 3).of_all() is values
