"""A protocol with a head that spells the names of activities: from files to the sections of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from contrastive_har.files.tables import read_table
from contrastive_har.scores.words import WORD_COLUMNS
from contrastive_har.use.complexity import COMPLEXITY_COLUMNS
from tests.conftest import OWN_DESCRIPTION, own_frame
from tests.pipelines.conftest import FEW, Project, make_project

TRAINED = {"trained_stages": "all", "learning_rate": 0.01, "epochs": 2, "batch_size": 16, "test_every": 2}
NAMES = {"rest": "sit still", "walk": "move to and fro", "run": "move fast"}
SPELLED: dict[str, Any] = {
    "title": "Spelled names",
    "repeats": 2,
    "windows": {"length": 64, "stride": 32},
    "label_budgets": ["50 %", "long tail 10"],
    "splits": {
        "unseen": {
            "title": "Unseen subjects",
            "leak_free": True,
            "held_out": "subject",
            "pretrain_on": "train",
            "test_groups": {"my_data": [["s1"], ["s2"]]},
        },
    },
    "encoder": {"name": "tpn", "channels": [8, 6], "kernels": [8, 4]},
    "budget": {"epochs": 1, "batch_size": 32, "learning_rate": 0.001},
    "compared_with": "spelled",
    "methods": {
        "spelled": {"title": "Spelled", "objective": {"name": "untrained"}, "evaluations": ["spelled"]},
        "plain": {"title": "Plain", "objective": {"name": "untrained"}, "evaluations": ["plain"]},
        "forest": {
            "title": "Computed",
            "encoder": {"name": "hand_features"},
            "objective": {"name": "untrained"},
            "evaluations": ["ridge"],
        },
    },
    "evaluations": {
        "plain": {"title": "Linear head", **TRAINED},
        "spelled": {
            "title": "Spelled by word",
            "head": {"name": "label_sequence", "names": NAMES, "word_vectors": "random", "embedding": 4, "width": 5},
            **TRAINED,
        },
        "ridge": {"title": "Ridge regression", "head": {"name": "ridge"}},
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose protocol with spelled names has run; subject s2 never runs."""
    project = make_project(tmp_path_factory.mktemp("spelled"), FEW)
    (project.path / "conf/base/parameters_spelled.yml").write_text(
        yaml.safe_dump({"spelled": SPELLED}, sort_keys=False)
    )
    rng = np.random.default_rng(0)
    frames = {f"s{number}": own_frame(f"s{number}", rng, seconds=6) for number in range(1, 6)}
    frames["s2"] = frames["s2"][frames["s2"]["activity"] != "run"]
    project.replace_recordings(frames, OWN_DESCRIPTION)
    project.run("spelled")
    return project


def test_words_are_scored_and_drawn(finished: Project) -> None:
    table = read_table(finished.stored("spelled/unseen/word_scores.parquet"), "word_scores")
    assert set(table.columns) == {*WORD_COLUMNS, "method"}
    assert set(table["word"]) == {"sit", "still", "move", "fro", "fast"}
    assert set(table["method"]) == set(SPELLED["methods"])
    assert table["recall"].isna().sum() == 3 * 2, "nobody is fast in the second repeat, with either label budget"
    assert table["recall"].dropna().between(0, 1).all()
    assert finished.stored("spelled/word_graph.png").read_bytes().startswith(b"\x89PNG")


def test_the_complexity_of_every_row_is_measured(finished: Project) -> None:
    table = read_table(finished.stored("spelled/complexity.parquet"), "complexity")
    assert list(table.columns) == COMPLEXITY_COLUMNS
    assert list(table["method"]) == list(SPELLED["methods"])
    sizes = table.set_index("method")
    tpn = 3 * 8 * 8 + 8 + 8 * 6 * 4 + 6
    assert sizes["parameters"]["plain"] == tpn + 6 * 3 + 3
    assert sizes["multiply_adds"]["plain"] == 57 * 3 * 8 * 8 + 54 * 8 * 6 * 4 + 6 * 3
    assert sizes["parameters"]["spelled"] > tpn
    assert (table["milliseconds"] > 0).all()


def test_the_report_has_the_sections(finished: Project) -> None:
    text = " ".join(finished.stored("spelled/report.html").read_text().split())
    assert "Without a test window: run (repeat 2)." in text
    assert "Words of several names: move (2)." in text
    for heading in ("Frequent and rare activities", "Words of the activities' names", "Size and speed"):
        assert heading in text
    assert "<b>few</b> run" in text, "only four subjects run"
    assert "labels in a long tail 10</h4>" in text
    assert text.count("<h4>Unseen subjects, 50 % of the labels</h4>") == 1
    assert "A colour is a word of the true activity" in text
