"""What is computed again when something changes: all that depends on it, and nothing else.

Fingerprints say it without computing anything; resumed runs show that fingerprints are what a run goes by.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.startup import bootstrap_project
from kedro.pipeline.node import Node

from contrastive_har.catalog import AtomicDataset
from contrastive_har.pipeline_registry import register_pipelines
from contrastive_har.pipelines.ingestion import pipeline as ingestion
from contrastive_har.runs.lineage import Origins, fingerprint_nodes
from contrastive_har.runs.manifest import Manifest, Manifests, manifests_of
from contrastive_har.runs.provenance import ProvenanceError
from contrastive_har.runs.session import RunSession
from tests.pipelines.conftest import FEW, Project, make_project

MAIN = "semi_supervised"
SPLITS = ("paper", "subject_wise")
PREVIEW = f"{MAIN}.preview_views"
SPLIT_NODES = ("assign_roles", "audit_leakage")
JUDGING = ("evaluate_encoders", "score_predictions")
CELL_NODES = ("pretrain_encoders", *JUDGING, "embed_test_windows")
TOGETHER = {f"{MAIN}.combine_scores", *(f"{MAIN}.{name}_recogniser" for name in ("choose", "register"))}
"""Nodes that take the results of every cell."""
ROWS = ("random_init", "supervised", "simclr", "clusterclhar", "simclr_strong", "clusterclhar_strong")
"""Of a project that is only looked at; the last one is based on the one before."""


class Lineage:
    """The nodes of a project's main job with their fingerprints, as configured and without running anything."""

    def __init__(self, project: Project, **change: Any) -> None:
        local = project.path / "conf/local/parameters.yml"
        local.write_text(yaml.safe_dump(change))
        try:
            with contextlib.chdir(project.path):
                bootstrap_project(project.path)
                with RunSession.create(project.path, runtime_params=project.tiny) as session:
                    catalog = session.load_context().catalog
                    pipeline = register_pipelines()[MAIN]
                    found = list(fingerprint_nodes(pipeline, catalog, Origins(manifests_of(catalog))))
                    stored = {node.name: all(_is_stored(catalog, name) for name in node.outputs) for node, *_ in found}
        finally:
            local.unlink()
        self.nodes: dict[str, Node] = {node.name: node for node, *_ in found}
        self.fingerprints = {node.name: record.fingerprint for node, record in found}
        self.always_run = {name for name, finishes in stored.items() if not finishes}

    def stage(self, name: str) -> set[str]:
        return {node.name for node in self.nodes.values() if name in node.tags}

    @property
    def checks(self) -> set[str]:
        """The nodes that check every method before any is trained, and so depend on all of the protocol."""
        return {name for name in self.nodes if name.endswith(".check_methods")}

    @property
    def methods(self) -> set[str]:
        return {name.split(".")[2] for name in self.stage("pretraining")}

    def changed(self, before: Lineage) -> set[str]:
        """Return what has another fingerprint than before, or none before; but for reporting, which shows it all."""
        changed = {name for name, own in self.fingerprints.items() if before.fingerprints.get(name) != own}
        assert self.stage("reporting") & changed >= {f"{MAIN}.{name}" for name in ("write_html", "write_markdown")}
        return changed - self.stage("reporting")


def _is_stored(catalog: Any, name: str) -> bool:
    return isinstance(catalog.get(name), AtomicDataset)


def cells(*methods: str, splits: tuple[str, ...] = SPLITS, nodes: tuple[str, ...] = CELL_NODES) -> set[str]:
    return {f"{MAIN}.{split}.{method}.{node}" for split in splits for method in methods for node in nodes}


