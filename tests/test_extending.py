"""The examples of docs/extending.md, applied to a copy of the project and executed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^`(?P<path>[\w/.]+)`:\n\n```(?P<kind>\w+)\n(?P<text>.*?)```$", re.MULTILINE | re.DOTALL)
KINDS = ("objective", "encoder", "head", "clustering", "augmentation", "data set", "protocol")

NEW = "agreement or shallow or centroids or bisecting or drift"
LOAD = """
from pathlib import Path
from kedro.framework.startup import bootstrap_project
bootstrap_project(Path.cwd())
from kedro.framework.project import pipelines
from contrastive_har.runs.session import RunSession
with RunSession.create(Path.cwd()) as session:
    catalog = session.load_context().catalog
    agreement = catalog.load("params:plans.semi_supervised.pretraining.agreement")
    few = "params:plans.few_labels.pretraining."
    print(sorted(name.removeprefix(few) for name in catalog if name.startswith(few)), agreement.objective.name)
    print(len(pipelines["few_labels"].nodes))
"""


def apply_hunks(diff: str, text: str) -> str:
    """Apply a diff without line numbers, each of whose hunks fits in one way only."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to which every example of the page has been applied."""
    copy = tmp_path_factory.mktemp("extended")
    for folder in ("src", "tests", "conf"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
        )
    (copy / "conf/local").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, copy)
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## An? (.*)$", text, re.MULTILINE)
    assert tuple(headings) == KINDS
    for match in BLOCK.finditer(text):
        path = copy / match["path"]
        if match["kind"] == "diff":
            path.write_text(apply_hunks(match["text"], path.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            assert not path.exists()
            path.write_text(match["text"], encoding="utf-8")
    return copy


def run(extended: Path, *command: str) -> str:
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=extended,
        env={**os.environ, "PYTHONPATH": "src", "DO_NOT_TRACK": "true"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_the_examples_are_clean(extended: Path) -> None:
    run(extended, "-m", "ruff", "check", "src", "tests")
    run(extended, "-m", "ruff", "format", "--check", "src", "tests")
    run(extended, "-m", "mypy")


def test_the_examples_keep_the_contract(extended: Path) -> None:
    suites = ["tests/learning/test_contract.py", "tests/sources/test_contract.py"]
    # Each new part with some others: with all of them, in all modalities, takes minutes.
    chosen = f"({NEW} or stairs) and not transformer and not watch and not lstm"
    shown = run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *suites)
    assert re.search(r"^\d{2,} passed", shown.splitlines()[-1]) or " passed" in shown.splitlines()[-1]


def test_the_examples_are_configured(extended: Path) -> None:
    rows, nodes = run(extended, "-c", LOAD).splitlines()[-2:]
    assert rows == "['clusterclhar', 'random_init', 'simclr'] agreement"
    assert int(nodes) > 20
