"""The complete example and the notebook of docs/without_kedro.md."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEWER_EPOCHS = ('"simclr": 3, "clusterclhar_strong": 3', '"simclr": 1, "clusterclhar_strong": 1')


@pytest.mark.slow
def test_the_complete_example_without_kedro() -> None:
    """As it stands there, in under two minutes."""
    text = (ROOT / "docs/without_kedro.md").read_text(encoding="utf-8").partition("## A complete example")[2]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    started = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert time.monotonic() - started < 120
    scores = dict(re.findall(r"^(\w+): macro-F1 ([\d.]+)$", ran.stdout, re.MULTILINE))
    assert list(scores) == ["random_init", "simclr", "clusterclhar_strong"]
    assert all(60 < float(score) < 100 for score in scores.values())


def test_the_notebook_without_kedro(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "notebooks/without_kedro.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    before, after = FEWER_EPOCHS
    (training,) = [cell for cell in notebook.cells if before in cell["source"]]
    training["source"] = training["source"].replace(before, after)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    pictures = [output for cell in client.execute().cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in output["data"] for output in pictures) == 4