def change_of(method: str, **settings: Any) -> dict[str, Any]:
    return {MAIN: {"methods": {method: settings}}}


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which nothing has run: fingerprints do not need it."""
    return make_project(tmp_path_factory.mktemp("looked_at"), ROWS)


@pytest.fixture(scope="module")
def before(looked_at: Project) -> Lineage:
    return Lineage(looked_at)


def test_nothing_changes_by_itself(looked_at: Project, before: Lineage) -> None:
    again = Lineage(looked_at)
    assert again.fingerprints == before.fingerprints
    assert before.always_run == {
        *(f"{MAIN}.{name}" for name in ("register_recogniser", "gather_facts", "gather_runs")),
        *cells(*before.methods, nodes=("describe_runs",)),
    }


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change_of("simclr", title="Renamed"), id="a row's title"),
        pytest.param(
            change_of("simclr", description="Explained in other words."), id="a row's description", marks=SLOW
        ),
        pytest.param(
            {MAIN: {"title": "Renamed", "citation": "Somebody", "url": "https://example.org"}},
            id="the protocol's words",
            marks=SLOW,
        ),
        pytest.param({MAIN: {"splits": {"paper": {"title": "Renamed"}}}}, id="a split's title", marks=SLOW),
        pytest.param(
            {MAIN: {"evaluations": {"linear": {"title": "Renamed", "description": "Explained in other words."}}}},
            id="an evaluation's",
            marks=SLOW,
        ),
        pytest.param({MAIN: {"compared_with": "simclr"}}, id="tests"),
    ],
)
def test_words_change_the_report_only(looked_at: Project, before: Lineage, change: dict[str, Any]) -> None:
    allowed = before.checks if "compared_with" in change[MAIN] else set()
    assert Lineage(looked_at, **change).changed(before) <= allowed


def test_a_new_row_is_all_that_is_trained(looked_at: Project, before: Lineage) -> None:
    row = {"base": "simclr", "title": "Mine", "objective": {"temperature": 0.5}}
    after = Lineage(looked_at, **change_of("mine", **row))
    assert after.changed(before) == cells("mine") | after.checks | TOGETHER
    assert before.nodes.keys() < after.nodes.keys()
    seen = {"objective": {"views": [[{"name": "noise"}], []]}}
    after = Lineage(looked_at, **change_of("mine", **row | seen))
    assert after.changed(before) == cells("mine") | after.checks | {PREVIEW} | TOGETHER


def test_a_changed_row_is_all_that_is_trained(looked_at: Project, before: Lineage) -> None:
    objective = {"temperature": 0.5}
    after = Lineage(looked_at, **change_of("simclr", objective=objective))
    assert after.changed(before) == cells("simclr") | after.checks | TOGETHER
    after = Lineage(looked_at, **change_of("simclr", objective={"views": [[{"name": "noise"}], []]}))
    assert after.changed(before) == cells("simclr") | after.checks | {PREVIEW} | TOGETHER
    for part in ({"encoder": {"dropout": 0.3}}, {"budget": {"epochs": 3}}):
        after = Lineage(looked_at, **change_of("simclr", **part))
        assert after.changed(before) == cells("simclr") | after.checks | TOGETHER


def test_rows_that_are_based_on_a_changed_one_are_trained_too(looked_at: Project, before: Lineage) -> None:
    after = Lineage(looked_at, **change_of("simclr_strong", objective={"temperature": 0.5}))
    assert after.changed(before) == cells("simclr_strong", "clusterclhar_strong") | after.checks | TOGETHER
    after = Lineage(looked_at, **change_of("clusterclhar_strong", objective={"temperature": 0.5}))
    assert after.changed(before) == cells("clusterclhar_strong") | after.checks | TOGETHER


@pytest.mark.parametrize(("split", "other"), [SPLITS, SPLITS[::-1]])
def test_a_changed_split_leaves_the_other_alone(looked_at: Project, before: Lineage, split: str, other: str) -> None:
    settings = {"paper": {"leak_free": False, "test_share": 0.3}, "subject_wise": {"test_share": 0.3}}
    after = Lineage(looked_at, **{MAIN: {"splits": {split: settings[split]}}})
    of_other = {name for name in after.nodes if name.startswith(f"{MAIN}.{other}.")}
    of_split = {f"{MAIN}.{split}.{node}" for node in SPLIT_NODES} | after.checks
    assert after.changed(before) - of_other == cells(*before.methods, splits=(split,)) | of_split - of_other | TOGETHER
    assert after.changed(before) & of_other <= after.checks


def test_a_new_split_leaves_the_others_alone(looked_at: Project, before: Lineage) -> None:
    new = {"title": "Mine", "leak_free": True, "held_out": "subject", "pretrain_on": "train", "test_share": 0.4}
    after = Lineage(looked_at, **{MAIN: {"splits": {"mine": new}}})
    of_split = {f"{MAIN}.mine.{node}" for node in SPLIT_NODES}
    assert after.changed(before) == cells(*before.methods, splits=("mine",)) | of_split | after.checks | TOGETHER


def test_a_changed_evaluation_leaves_encoders_alone(looked_at: Project, before: Lineage) -> None:
    after = Lineage(looked_at, **{MAIN: {"evaluations": {"supervised": {"learning_rate": 0.5}}}})
    judged = cells("supervised", nodes=(*JUDGING, "embed_test_windows"))
    assert after.changed(before) == judged | after.checks | TOGETHER


def test_how_the_windows_of_other_data_sets_are_cut_is_not_our_concern(looked_at: Project, before: Lineage) -> None:
    after = Lineage(looked_at, **{MAIN: {"windows_of": {"usc_had": {"length": 100}}}})
    assert after.changed(before) <= after.checks
    after = Lineage(looked_at, **{MAIN: {"windows_of": {"my_data": {"stride": 16}}}})
    assert after.changed(before) == before.nodes.keys() - before.stage("ingestion") - before.stage("reporting")


def test_settings_that_change_no_number_change_nothing(looked_at: Project, before: Lineage) -> None:
    after = Lineage(looked_at, compute={"checkpoint_every": 3}, engine={"workers": 2})
    assert after.changed(before) == set()


def test_the_seed_changes_all_but_recordings_and_windows(looked_at: Project, before: Lineage) -> None:
    kept = before.stage("ingestion") | before.stage("reporting") | {f"{MAIN}.cut_windows", f"{MAIN}.summarise_windows"}
    assert Lineage(looked_at, seed=7).changed(before) == before.nodes.keys() - kept


def resume(project: Project, **change: Any) -> Manifest:
    """Run what is left with changed settings; return the run's manifest, which lists the nodes that it has run."""
    local = project.path / "conf/local/parameters.yml"
    local.write_text(yaml.safe_dump(change))
    project.run(resume=True)
    return newest(project)


