"""Nodes in worker processes must do what they do one after another, and be seen by hooks as if they had."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from contrastive_har.files.tables import read_table
from contrastive_har.runs.runner import SideBySideRunner
from tests.pipelines.conftest import FEW, Project, make_project

COMPUTE = {"device": "cpu", "workers": "auto"}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def train(number: int, compute: dict[str, Any]) -> tuple[int, int, int]:
    logging.getLogger("some.module").warning("training %d", number)
    return number + 1, os.getpid(), torch.get_num_threads()


def count(number: int, compute: dict[str, Any]) -> int:
    return number + 1


def add(*trained: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    return list(trained)


def fail(number: int, compute: dict[str, Any]) -> None:
    raise FloatingPointError(f"the loss of {number} is not finite")


def trainings(count: int) -> Pipeline:
    names = [f"n{index}" for index in range(count)]
    nodes = [Node(train, [name, "params:compute"], f"{name}_trained", name=f"train_{name}") for name in names]
    return Pipeline([*nodes, Node(add, [f"{name}_trained" for name in names], "all", name="add")])


def catalog_of(count: int) -> DataCatalog:
    values = {"params:compute": COMPUTE, **{f"n{index}": 10 * index for index in range(count)}}
    return DataCatalog({name: MemoryDataset(value) for name, value in values.items()})


class Noted:
    """Notes which hooks are called; changes an input."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("starts", node.name))
        return {"n1": 100} if "n1" in inputs else {}

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        self.calls.append(("ends", node.name, *outputs))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        self.calls.append(("loaded", dataset_name, node.name))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        self.calls.append(("saved", dataset_name, node.name))

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        self.calls.append(("failed", node.name, str(error)))


def hooks_with(noted: Noted) -> PluginManager:
    manager = _create_hook_manager()
    manager.register(noted)
    return manager


def test_hooks_are_called_as_if_nodes_ran_one_after_another(
    two_threads: None, caplog: pytest.LogCaptureFixture
) -> None:
    found, noted = [], [Noted(), Noted()]
    for runner, one in zip((SequentialRunner(), SideBySideRunner()), noted, strict=True):
        found.append(runner.run(trainings(5), catalog_of(5), hooks_with(one))["all"].load())
    assert [number for number, _, _ in found[1]] == [number for number, _, _ in found[0]] == [1, 101, 21, 31, 41]
    assert {process for _, process, _ in found[0]} == {os.getpid()}
    # The last node runs here if those before it end together, since it is alone then; the first two never do.
    assert os.getpid() not in {process for _, process, _ in found[1][:2]}
    assert {threads for _, _, threads in found[1]} == {1}
    assert sorted(noted[0].calls) == sorted(noted[1].calls)
    for node in ("train_n0", "train_n4", "add"):
        one_after_another, side_by_side = ([call for call in one.calls if node in call] for one in noted)
        assert one_after_another == side_by_side
    assert sum(record.message.startswith("training ") for record in caplog.records) == 10


def test_a_row_is_evaluated_before_the_next_is_pretrained(two_threads: None) -> None:
    rows = [f"n{index}" for index in range(4)]
    stages = (("train", "", "trained"), ("evaluate", "_trained", "evaluated"))
    nodes = [
        Node(count, [f"{row}{given}", "params:compute"], f"{row}_{done}", name=f"{stage}_{row}")
        for stage, given, done in stages
        for row in rows
    ]
    noted = Noted()
    SideBySideRunner().run(Pipeline(nodes), catalog_of(4), hooks_with(noted))
    started = [name for event, name, *_ in noted.calls if event == "starts"]
    assert started[:2] == ["train_n0", "train_n1"]
    assert started.index("evaluate_n0") < started.index("train_n3")
    assert len(started) == 8


def test_a_node_that_is_alone_runs_here_with_the_threads_of_a_worker(two_threads: None) -> None:
    chain = Pipeline(
        [
            Node(train, ["n0", "params:compute"], ["a", "b", "c"], name="first"),
            Node(train, ["a", "params:compute"], "all", name="second"),
        ]
    )
    (_, process, threads) = SideBySideRunner().run(chain, catalog_of(1), hooks_with(Noted()))["all"].load()
    assert (process, threads) == (os.getpid(), 1)
    assert torch.get_num_threads() == 2


def test_an_error_in_a_worker_ends_the_run(two_threads: None) -> None:
    noted = Noted()
    broken = Pipeline([Node(fail, ["n9", "params:compute"], "x", name="fails"), *trainings(3).nodes])
    catalog = catalog_of(3)
    catalog["n9"] = MemoryDataset(9)
    with pytest.raises(FloatingPointError, match="the loss of 9 is not finite"):
        SideBySideRunner().run(broken, catalog, hooks_with(noted))
    assert [call for call in noted.calls if call[0] == "failed"] == [("failed", "fails", "the loss of 9 is not finite")]
    found = SideBySideRunner().run(trainings(3), catalog_of(3), hooks_with(Noted()))["all"].load()
    assert [number for number, _, _ in found] == [1, 101, 21], "workers that were stopped start again"


def test_with_one_worker_nodes_run_one_after_another(two_threads: None) -> None:
    catalog = catalog_of(2)
    catalog["params:compute"] = MemoryDataset(COMPUTE | {"workers": 1})
    found = SideBySideRunner().run(trainings(2), catalog, hooks_with(Noted()))["all"].load()
    assert {(process, threads) for _, process, threads in found} == {(os.getpid(), 2)}


def scores_of(project: Project) -> pd.DataFrame:
    path: Path = min(project.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet"))
    return read_table(path, "scores")


def test_the_main_job_has_the_same_scores_side_by_side(
    finished_few: Project, tmp_path: Path, two_threads: None
) -> None:
    project = make_project(tmp_path, FEW)
    project.run()
    pd.testing.assert_frame_equal(scores_of(project), scores_of(finished_few), check_exact=True)
    assert not list(project.path.glob("data/06*/**/checkpoints/*/*"))
    count = len(list(project.path.glob("data/**/scores.parquet")))
    project.run(resume=True)
    assert len(list(project.path.glob("data/**/scores.parquet"))) == count, "nothing is computed again"
