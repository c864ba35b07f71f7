"""Protocols of several data sets and modalities: which rows there are, what they may name, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.framework.startup import bootstrap_project
from pydantic import ValidationError

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import pretrain
from contrastive_har.pipeline_registry import _spells, register_pipelines
from contrastive_har.pipelines.pretraining.nodes import take_encoders
from contrastive_har.pipelines.windowing.nodes import check_methods
from contrastive_har.protocols import (
    IllPosedError,
    ProtocolSettings,
    evaluation_titles,
    refinements,
    require_trainable,
    spells,
    vocabulary_of,
)
from contrastive_har.protocols.methods import trained_once
from contrastive_har.runs.session import RunSession
from contrastive_har.runs.settings import load_configuration
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.sensors import Channel, Layout
from contrastive_har.signals.splits import assign_roles
from contrastive_har.signals.windows import Windows
from tests.learning.examples import TWO, in_modalities
from tests.test_configuration import protocols

ROOT = Path(__file__).parents[1]
CMC: dict[str, Any] = {"name": "contrastive", "across_modalities": True, "views": [[]]}


def row(**settings: Any) -> dict[str, Any]:
    return {"title": "M", "objective": {"name": "contrastive"}, "evaluations": ["linear"], **settings}


def protocol(**change: Any) -> ProtocolSettings:
    settings = {
        "title": "T",
        "repeats": 1,
        "windows": {"length": 64, "stride": 32},
        "label_budgets": ["10 %"],
        "splits": {"p": {"title": "P", "leak_free": False, "held_out": "none", "pretrain_on": "all"}},
        "budget": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1, "keep": "last"},
        "encoder": {"name": "tpn", "channels": [4, 4], "kernels": [5, 3]},
        "compared_with": "m",
        "methods": {"m": row()},
        "evaluations": {"linear": {"title": "L", "head": {"name": "ridge"}}},
    }
    return ProtocolSettings.model_validate({**settings, **change})


def layout(*modalities: str, length: int = 64) -> Layout:
    channels = (Channel(name=f"{name}_1", unit="g", sensor=None, modality=name) for name in modalities)
    return Layout(length=length, channels=tuple(channels))


def namespaces(pipeline: str, dataset: str, monkeypatch: pytest.MonkeyPatch) -> set[Cell]:
    """The cells that a run of a data set has."""
    bootstrap_project(ROOT)
    configuration = load_configuration(ROOT, runtime_params={"dataset": dataset})
    monkeypatch.setattr(RunSession, "configuration", configuration)
    found = (Cell.parse(node.namespace) for node in register_pipelines()[pipeline].nodes)
    return {cell for cell in found if cell is not None}


@pytest.mark.parametrize(
    ("dataset", "splits"),
    [
        ("watch", {"subject_wise"}),
        ("uci_har", {"subject_wise"}),
        ("utd_mhad", {"subject_wise", "published"}),
        ("mmact", {"subject_wise", "published", "cross_session", "cross_scene"}),
    ],
)
def test_a_run_has_the_splits_and_rows_that_are_for_its_data_set(
    dataset: str, splits: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = namespaces("modality_subsets", dataset, monkeypatch)
    assert {cell.split for cell in cells} == splits
    of_all = {"random_init", "hand_features", "minirocket", "accelerometer", "gyroscope", "accelerometer_gyroscope"}
    with_skeletons = {
        *("skeleton", "accelerometer_skeleton", "gyroscope_skeleton"),
        *("three", "three_hard_negatives"),  # the last inherits from another row that it is for these data sets
    }
    methods = of_all | with_skeletons if dataset in ("utd_mhad", "mmact") else of_all
    assert {cell.method for cell in cells} == methods
    settings = protocols("base", dataset)["modality_subsets"]
    assert set(settings.methods_for(dataset)) == methods
    assert {name for name, split in settings.splits.items() if split.is_for(dataset)} == splits


def test_rows_of_other_data_sets_are_neither_checked_nor_needed(windows: Windows) -> None:
    methods = {"m": row(), "other": row(datasets=["elsewhere"], modalities=["skeleton"], objective=CMC)}
    settings = protocol(methods=methods)
    assert list(settings.methods_for("synthetic")) == ["m"]
    assert list(settings.methods_for("elsewhere")) == ["m", "other"]
    roles = assign_roles(windows, settings.split_plan("p", 0))
    assert set(check_methods(windows, roles, settings)) == {"m"}
    here = protocol(methods={"m": row(), "other": row(datasets=["synthetic"], modalities=["skeleton"])})
    with pytest.raises(IllPosedError, match=r"Method 'other' asks for modalities \['skeleton'\] in its modalities"):
        check_methods(windows, roles, here)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"methods": {"m": row(modalities=["hand", "hend"])}},
            r"Method 'm' asks for modalities \['hend'\] in its modalities; the data set has hand, foot\. Correct them",
        ),
        (
            {"methods": {"m": row(encoders={"sceleton": {"name": "tpn"}})}},
            r"'m' asks for modalities \['sceleton'\] in its encoders; the data set has hand, foot",
        ),
        (
            {"encoders": {"sceleton": {"name": "tpn"}}},
            r"\['sceleton'\] in its encoders",
        ),
        (
            {"methods": {"m": row(objective={**CMC, "views": {"sceleton": [[]], "other": [[]]}})}},
            r"\['sceleton'\] in its objective",
        ),
        (
            {"evaluations": {"linear": {"title": "L", "head": {"name": "ridge"}, "modalities": ["foot", "hend"]}}},
            r"\['hend'\] in its evaluation 'linear'",
        ),
        # Known elsewhere is not known here, where it must be.
        ({"methods": {"m": row(modalities=["skeleton"])}}, r"\['skeleton'\] in its modalities"),
    ],
)
def test_modalities_that_no_data_set_has_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(IllPosedError, match=message):
        protocol(**change).require_modalities("m", layout("hand", "foot"))


def test_an_evaluation_needs_an_encoder_for_each_of_its_modalities() -> None:
    ridge = {"title": "L", "head": {"name": "ridge"}, "modalities": ["hand", "foot"]}
    with pytest.raises(ValueError, match=r"'linear' uses modalities \['foot'\], for which method 'm' has no encoder"):
        protocol(methods={"m": row(modalities=["hand", "head"])}, evaluations={"linear": ridge})
    protocol(methods={"m": row(modalities=["foot", "hand"])}, evaluations={"linear": ridge})


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"methods": {"m": row(modalities=["foot"], encoders={"hand": {"name": "tpn"}})}},
        # Of packaged data sets, and of the windows of other data sets in this protocol.
        {"encoders": {"skeleton": {"name": "conv_bins"}}},
        {"methods": {"m": row(objective={**CMC, "views": {"skeleton": [[]], "other": [[]]}})}},
        {
            "windows_of": {"elsewhere": {"modalities": {"left_shoe": ["shoe"]}}},
            "encoders": {"left_shoe": {"name": "conv_bins"}},
        },
        {"evaluations": {"linear": {"title": "L", "head": {"name": "ridge"}, "modalities": "each"}}},
    ],
)
def test_encoders_and_views_may_be_for_other_data_sets(change: dict[str, Any]) -> None:
    protocol(**change).require_modalities("m", layout("hand", "foot"))


def swept(*values: float, **settings: Any) -> dict[str, Any]:
    rows = {
        f"m{index}": row(objective={"name": "contrastive", "negatives": {"concentration": value}, **settings})
        for index, value in enumerate(values)
    }
    return {"methods": rows, "compared_with": "m0", "sweep": "objective.negatives.concentration"}


def test_a_sweep_is_the_value_of_each_row_that_has_the_setting() -> None:
    change = swept(0, 0.5, 4)
    change["methods"]["random"] = row(objective={"name": "untrained"})
    assert protocol(**change).swept() == {"m0": 0.0, "m1": 0.5, "m2": 4.0}
    assert protocol(**{**change, "sweep": "budget.learning_rate", **budgets(0.1, 0.2, 0.2)}).swept() == {
        "m0": 0.1,
        "m1": 0.2,
        "m2": 0.2,
    }
    assert protocol().swept() == {}


def budgets(*rates: float) -> dict[str, Any]:
    return {"methods": {f"m{index}": row(budget={"learning_rate": rate}) for index, rate in enumerate(rates)}}


@pytest.mark.parametrize(
    "sweep",
    [
        "objective.negatives.concentratoin",
        "objective.negatives",
        "objective.negatives.within_views",
        "objective.temperature",
        "title",
        "budget",
        "",
    ],
)
def test_a_sweep_in_which_no_rows_differ_is_refused(sweep: str) -> None:
    with pytest.raises(ValueError, match=f"sweep is '{sweep}', in which no two rows differ"):
        protocol(**{**swept(0, 1), "sweep": sweep})


def test_equal_values_are_no_sweep() -> None:
    with pytest.raises(ValueError, match="no two rows differ"):
        protocol(**swept(1, 1))
    assert protocol(**{**swept(1, 1), "sweep": None}).sweep is None


def test_the_configured_sweep_is_one_of_concentrations() -> None:
    found = protocols("base", "watch")["multimodal_concentration"]
    assert found.swept() == {
        "cmc": 0,
        **{f"concentration_{name}": value for name, value in
           (("025", 0.25), ("05", 0.5), ("1", 1), ("2", 2), ("4", 4), ("8", 8))},
    }  # fmt: skip
    plain = {
        name: ContrastiveSettings.model_validate(method.objective).model_dump()
        for name, method in found.methods.items()
    }
    for settings in plain.values():
        settings["negatives"].pop("concentration")
    assert all(settings == plain["cmc"] for settings in plain.values()), "they differ in nothing else"


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"m": CMC, "simclr": {"name": "contrastive"}, "moco": {"name": "moco"}}, "simclr"),
        ({"m": CMC, "random": {"name": "untrained"}, "moco": {"name": "moco"}}, "moco"),
        ({"m": {"name": "knowledge_mining", "views": [[]]}, "simclr": {"name": "contrastive"}}, "simclr"),
        ({"m": CMC, "cmc": CMC, "random": {"name": "untrained"}}, None),
        ({"m": {"name": "contrastive"}, "moco": {"name": "moco"}}, None),
    ],
)
def test_the_first_method_that_trains_modalities_apart(methods: dict[str, Any], expected: str | None) -> None:
    rows = {name: row(objective=objective) for name, objective in methods.items()}
    assert protocol(methods=rows).trained_apart == expected


def test_the_comparisons_of_the_multimodal_protocol_are_with_simclr() -> None:
    assert protocols("base", "watch")["multimodal"].trained_apart == "simclr"


def test_views_are_gathered_by_modality() -> None:
    noise, scaling = {"name": "noise"}, {"name": "scaling"}
    methods = {
        "m": row(objective={**CMC, "views": {"foot": [[noise]], "other": [[scaling]]}}),
        "n": row(objective={"name": "contrastive", "views": [[noise], [scaling]]}),
        "o": row(objective={"name": "untrained"}),
    }
    plan = protocol(methods=methods).views_plan(1)
    names = {name: [[augment.name for augment in view] for view in plan.of_modality(name)] for name in ("foot", "hand")}
    assert names == {"foot": [["noise"], ["scaling"]], "hand": [["scaling"], ["noise"]]}
    assert set(plan.views) == {"foot", "other"}


def test_modalities_and_encoders_of_a_row_are_those_of_its_backbone() -> None:
    settings = protocol(
        encoders={"foot": {"name": "conv_gru"}},
        normalisation="sensor",
        methods={
            "m": row(),
            "n": row(modalities=["foot"], encoders={"foot": {"name": "tpn"}}, normalisation="channel"),
        },
    )
    first, second = (settings.pretraining_plan(name, 0).backbone for name in ("m", "n"))
    assert (first.of("foot").name, first.of("hand").name, first.modalities) == ("conv_gru", "tpn", None)
    assert (second.of("foot").name, second.modalities, second.normalisation) == ("tpn", ("foot",), "channel")
    refined = refinements(settings, "anywhere")
    assert set(refined) == {"n"}
    assert refined["n"]["normalisation"] == ("sensor", "channel")
    assert refined["n"]["encoders.foot.name"] == ("conv_gru", "tpn")


def test_only_encoders_of_the_chosen_modalities_must_suit_the_windows() -> None:
    """Too long kernels and axes that an encoder cannot embed do not matter where they are not used."""
    long = {"name": "tpn", "channels": [4], "kernels": [100]}
    settings = protocol(
        methods={"m": row(encoders={"foot": long}, modalities=["hand"]), "n": row(encoders={"foot": long})}
    )
    both = layout("hand", "foot")
    settings.require_length("m", both, "d")
    require_trainable(settings.pretraining_plan("m", 0), [100], both, 3)
    with pytest.raises(IllPosedError, match="method 'n', which needs 100"):
        settings.require_length("n", both, "d")
    with pytest.raises(IllPosedError, match="method 'n', which needs 100"):
        require_trainable(settings.pretraining_plan("n", 0), [100], both, 3)


def test_a_single_modality_is_refused_before_anything_is_trained(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    for objective in (CMC, {"name": "knowledge_mining", "views": [[]]}):
        settings = protocol(methods={"m": row(objective=objective)})
        for shown, refused in ((both, False), (windows, True)):
            roles = assign_roles(shown, settings.split_plan("p", 0))
            if not refused:
                assert set(check_methods(shown, roles, settings)) == {"m"}
                continue
            with pytest.raises(IllPosedError, match=r"Method 'm' .*windows have only 'inertial'; declare more"):
                check_methods(shown, roles, settings)
        alone = protocol(methods={"m": row(objective=objective, modalities=["foot"])})
        with pytest.raises(IllPosedError, match="the windows have only 'foot'"):
            check_methods(both, assign_roles(both, alone.split_plan("p", 0)), alone)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (
            {"head": {"name": "label_sequence"}, "learning_rate": 0.1, "epochs": 1, "batch_size": 8},
            "Evaluation 'linear' of method 'm': activities 'sit down' and 'Sit-Down' are both spelled 'sit down'",
        ),
        (
            {
                "head": {"name": "linear"},
                "trained_stages": "all",
                "learning_rate": 0.1,
                "epochs": 1,
                "batch_size": 8,
                "consistency": {"weak": [], "strong": [{"name": "rotation"}]},
            },
            "Evaluation 'linear' of method 'm': rotation needs sensors of three axes, .* Leave this out",
        ),
    ],
)
def test_evaluations_that_do_not_suit_the_data_are_refused_before_anything_is_trained(
    windows: Windows, evaluation: dict[str, Any], message: str
) -> None:
    settings = protocol(evaluations={"linear": {"title": "L", **evaluation}})
    names = {0: "sit down", 1: "Sit-Down", 2: "run"}
    named = windows.description.model_copy(update={"activities": names})
    two_axes = in_modalities(replace(windows, description=named), *TWO)
    with pytest.raises(IllPosedError, match=message):
        check_methods(two_axes, assign_roles(two_axes, settings.split_plan("p", 0)), settings)


def test_last_batches_that_are_left_out_are_not_counted(windows: Windows) -> None:
    clustered = {"name": "contrastive", "clustering": {"name": "kmeans", "clusters": 40}}
    total = len(windows.table)
    assert 0 < total % 64 < 40
    budget = {"epochs": 1, "batch_size": 64, "learning_rate": 0.1, "last_batch": False}
    settings = protocol(methods={"m": row(objective=clustered)}, budget=budget)
    roles = assign_roles(windows, settings.split_plan("p", 0))
    assert check_methods(windows, roles, settings)["m"]["smallest_batch"] == 64
    few = replace(windows, table=windows.table[:30], signals=windows.signals[:30])
    assert np.array_equal(few.table["window"], np.arange(30))
    with pytest.raises(IllPosedError, match="asks for 40 clusters, but the smallest batch of an epoch has 30 windows"):
        require_trainable(settings.pretraining_plan("m", 0), [30], few.layout, 3)


def test_titles_of_evaluations_in_results_have_their_modalities() -> None:
    tables = [pd.DataFrame({"evaluation": names}) for names in (["linear", "linear/foot"], ["linear/hand"])]
    assert evaluation_titles(protocol(), *tables) == {
        "linear": "L, all modalities",
        "linear/foot": "L, foot",
        "linear/hand": "L, hand",
    }


def test_activities_are_spelled_as_the_first_head_that_spells_does() -> None:
    trained = {"title": "E", "learning_rate": 0.1, "epochs": 1, "batch_size": 4}
    spelled = [{"name": "label_sequence", "names": {"walking": name}, "shared": False} for name in ("stroll", "go")]
    evaluations = {
        "linear": {**trained, "head": {"name": "linear"}},
        **{f"spelled_{index}": {**trained, "head": head} for index, head in enumerate(spelled)},
    }
    settings = protocol(evaluations=evaluations)
    assert spells(settings)
    assert vocabulary_of(settings, ["walking", "stroll up"]).names == (("stroll",), ("stroll", "up"))
    assert not spells(protocol())
    assert vocabulary_of(protocol(), ["walking"]).names == (("walking",),)


@pytest.mark.parametrize(("head", "expected"), [({"name": "label_sequence"}, True), ({"name": "linear"}, False)])
def test_the_registry_knows_which_protocols_spell(head: dict[str, Any], expected: bool) -> None:
    assert _spells({"evaluations": {"a": {}, "b": {"head": None}, "c": {"head": head}}}) == expected


@pytest.mark.parametrize("budget", [{"keep": "best_in_second_half"}, {"patience": 3}])
def test_losses_of_a_training_in_two_parts_choose_nothing(budget: dict[str, Any]) -> None:
    rows = {"m": row(objective={"name": "knowledge_mining", "views": [[]]}, budget=budget)}
    with pytest.raises(ValidationError, match=r"'m' has losses of which .* keep: last and patience: null"):
        protocol(methods=rows)


def test_rows_with_the_same_training_are_trained_once() -> None:
    rows = {
        "a": row(),
        "beside": {"base": "a", "beside": [{"name": "hand_features"}]},
        "other_temperature": {"base": "a", "objective": {"temperature": 0.2}},
        "longer": row(budget={"epochs": 2}),
        "judged_otherwise": {"base": "longer", "evaluations": ["ridge"]},
        "untrained": row(objective={"name": "untrained"}),
        "untrained_too": row(objective={"name": "untrained"}),
    }
    assert trained_once(rows) == {"beside": "a", "judged_otherwise": "longer"}
    assert trained_once({name: rows[name] for name in ("untrained", "untrained_too")}) == {}


def test_encoders_that_are_taken_are_those_that_would_have_been_trained(windows: Windows) -> None:
    settings = protocol(
        methods={"m": row(), "beside": {"base": "m", "title": "B", "beside": [{"name": "hand_features"}]}},
        repeats=2,
        encoder={"name": "tpn", "channels": [4, 4], "kernels": [5, 3]},
    )
    roles = assign_roles(windows, settings.split_plan("p", 3))
    members = [roles.members(repeat, "pretrain") for repeat in range(2)]
    cpu = ComputeSettings(device="cpu", precision="float32")
    trained, history = pretrain(windows, members, settings.pretraining_plan("m", 3), cpu)
    plan = settings.pretraining_plan("beside", 3)
    expected, expected_history = pretrain(windows, members, plan, cpu)
    found_history, found = take_encoders(windows, roles, history, trained, plan)
    timed = ["seconds", "windows_per_second"]
    pd.testing.assert_frame_equal(found_history.drop(columns=timed), expected_history.drop(columns=timed))
    for one, other in zip(found.weights, expected.weights, strict=True):
        assert one.keys() == other.keys() > trained.weights[0].keys()
        assert all(one[name].equal(other[name]) for name in one)
    assert found.fingerprint != trained.fingerprint
