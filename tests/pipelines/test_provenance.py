"""What is read and computed together comes from the same data and the same settings, whatever has run before."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset, Version
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from contrastive_har.catalog import AtomicDataset, FolderDataset
from contrastive_har.files.tables import read_facts
from contrastive_har.runs.hooks.context import NodeClock
from contrastive_har.runs.hooks.versions import VersionHooks
from contrastive_har.runs.manifest import MANIFEST
from contrastive_har.runs.session import ResumingRunner
from tests.pipelines.conftest import Project

MIXED = "mixed"
RUN = "2026-01-31T12.00.00.{:03d}Z"
NODES: dict[str, tuple[str, ...]] = {
    "recordings": ("raw_files",),
    "demo.windows": ("recordings", "params:plans.demo.windows"),
    "demo.s.roles": ("demo.windows", "params:plans.demo.splits.s"),
    "demo.s.a.encoders": ("demo.windows", "demo.s.roles", "params:plans.demo.pretraining.a"),
    "demo.s.b.encoders": ("demo.windows", "demo.s.roles", "params:plans.demo.pretraining.b"),
    "demo.s.a.scores": ("demo.windows", "demo.s.roles", "demo.s.a.encoders", "params:plans.demo.evaluation.a"),
    "demo.s.b.scores": ("demo.windows", "demo.s.roles", "demo.s.b.encoders", "params:plans.demo.evaluation.b"),
    "demo.scores": ("demo.s.a.scores", "demo.s.b.scores"),
    "demo.figure": ("demo.windows", "demo.s.a.encoders", "params:demo"),
    "demo.report": ("demo.scores", "demo.figure", "demo.s.b.encoders", "demo.s.roles", "params:demo"),
}
"""The inputs of each data set: a small protocol."""


class Broken(Exception):  # noqa: N818 - as Kedro's hooks see it
    """What breaks a run off."""


class Miniature:
    """A project whose data sets hold what they were really made from: by name, the values that went into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.raw = folder / "raw"
        self.raw.mkdir()
        self.put_raw(0)

    def put_raw(self, value: int) -> None:
        (self.raw / "file.csv").write_text("x" * (1 + value))

    def replace_raw(self, text: str) -> None:
        """Put in another file with the size and the time of the one that is there."""
        file, other = self.raw / "file.csv", self.folder / "other.csv"
        state = file.stat()
        other.write_text(text)
        os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
        other.replace(file)

    def run(self, names: set[str], seed: int, *, run: int | None = None, **how: Any) -> int:
        """Make some of the data sets in a new run or as a part of an earlier one; return its number.

        Args:
            names: Data sets.
            seed: Setting of all plans.
            run: Number of an earlier run.
            **how: ``resume``; ``broken``, a data set at which the run is broken off; ``load``, runs whose versions are
                pinned, by data set.
        """
        self.count += run is None
        number = self.count if run is None else run
        run_id = RUN.format(number)
        catalog = self._catalog(seed, run_id, how.get("load", {}))
        pipeline = Pipeline([self._node(name, how) for name in NODES if name in names])
        parameters = {"seed": seed, "dataset": "d", "ingestion": {"dataset": "d"}}
        hooks = VersionHooks(NodeClock())
        loader = {"parameters": parameters}
        hooks.context = SimpleNamespace(config_loader=loader, params={"compute": {}})  # type: ignore[assignment]
        manager = _create_hook_manager()
        manager.register(hooks)
        described = {"run_id": run_id, "pipeline_names": ["demo"]}
        manager.hook.before_pipeline_run(run_params=described, pipeline=pipeline, catalog=catalog)
        runner = ResumingRunner() if how.get("resume") else SequentialRunner()
        try:
            runner.run(pipeline, catalog, manager, run_id)
        except Broken as error:
            manager.hook.on_pipeline_error(error=error, run_params=described, pipeline=pipeline, catalog=catalog)
            raise
        manager.hook.after_pipeline_run(run_params=described, run_result={}, pipeline=pipeline, catalog=catalog)
        return number

    def stored(self, name: str, number: int) -> dict[str, str]:
        """What a version of a data set was made from."""
        return read_facts(self.folder / name / RUN.format(number) / name, "made_from")

    def reports(self) -> list[Path]:
        return list(self.folder.glob("demo.report/*/demo.report"))

    def _catalog(self, seed: int, run_id: str, load: dict[str, int]) -> DataCatalog:
        plans = {name for inputs in NODES.values() for name in inputs if name.startswith("params:")}
        entries: dict[str, Any] = {name: MemoryDataset({"seed": seed}) for name in plans}
        entries["params:run"] = MemoryDataset(SimpleNamespace(command="kedro run"))
        entries["raw_files"] = FolderDataset(filepath=str(self.raw))
        for name, kind in (*((name, "made_from") for name in NODES), (MANIFEST, MANIFEST)):
            version = Version(RUN.format(load[name]) if name in load else None, run_id)
            facts = {"type": "contrastive_har.catalog.FactsDataset", "kind": kind}
            entries[name] = AtomicDataset(filepath=str(self.folder / name), dataset=facts, version=version)
        return DataCatalog(entries)

    def _node(self, name: str, how: dict[str, Any]) -> Node:
        return Node(_make(name, how), inputs=list(NODES[name]), outputs=name, name=f"make.{name}")