def newest(project: Project) -> Manifest:
    return next(iter(Manifests(project.path / "data/08_reporting/run_manifest.json").newest_first()))


def test_a_run_goes_by_fingerprints(once: Project) -> None:
    """Of a run that was resumed after a change, and of another one after a second change."""
    first = Lineage(once)
    assert first.methods == set(FEW)
    manifests = Manifests(once.path / "data/08_reporting/run_manifest.json")
    known = [manifest.nodes for manifest in manifests.newest_first()]
    for name, own in first.fingerprints.items():
        assert any(name in nodes and nodes[name].fingerprint == own for nodes in known), f"{name} was finished"

    renamed = change_of("simclr", title="Renamed")
    own = once.path / "data/01_raw/my_data/dataset.yml"
    own.write_text("# a comment\n" + own.read_text().replace("Test recordings", "My own title"))
    resumed = resume(once, **renamed)
    second = Lineage(once, **renamed)
    ran = {name: record.fingerprint for name, record in resumed.nodes.items()}
    assert ran == {name: second.fingerprints[name] for name in ran}
    changed = second.fingerprints.items() - first.fingerprints.items()
    assert ran.keys() == {name for name, _ in changed} | second.always_run
    assert ran.keys() - second.stage("reporting") == {f"{MAIN}.register_recogniser"}, "no file says what is registered"
    assert all(text in once.newest("report.html").read_text() for text in ("Renamed", "My own title"))
    assert resumed.versions[f"{MAIN}.paper.simclr.encoders"] < resumed.run_id, "they belong to the resumed run, too"

    mine = {"base": "simclr", "title": "Mine", "objective": {"temperature": 0.5}}
    added = {MAIN: {"methods": renamed[MAIN]["methods"] | {"mine": mine}}}
    resumed = resume(once, **added)
    third = Lineage(once, **added)
    assert resumed.nodes.keys() - third.stage("reporting") == cells("mine") | third.checks | TOGETHER
    assert "Mine" in once.newest("report.html").read_text()


@pytest.mark.parametrize("restored", [False, True], ids=["changed", "changed and restored"])
def test_files_that_change_while_they_are_read_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, restored: bool
) -> None:
    """Their fingerprint is of what they were before: what was read of them is not recorded as theirs."""
    path = project.path / "data/01_raw/my_data/s1.csv"
    before, original = path.read_text(), ingestion.ingest

    @functools.wraps(original)  # settings become what its annotations say
    def ingest(*arguments: Any, **options: Any) -> Any:
        path.write_text(before.replace("rest", "run"))
        result = original(*arguments, **options)
        if restored:
            path.write_text(before)
        return result

    monkeypatch.setattr(ingestion, "ingest", ingest)
    with pytest.raises(ProvenanceError, match=r"s1\.csv changed while it was read\. Run again"):
        project.run("ingestion")


def test_a_description_is_written_beside_the_recordings_that_were_read(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(project.path / "data/01_raw/my_data/s1.csv", folder)
    project.run("describe", recordings=str(folder))
    assert "channels" in (folder / "dataset.yml").read_text()
