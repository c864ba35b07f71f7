"""The time that is left is told from the steps that are done, and the console shows what concerns the run."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from kedro.io import DataCatalog, Version
from kedro.pipeline import Node, Pipeline

from contrastive_har.catalog import AtomicDataset
from contrastive_har.pipelines.tuning.pipeline import create_pipeline
from contrastive_har.runs.console import Quiet, ignore_expected_warnings
from contrastive_har.runs.hooks.progress import ProgressHooks
from contrastive_har.scores.cells import Cell

SECONDS = {"first": 1.0, "second": 9.0}


def test_a_step_takes_as_long_as_all_its_nodes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [
        Node(
            lambda value: value,
            f"in_{row}_{name}",
            f"out_{row}_{name}",
            name=name,
            namespace=f"p.s.{row}",
            tags="evaluation",
        )
        for row in ("a", "b", "c")
        for name in SECONDS
    ]
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    hooks = ProgressHooks()
    hooks.before_pipeline_run({"run_id": "r"}, Pipeline(nodes), DataCatalog())
    with caplog.at_level(logging.INFO):
        for node in nodes:
            hooks.before_node_run(node)
            now += SECONDS[node.name.rpartition(".")[2]]
            hooks.after_node_run(node)
    assert [record.message for record in caplog.records] == [
        "1 of 3 steps done, about 20 s left.",
        "2 of 3 steps done, about 10 s left.",
        "3 of 3 steps done.",
    ]


def test_the_time_left_is_told_from_a_tenth_of_the_steps(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [
        Node(lambda: 0, None, f"out_{row}", name="score", namespace=f"p.s.r{row}", tags="evaluation")
        for row in range(20)
    ]
    hooks = ProgressHooks()
    hooks.before_pipeline_run({"run_id": "r"}, Pipeline(nodes), DataCatalog())
    with caplog.at_level(logging.INFO):
        for node in nodes[:3]:
            hooks.before_node_run(node)
            hooks.after_node_run(node)
    first, *others = (record.message for record in caplog.records)
    assert first == "1 of 20 steps done."
    assert [" left." in other for other in others] == [True, True]


def test_each_trial_of_a_cell_is_a_step(caplog: pytest.LogCaptureFixture) -> None:
    cell = Cell("p", "s", "a")
    stage = create_pipeline([cell], trials=3)
    of_cell = [node for node in stage.nodes if node.namespace == cell.namespace]
    hooks = ProgressHooks()
    hooks.before_pipeline_run({"run_id": "r"}, stage, DataCatalog())
    with caplog.at_level(logging.INFO):
        for node in stage.nodes:
            hooks.before_node_run(node)
            hooks.after_node_run(node)
    assert len(of_cell) == 5, "three trials, their choice and the test of it"
    assert [record.message.split(",")[0] for record in caplog.records] == [
        *(f"{done} of 4 steps done" for done in (1, 2, 3)),
        "4 of 4 steps done.",
    ]


def test_nodes_that_an_earlier_run_has_finished_are_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step with some of its nodes finished is done with the others, one with all of them is done."""
    nodes = [
        Node(lambda: 0, None, f"out_{row}_{name}", name=name, namespace=f"p.s.{row}", tags="labelling")
        for row in ("a", "b")
        for name in SECONDS
    ]
    finished = {nodes[0]: "earlier", nodes[2]: "earlier", nodes[3]: "earlier", nodes[1]: "r"}
    catalog = DataCatalog()
    for node, run in finished.items():
        name = node.outputs[0]
        entry = AtomicDataset(filepath=str(tmp_path / name), dataset="text.TextDataset", version=Version(None, None))
        entry.pin(run)
        catalog[name] = entry
    monkeypatch.setattr(time, "monotonic", iter(range(9)).__next__)
    hooks = ProgressHooks()
    hooks.before_pipeline_run({"run_id": "r"}, Pipeline(nodes), catalog)
    with caplog.at_level(logging.INFO):
        hooks.before_node_run(nodes[1])
        hooks.after_node_run(nodes[1])
    assert [record.message for record in caplog.records] == ["2 of 2 steps done."]


def test_the_console_shows_what_concerns_the_run() -> None:
    def is_shown(name: str, level: int) -> bool:
        return Quiet().filter(logging.LogRecord(name, level, "file", 1, "message", (), None))

    assert is_shown("contrastive_har.runs.hooks.progress", logging.INFO)
    assert is_shown("kedro.runner", logging.WARNING)
    assert not is_shown("kedro.runner.sequential_runner", logging.INFO)
    assert not is_shown("kedro_viz.integrations.kedro.run_hooks", logging.WARNING)
    assert is_shown("kedro_viz.integrations.kedro.run_hooks", logging.ERROR)


def test_warnings_of_what_is_done_on_purpose_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """As messages, which Kedro makes of them: MLflow sets filters of warnings of its own where it registers a model."""
    ignore_expected_warnings()
    for said in (
        "file:1: UserWarning: Option '--pipeline' is deprecated and will be removed",
        "file:1: UserWarning: One or more dataset names contain '.' characters",
        "file:1: UserWarning: \x1b[33mAdd type hints to the `predict` method to enable",
        "file:1: UserWarning: something else",
    ):
        logging.getLogger("py.warnings").warning("%s", said)
    (shown,) = caplog.records
    assert "something else" in shown.getMessage()
