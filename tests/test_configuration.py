"""The configuration as shipped: valid for every data set, at both budgets, and fit for what it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kedro.framework.startup import bootstrap_project

from contrastive_har.protocols import MethodSettings, ProtocolSettings, require_evaluable, require_trainable
from contrastive_har.refining import is_protocol
from contrastive_har.runs.settings import load_configuration
from contrastive_har.scores.comparisons import least_repeats
from contrastive_har.scores.statistics import read_published
from contrastive_har.signals.budgets import parse_budget
from contrastive_har.signals.cutting import _as_chosen, cut_windows
from contrastive_har.signals.splits import assign_roles
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from contrastive_har.sources import IngestionSettings, describe_source, open_source, source_names

ROOT = Path(__file__).parents[1]


def protocols(env: str, dataset: str) -> dict[str, ProtocolSettings]:
    bootstrap_project(ROOT)
    loader = load_configuration(ROOT, default_run_env=env, runtime_params={"dataset": dataset})
    found = {name: value for name, value in loader["parameters"].items() if is_protocol(value)}
    return {name: ProtocolSettings.model_validate(value) for name, value in found.items()}


@pytest.mark.parametrize("dataset", source_names())
def test_every_protocol_is_valid_at_both_budgets(dataset: str) -> None:
    small, published = protocols("base", dataset), protocols("paper", dataset)
    assert set(small) == set(published)
    for name, protocol in published.items():
        if "2203.12230" not in protocol.url:
            assert protocol.repeats >= 5
            continue
        assert protocol.repeats == 10
        assert protocol.repeats >= least_repeats(len(protocol.methods) - 1, 0.05), "a test could tell methods apart"
        assert protocol.budget.epochs == 200
        assert protocol.budget.batch_size == 1024
        if name != "ablation_budget":
            assert {row.budget for row in protocol.methods.values()} == {protocol.budget}
        assert small[name].repeats <= 2
        assert list(protocol.methods) == list(small[name].methods)


def test_texts_are_written_in_utf_8() -> None:
    """By a data set of this project: Kedro's writes them in the encoding of the locale."""
    entries = (ROOT / "conf/base/catalog.yml").read_text(encoding="utf-8").splitlines()
    texts = [line.strip() for line in entries if "TextDataset" in line]
    assert texts
    assert set(texts) == {"dataset: contrastive_har.catalog.TextDataset"}


@pytest.mark.parametrize("env", ["base", "methods"])
def test_few_labels_do_not_mean_few_steps(env: str) -> None:
    """An epoch of few labels may be a single step: heads that are trained by gradient have a least number of steps."""
    for name, protocol in protocols(env, "uci_har").items():
        for evaluation, settings in protocol.evaluations.items():
            one_step_an_epoch = settings.epochs or 0
            assert settings.head.fitted or max(settings.steps or 0, settings.least_steps, one_step_an_epoch) >= 100, (
                name,
                evaluation,
            )


def test_every_published_number_is_of_a_configured_cell() -> None:
    """One whose row is misspelt would never be shown."""
    for dataset, cells in read_published().groupby("dataset"):
        configured = protocols("paper", str(dataset))
        for cell in cells.itertuples():
            protocol = configured[str(cell.protocol)]
            evaluation = str(cell.evaluation).split("/")[0]
            assert protocol.splits[str(cell.split)].is_for(str(dataset)), cell
            assert evaluation in protocol.methods_for(str(dataset))[str(cell.method)].evaluations, cell
            budget = parse_budget(str(cell.label_budget))
            assert budget in protocol.label_budgets, cell
            assert protocol.evaluations[evaluation].is_for(budget), cell


def test_further_methods_are_further_rows() -> None:
    """Of the same protocol: the same splits, label budgets, encoder and pre-training budget."""
    small, further = (protocols(env, "uci_har")["semi_supervised"] for env in ("base", "methods"))
    added = set(further.methods) - set(small.methods)
    variants = {"clusterclhar_strong_neighbours": "clusterclhar_strong", "ours_neighbours": "ours"}
    unlike = {"supcon", "fixmatch", "multirocket_hydra", "quant", *variants}  # not pre-trained, or not new
    assert added - unlike == {
        "byol", "simsiam", "msf", "ttl", "swav", "vicreg", "ts2vec", "masked_autoencoding", "hard_negatives"
    }  # fmt: skip
    for name, origin in variants.items():
        row, like = further.methods[name], further.methods[origin]
        assert row.objective.model_copy(update={"neighbours": 0}) == like.objective
        assert (row.backbone, row.budget) == (like.backbone, like.budget)
    assert list(further.methods)[: len(small.methods)] == list(small.methods)
    assert further.budget == small.budget
    assert further.splits == small.splits
    for name in added - unlike:
        row = further.methods[name]
        assert row.budget.model_copy(update={"keep": small.budget.keep, "batch_size": 250}) == small.budget
        assert row.evaluations == ("linear", "knn", "fine_tuning")
        assert (row.encoder == small.encoder) == (name not in ("ts2vec", "masked_autoencoding"))


