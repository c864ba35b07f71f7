"""Label structures on one's own recordings: from names in a file to a recogniser that spells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.models.heads.label_sequence import LabelSequenceSettings
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.timelines import read_timeline
from tests.conftest import OWN_DESCRIPTION, own_frame
from tests.pipelines.conftest import FEW, Project, make_project

ROWS = ("share", "share_unshared", "share_linear", "minirocket", "minirocket_share")
NAMES = {"rest": "stand still", "run": "walk quickly"}
BUDGETS = ["50 %", "long tail 4", "without run", "50 % of subjects"]
TRANSITION = "rest to run"


def shrink(protocol: dict[str, Any]) -> dict[str, Any]:
    """The protocol with few rows, a small encoder and few steps."""
    evaluations = {
        name: {**settings, **({} if name == "ridge" else {"steps": 6, "batch_size": 8})}
        for name, settings in protocol["evaluations"].items()
    }
    rows = {name: protocol["methods"][name] for name in ROWS}
    rows["minirocket"]["encoder"] = {"name": "minirocket", "size": 84}
    return {
        **protocol,
        "windows": {**protocol["windows"], "length": 64, "stride": 32, "activities": "all"},
        "windows_of": {},
        "label_budgets": BUDGETS,
        "splits": {"subject_wise": protocol["splits"]["subject_wise"]},
        "encoder": {**protocol["encoder"], "channels": [8, 8]},
        "methods": rows,
        "evaluations": evaluations,
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose protocol of label structures has run with names of its own."""
    project = make_project(tmp_path_factory.mktemp("names"), FEW, "label_structures")
    file = project.path / "conf/base/parameters_label_structures.yml"
    protocol = yaml.safe_load(file.read_text())["label_structures"]
    file.write_text(yaml.safe_dump({"label_structures": shrink(protocol)}, sort_keys=False))
    rng = np.random.default_rng(0)
    frames = {f"s{number}": own_frame(f"s{number}", rng, seconds=6) for number in range(1, 9)}
    for frame in frames.values():
        # Half a second between rest and walking, which is shorter than a window, is a transition.
        edge = int((frame["activity"] != frame["activity"].iloc[0]).to_numpy().argmax())
        frame.loc[edge : edge + 24, "activity"] = TRANSITION
    activities = {**OWN_DESCRIPTION["activities"], 3: TRANSITION}
    project.replace_recordings(frames, {**OWN_DESCRIPTION, "activities": activities, "recognised": [0, 1, 2]})
    (project.path / "names.yml").write_text(yaml.safe_dump({"source": "a test", "names": NAMES}))
    project.run("label_structures", label_names="names.yml")
    return project


def test_rows_are_scored_with_every_label_budget(finished: Project) -> None:
    scores = pd.read_parquet(finished.stored("label_structures/scores.parquet"))
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == "all")]
    assert set(whole["method"]) == set(ROWS)
    assert set(whole["label_budget"]) == set(BUDGETS)
    assert f"class: {TRANSITION}" in set(scores["group"])
    comparisons = pd.read_parquet(finished.stored("label_structures/comparisons.parquet"))
    assert set(comparisons["method"]) == {"share"}
    assert set(comparisons["other"]) == set(ROWS) - {"share"}, "every row is compared, whatever its head"


def test_an_activity_without_a_label_is_not_predicted_by_a_ridge_regression(finished: Project) -> None:
    predictions = pd.read_parquet(finished.stored("label_structures/subject_wise/minirocket/predictions.parquet"))
    unseen = predictions[predictions["label_budget"] == "without run"]
    assert not (unseen["predicted"] == 2).any()
    assert (unseen["true"] == 2).any()


def test_the_recogniser_spells_names_as_the_file_says(finished: Project) -> None:
    recogniser = read_recogniser(finished.stored("label_structures/recogniser.safetensors"))
    assert TRANSITION in recogniser.description.class_names
    head = recogniser.architecture.head
    if isinstance(head, LabelSequenceSettings) and head.shared:
        assert head.names == NAMES
    finished.run("inference", protocol="label_structures", recordings="data/01_raw/my_data/s1.csv")
    timeline = read_timeline(finished.newest("timeline.parquet"))
    words = head.classes_by_word(recogniser.description.class_names)
    assert [name for name in timeline if name.startswith("word(")] == [f"word({word})" for word in words]


def test_names_that_cannot_be_read_stop_the_run_at_once(finished: Project, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no file with 'source' and 'names'"):
        finished.run("label_structures", label_names=str(tmp_path / "missing.yml"))
