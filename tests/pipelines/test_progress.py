"""The time that is left is told from the steps that are done."""

from __future__ import annotations

import logging
import time

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from contrastive_har.runs.hooks.progress import ProgressHooks

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