def _make(name: str, how: dict[str, Any]) -> Callable[..., dict[str, str]]:
    inputs = NODES[name]

    def make(*values: Any) -> Any:
        if name == how.get("broken"):
            raise Broken
        made: dict[str, str] = {}
        for key, value in zip(inputs, values, strict=True):
            if isinstance(value, Path):
                found = {key: (value / "file.csv").read_text()}
            else:
                found = {"seed": str(value["seed"])} if key.startswith("params:") else value
            for ancestor, content in found.items():
                if made.setdefault(ancestor, content) != content:
                    made[MIXED] = ancestor
        made[name] = str(sorted(made.items()))
        return made

    return make


@pytest.fixture
def miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Miniature:
    for module in ("catalog", "files"):  # this takes longer than all else
        monkeypatch.setattr(f"contrastive_har.{module}.atomic.sync", lambda path: None)
    monkeypatch.setattr("contrastive_har.runs.manifest.installed_packages", dict)
    return Miniature(tmp_path)


@pytest.fixture
def killed_after_saving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Data sets after which a run breaks off, before the manifest records them: only SIGKILL does that."""
    save = AtomicDataset.save
    names: list[str] = []

    def save_and_break(self: AtomicDataset, data: Any) -> None:
        save(self, data)
        if self.folder.name in names:
            raise Broken

    monkeypatch.setattr(AtomicDataset, "save", save_and_break)
    return names


ALL = set(NODES)
STAGES = [
    {"recordings"},
    {"demo.windows", "demo.s.roles"},
    {"demo.s.a.encoders", "demo.s.b.encoders"},
    {"demo.s.a.scores", "demo.s.b.scores", "demo.scores"},
    {"demo.figure", "demo.report"},
]


@pytest.mark.parametrize("seed", range(4))
def test_no_sequence_of_runs_mixes_what_does_not_belong_together(
    miniature: Miniature, seed: int, killed_after_saving: list[str]
) -> None:
    chance = random.Random(seed)
    parameters: dict[int, int] = {}
    ends, refused = 0, 0
    for _ in range(40):
        if chance.random() < 0.15:
            miniature.put_raw(chance.randrange(3))
        stages = [stage for stage in STAGES if chance.random() < 0.6]
        names = set().union(*stages) if chance.random() < 0.7 else set(chance.sample(sorted(ALL), chance.randint(1, 6)))
        names = ALL if chance.random() < 0.2 else names or ALL
        earlier = chance.choice([None, None, *parameters]) if parameters else None
        own_seed = parameters.get(earlier, chance.randrange(2)) if earlier else chance.randrange(2)
        broken = chance.choice(sorted(names)) if chance.random() < 0.4 else None
        late = broken is not None and chance.random() < 0.5
        killed_after_saving[:] = [broken] if broken and late else []
        how = {"resume": chance.random() < 0.3, "broken": None if late else broken}
        parameters[earlier or miniature.count + 1] = own_seed
        try:
            number = miniature.run(names, own_seed, run=earlier, **how)
        except Broken:
            continue
        except ValueError as error:
            refused += 1
            if names == ALL and earlier is None:
                pytest.fail(f"a run that computes everything was refused: {error}")
            continue
        ends += 1
        if "demo.report" in names:
            report = max(miniature.reports(), key=lambda path: path.stat().st_mtime_ns)
            assert how["resume"] or report.parent.name == RUN.format(number)
            assert read_facts(report, "made_from")["seed"] == str(own_seed) or how["resume"]
        for report in miniature.reports():
            assert MIXED not in read_facts(report, "made_from"), report
    assert ends > 3
    assert refused > 0


def test_encoders_of_one_run_are_never_evaluated_on_the_roles_of_another(miniature: Miniature) -> None:
    everything = miniature.run(ALL, seed=1)
    with pytest.raises(Broken):
        miniature.run(ALL, seed=2, broken="demo.s.a.encoders")
    evaluation = STAGES[3] | STAGES[4]
    with pytest.raises(ValueError, match=rf"encoders of run {RUN.format(1)} was made with other settings") as refusal:
        miniature.run(evaluation, seed=2)
    assert "--params=resume=true" in str(refusal.value)
    last = miniature.run(evaluation, seed=1)
    assert miniature.stored("demo.report", last) == miniature.stored("demo.report", everything), "the newest that fit"


def test_what_is_computed_belongs_to_what_is_read(miniature: Miniature) -> None:
    miniature.run(ALL, seed=1)
    miniature.put_raw(1)
    with pytest.raises(ValueError, match="do not belong together: they come from different versions of raw_files"):
        miniature.run(ALL - STAGES[2], seed=1)
    second = miniature.run(ALL, seed=1, resume=True)
    assert miniature.stored("demo.report", second)["raw_files"] == "xx"


def test_resuming_goes_by_what_files_hold(miniature: Miniature) -> None:
    miniature.run(ALL, seed=1)
    (miniature.raw / "file.csv").touch()
    miniature.run(ALL, seed=1, resume=True)
    assert len(miniature.reports()) == 1
    miniature.replace_raw("y")
    last = miniature.run(ALL, seed=1, resume=True)
    assert miniature.stored("demo.report", last)["raw_files"] == "y"


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: content.replace(b"xx", b"xy")])
def test_a_damaged_version_is_not_finished(miniature: Miniature, damage: Callable[[bytes], bytes]) -> None:
    miniature.put_raw(1)
    first = miniature.run(ALL, seed=1)
    path = miniature.folder / "demo.windows" / RUN.format(first) / "demo.windows"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"of demo\.windows is damaged\. Restore it, or delete it"):
        miniature.run(STAGES[2], seed=1)
    last = miniature.run(ALL, seed=1, resume=True)
    assert miniature.stored("demo.windows", last)["raw_files"] == "xx"
    assert not (miniature.folder / "demo.report" / RUN.format(last)).exists(), "all else is finished"


def test_a_version_that_was_replaced_by_that_of_another_run_is_not_read(
    miniature: Miniature, caplog: pytest.LogCaptureFixture
) -> None:
    """As by restoring a backup into the wrong folder: it is whole, and is not what its run has stored."""
    first = miniature.run(ALL, seed=1)
    miniature.put_raw(1)
    second = miniature.run(ALL, seed=1)
    folder = miniature.folder / "demo.windows"
    shutil.rmtree(folder / RUN.format(second))
    shutil.copytree(folder / RUN.format(first), folder / RUN.format(second))
    refused = rf"Version {RUN.format(second)} of demo\.windows is not what its run has stored there\. Restore it"
    with pytest.raises(ValueError, match=refused):
        miniature.run(STAGES[2], seed=1, load={"demo.windows": second})
    with pytest.raises(ValueError, match=refused):
        miniature.run(STAGES[4], seed=1, run=second)
    miniature.put_raw(0)
    third = miniature.run(STAGES[2], seed=1)
    assert "is not what its run has stored there, and is not read" in caplog.text
    assert miniature.stored("demo.s.a.encoders", third) == miniature.stored("demo.s.a.encoders", first)
    miniature.put_raw(1)
    last = miniature.run(ALL, seed=1, resume=True)
    assert miniature.stored("demo.windows", last)["raw_files"] == "xx"


def test_what_a_run_computes_cannot_be_pinned(miniature: Miniature) -> None:
    """Kedro would save one version and let the nodes after it read the other."""
    first = miniature.run(ALL, seed=1)
    with pytest.raises(ValueError, match=r"demo\.windows: this run computes it.*--from-inputs=demo\.windows\."):
        miniature.run(ALL, seed=1, load={"demo.windows": first})


def test_pinned_versions_are_read_with_those_they_belong_to(miniature: Miniature) -> None:
    first = miniature.run(ALL, seed=1)
    miniature.put_raw(1)
    second = miniature.run(ALL, seed=1)
    third = miniature.run(STAGES[4], seed=1, load={"demo.scores": first})
    assert miniature.stored("demo.report", third) == miniature.stored("demo.report", first)
    both = {"demo.scores": first, "demo.s.roles": second}
    with pytest.raises(ValueError, match="do not belong together"):
        miniature.run(STAGES[4], seed=1, load=both)


def test_the_cure_is_a_run_that_has_all(miniature: Miniature) -> None:
    first = miniature.run(STAGES[0] | STAGES[1], seed=1)
    miniature.put_raw(1)
    second = miniature.run(ALL, seed=1)
    with pytest.raises(ValueError, match="do not belong together") as refusal:
        miniature.run(STAGES[4], seed=1, load={"demo.s.roles": first})
    assert f"run_id={RUN.format(second)}" in str(refusal.value)
    miniature.run(STAGES[4], seed=1, run=second)


def test_a_missing_version_is_refused_with_those_that_are_there(miniature: Miniature) -> None:
    for _ in range(6):
        miniature.run(STAGES[0], seed=1)
    listed = ", ".join(RUN.format(number) for number in (6, 5, 4, 3, 2))
    with pytest.raises(ValueError, match=rf"recordings has no version {RUN.format(9)}\. The newest are {listed}\."):
        miniature.run(STAGES[1], seed=1, load={"recordings": 9})
    with pytest.raises(ValueError, match=r"demo\.s\.roles has no version yet\. Run 'kedro run.*' first,"):
        miniature.run(STAGES[2], seed=1)


def test_a_repeated_part_makes_what_depends_on_it_stale(miniature: Miniature) -> None:
    miniature.run(ALL, seed=1)
    miniature.put_raw(1)
    miniature.run(STAGES[0] | STAGES[1], seed=1, run=1)
    with pytest.raises(ValueError, match="different versions of"):
        miniature.run(STAGES[4], seed=1, run=1)


def test_what_a_killed_repetition_has_stored_is_not_taken_for_what_was_there(
    miniature: Miniature, killed_after_saving: list[str]
) -> None:
    miniature.run(ALL, seed=1)
    miniature.put_raw(1)
    killed_after_saving.append("recordings")
    with pytest.raises(Broken):
        miniature.run(STAGES[0], seed=1, run=1)
    killed_after_saving.clear()
    with pytest.raises(ValueError, match="recordings has no version yet"):
        miniature.run(STAGES[1], seed=1, run=1)


def test_scores_without_a_row_of_the_report_are_refused(miniature: Miniature, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as fewer:
        fewer.setitem(NODES, "demo.scores", ("demo.s.a.scores",))
        miniature.run(ALL, seed=1)
    with pytest.raises(ValueError, match=r"demo\.scores of run .* lacks demo\.s\.b"):
        miniature.run(STAGES[4], seed=1)


def test_evaluation_with_another_seed_after_an_interrupted_run(once: Project) -> None:
    """The same with the real pipelines."""
    once.run("windowing", seed=2)
    encoders = r"semi_supervised\.paper\.\w+\.encoders of run \S+ was made with other settings: seed\."
    with pytest.raises(ValueError, match=encoders):
        once.run("evaluation", seed=2)
    once.run("evaluation")