@pytest.mark.parametrize("dataset", source_names())
def test_two_readings_of_the_same_files_share_a_folder(dataset: str) -> None:
    bootstrap_project(ROOT)
    loader = load_configuration(ROOT, default_run_env="base", runtime_params={"dataset": dataset})
    shared = {
        "motion_sense_user_acceleration": "motion_sense",
        "wisdm_watch": "wisdm",
        "wisdm_phone": "wisdm",
        "har70plus": "harth",
    }
    assert loader["catalog"]["raw_files"]["filepath"] == f"data/01_raw/{shared.get(dataset, dataset)}"


def pretrains(row: MethodSettings) -> bool:
    return row.objective.name != "untrained"


def clustering(protocol: ProtocolSettings, method: str) -> str:
    return str(protocol.methods[method].objective.clustering.name)  # type: ignore[union-attr]


def test_the_published_clustering_is_birch_on_uci_har() -> None:
    for dataset, algorithm in (("uci_har", "birch"), ("usc_had", "kmeans")):
        published = protocols("paper", dataset)
        for name in ("semi_supervised", "self_supervised"):
            assert clustering(published[name], "clusterclhar") == algorithm
        for name in ("ablation_clusters", "ablation_confidence"):
            clustered = {row.objective.clustering for row in published[name].methods.values() if pretrains(row)}
            assert {settings.name for settings in clustered} == {algorithm}
        assert clustering(published["semi_supervised"], "clusterclhar_strong") == "kmeans"
    assert clustering(protocols("base", "uci_har")["semi_supervised"], "clusterclhar") == "kmeans"


def test_the_authors_groups() -> None:
    """arXiv 2203.12230: ten groups of test subjects; USC-HAD has fixed ones, with fixed subjects for validation."""
    split = protocols("base", "uci_har")["self_supervised"].splits["groups"]
    assert split.held_out == "subject"
    for dataset, count in (("uci_har", 30), ("motion_sense", 24)):
        groups = split.test_groups[dataset]
        assert len(groups) == 10
        everybody = sorted(str(number) for number in range(1, count + 1))
        for half in (groups[:5], groups[5:]):
            assert sorted(subject for group in half for subject in group) == everybody, "each is tested once in five"
    assert (split.test_groups["usc_had"], split.validation_groups["usc_had"]) == ((("13", "14"),), (("11", "12"),))


@pytest.fixture(scope="module", params=["uci_har", "watch"])
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("packaged") / "windows.parquet"
    recordings = open_source(path.parent, IngestionSettings(dataset=request.param))
    protocol = protocols("base", request.param)["semi_supervised"]
    write_windows(cut_windows(recordings, protocol.windows_for(request.param)), path)
    return read_windows(path)


def test_every_method_can_learn_from_the_bundled_data(packaged: Windows) -> None:
    """A last batch that is too small to be clustered must not greet whoever tries the other data set."""
    half = {"label_budgets": (parse_budget("50 %"),)}
    further = protocols("methods", packaged.description.name)["semi_supervised"]
    for protocol in (*protocols("base", packaged.description.name).values(), further):
        dataset, cut = packaged.description.name, protocol.windows_for(packaged.description.name)
        if cut.modalities:
            packaged = replace(packaged, description=packaged.description.regrouped(cut.modalities))
        splits = [name for name, split in protocol.splits.items() if split.is_for(dataset)]
        roles = [assign_roles(packaged, protocol.split_plan(split, 2026).model_copy(update=half)) for split in splits]
        counts = [len(one.members(repeat, "pretrain")) for one in roles for repeat in range(protocol.repeats)]
        for method in protocol.methods_for(dataset):
            protocol.require_modalities(method, packaged.layout)
            protocol.require_length(method, packaged.layout, dataset)
            plan = protocol.pretraining_plan(method, 2026)
            require_trainable(plan, counts, packaged.layout, packaged.class_count)


@pytest.mark.parametrize("dataset", sorted(set(source_names()) - {"my_data"}))
def test_heads_and_views_suit_every_data_set(dataset: str) -> None:
    """Those of rows whose encoders suit it; a row that does not would stop the others."""
    for protocol in protocols("base", dataset).values():
        chosen = _as_chosen(describe_source(dataset), protocol.windows_for(dataset))
        length, _ = protocol.windows_for(dataset).in_samples(chosen.sampling_rate_hz)
        layout = chosen.layout(length)
        for method in protocol.methods_for(dataset):
            own = protocol.pretraining_plan(method, 0).backbone.modalities or tuple(layout.modalities)
            if set(own) <= set(layout.modalities):
                require_evaluable(protocol.evaluation_plan(method, 0), layout, own, chosen.class_names)


@pytest.mark.parametrize("env", ["base", "paper", "methods"])
def test_fixed_features_stand_in_every_protocol(env: str) -> None:
    for name, protocol in protocols(env, "uci_har").items():
        if protocol.sweep:
            continue  # its rows are values of one setting
        encoders = {row.encoder.name for row in protocol.methods.values()}
        assert {"hand_features", "minirocket"} <= encoders, name
