"""Scores are reported with the settings they were made with, whatever else has changed."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.startup import bootstrap_project

from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.provenance import require_same_settings
from contrastive_har.runs.settings import load_configuration

ROOT = Path(__file__).parents[2]
RUN = "2026-01-31T12.00.00.000Z"
CELL = "semi_supervised.paper.simclr.scores"


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    bootstrap_project(ROOT)
    return dict(load_configuration(ROOT, env="paper")["parameters"])


def report(folder: Path, made: dict[str, Any], now: dict[str, Any], name: str = CELL) -> None:
    manifests = Manifests(folder)
    manifests.begin(RUN, lambda _: Manifest(run_id=RUN, code="", packages={}, parameters=made))
    require_same_settings({name: RUN, "recordings": RUN, "semi_supervised.windows": RUN}, manifests, now)


def test_what_the_scores_do_not_depend_on_may_change(tmp_path: Path, configured: dict[str, Any]) -> None:
    now = deepcopy(configured)
    main = now["semi_supervised"]
    main["windows_of"]["my_data"] = {"length": 64, "stride": 32}
    main["evaluations"]["supervised"]["epochs"] = 7
    main["methods"]["simclr"] |= {"title": "Plain", "encoder": {"name": "tpn"}}
    main["methods"]["mine"] = {**main["methods"]["moco"], "title": "Mine"}
    now["report"]["seed"] = 5
    report(tmp_path, configured, now)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("seed",), 1, "seed"),
        (("semi_supervised", "repeats"), 3, "repeats"),
        (("semi_supervised", "budget", "batch_size"), 512, r"budget\.batch_size"),
        (("semi_supervised", "windows", "stride"), 32, r"windows\.stride"),
        (("semi_supervised", "evaluations", "linear", "epochs"), 7, r"evaluations\.linear\.epochs"),
        (("semi_supervised", "methods", "simclr", "objective", "temperature"), 0.5, r"objective\.temperature"),
    ],
)
@pytest.mark.parametrize("name", [CELL, "semi_supervised.scores"])
def test_what_they_depend_on_may_not(
    tmp_path: Path, configured: dict[str, Any], keys: tuple[str, ...], value: object, message: str, name: str
) -> None:
    now = deepcopy(configured)
    part: Any = now
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    with pytest.raises(ValueError, match=rf"in run {RUN} were made with other settings: {message}\. Report with"):
        report(tmp_path, configured, now, name)


def test_scores_of_a_method_that_run_did_not_know(tmp_path: Path, configured: dict[str, Any]) -> None:
    made = deepcopy(configured)
    del made["semi_supervised"]["methods"]["simclr"]
    with pytest.raises(ValueError, match="were made with other settings"):
        report(tmp_path, made, configured)
