"""The multimodal protocols on one's own recordings of two sensors: from files to recognisers of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.files.tables import read_table
from contrastive_har.learning.pretraining import HISTORY_COLUMNS
from contrastive_har.scores.selection import SELECTION_COLUMNS
from contrastive_har.scores.table import VALIDATION
from contrastive_har.signals.windows import read_windows
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import recognise
from contrastive_har.use.timelines import read_timeline
from tests.conftest import ACTIVITIES, OWN_DESCRIPTION, RATE, own_frame
from tests.pipelines.conftest import FEW, Project, make_project

SENSORS = {"wrist": ["x", "y", "z"], "ankle": ["ankle_x", "ankle_y", "ankle_z"]}
MODALITIES = {name: {name: {"unit": "g", "channels": channels}} for name, channels in SENSORS.items()}
METHODS = {
    "multimodal": ("random_init", "simclr", "cmc", "hard_negatives", "cmc_cmkm"),
    "multimodal_concentration": ("cmc", "concentration_1"),
}
SMALL = {"name": "tpn", "channels": [8, 8], "kernels": [8, 4]}
EVALUATIONS = ("linear", "linear/wrist", "linear/ankle")


def shrink(protocol: dict[str, Any], methods: tuple[str, ...]) -> dict[str, Any]:
    """A protocol with few rows, small encoders, and a budget of one epoch (two, to mine and to learn)."""
    rows = {name: {**protocol["methods"][name], "evaluations": ["linear"]} for name in methods}
    for row in rows.values():
        if "budget" in row:
            row["budget"] = {"epochs": 2}
    return {
        **protocol,
        "windows": {**protocol["windows"], "length": 64, "stride": 64},
        "windows_of": {},
        "label_budgets": ["10 %", "100 %"],
        "splits": {"subject_wise": protocol["splits"]["subject_wise"]},
        "encoder": SMALL,
        "encoders": {"ankle": {**SMALL, "channels": [8, 6]}},
        "budget": {**protocol["budget"], "epochs": 1, "batch_size": 32},
        "methods": rows,
        "evaluations": {"linear": protocol["evaluations"]["linear"]},
    }


def worn(subject: str, rng: np.random.Generator, seconds: float = 6) -> pd.DataFrame:
    """A recording of both sensors, the ankle's a noisy mixture of the wrist's."""
    frame = own_frame(subject, rng, seconds)
    mixed = frame[["x", "y", "z"]].to_numpy() @ rng.standard_normal((3, 3))
    return frame.assign(**dict(zip(SENSORS["ankle"], (mixed + 0.1 * rng.standard_normal(mixed.shape)).T, strict=True)))


def make(path: Path) -> Project:
    project = make_project(path, FEW, "multimodal")
    file = path / "conf/base/parameters_multimodal.yml"
    settings = yaml.safe_load(file.read_text())
    shrunk = {name: shrink(settings[name], methods) for name, methods in METHODS.items()}
    file.write_text(yaml.safe_dump(shrunk, sort_keys=False))
    rng = np.random.default_rng(0)
    described = {key: value for key, value in OWN_DESCRIPTION.items() if key != "channels"}
    frames = {f"s{number}": worn(f"s{number}", rng) for number in range(1, 9)}
    project.replace_recordings(frames, {**described, "modalities": MODALITIES})
    return project


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose multimodal protocol has run."""
    project = make(tmp_path_factory.mktemp("multimodal"))
    project.run("multimodal")
    return project


def test_every_evaluation_is_scored_by_modality(finished: Project) -> None:
    scores = pd.read_parquet(finished.stored("multimodal/scores.parquet"))
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == "all")]
    assert set(whole["method"]) == set(METHODS["multimodal"])
    for _, of_method in whole.groupby("method"):
        assert of_method["evaluation"].value_counts().to_dict() == dict.fromkeys(EVALUATIONS, 2 * 2)
    validated = scores[scores["metric"] == VALIDATION]
    assert len(validated) == len(whole)
    comparisons = pd.read_parquet(finished.stored("multimodal/comparisons.parquet"))
    assert set(comparisons["evaluation"]) == set(EVALUATIONS)
    assert set(comparisons["method"]) == {"cmc"}


def test_histories_have_measures_without_labels(finished: Project) -> None:
    for method in METHODS["multimodal"]:
        history = pd.read_parquet(finished.stored(f"multimodal/subject_wise/{method}/history.parquet"))
        assert list(history.columns) == HISTORY_COLUMNS
        assert len(history) == (0 if method == "random_init" else 2)
        assert history[["loss", "alignment", "uniformity"]].notna().all(axis=None)
        last = history.groupby("repeat")[["recall_at_1", "recall_at_5"]].last()
        assert last.apply(lambda recall: recall.between(0, 1)).all(axis=None)


def test_the_report_says_what_each_modality_contributes(finished: Project) -> None:
    text = finished.stored("multimodal/report.html").read_text()
    assert "wrist alone (" in text
    assert "ankle alone (" in text
    for title in ("all modalities", "Hard negatives", "CMC-CMKM"):
        assert title in text
    summary = finished.stored("multimodal/report_summary.md").read_text()
    assert "CMC" in summary


def test_there_is_a_recogniser_for_each_sensor(finished: Project) -> None:
    recogniser = read_recogniser(finished.stored("multimodal/recogniser.safetensors"))
    parts = {one.modalities: one for one in (recogniser, *recogniser.alternatives)}
    assert next(iter(parts)) == ("wrist", "ankle")
    assert set(parts) == {("wrist", "ankle"), ("wrist",), ("ankle",)}
    windows = read_windows(finished.stored("multimodal/windows.parquet"))
    mlflow.set_tracking_uri(f"sqlite:///{finished.path / 'mlflow.db'}")
    for modalities, one in parts.items():
        name = "contrastive-har.my_data.multimodal" + ("" if len(modalities) == 2 else f".{modalities[0]}")
        signals = windows.only(modalities).signals[:5]
        model = mlflow.pyfunc.load_model(f"models:/{name}/latest")
        found = model.predict(signals)[list(ACTIVITIES.values())]
        np.testing.assert_allclose(found, recognise(one.build(), signals), atol=1e-6)
        assert one.origin.mean_validation_macro_f1 is not None


def test_recordings_of_one_sensor_are_recognised(finished: Project) -> None:
    frame = worn("new", np.random.default_rng(9))
    path = finished.path / "ankle.csv"
    frame[["timestamp", *SENSORS["ankle"]]].to_csv(path, index=False)
    finished.run("inference", protocol="multimodal", recordings=str(path), inference={"smoothing": 1})
    timeline = read_timeline(finished.newest("timeline.parquet"))
    assert timeline["end"].max() == pytest.approx(len(frame) / RATE, abs=0.05)
    recogniser = read_recogniser(finished.stored("multimodal/recogniser.safetensors")).only(["ankle"])
    first = frame[SENSORS["ankle"]].to_numpy(np.float32)[None, :64]
    (expected,) = recognise(recogniser.build(), first)
    probabilities = timeline[[f"p({name})" for name in ACTIVITIES.values()]].iloc[0]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_the_concentration_is_chosen_and_drawn(finished: Project) -> None:
    finished.run("multimodal_concentration")
    selection = read_table(finished.stored("multimodal_concentration/selection.parquet"), "selection")
    assert list(selection.columns) == SELECTION_COLUMNS
    assert selection[["evaluation", "label_budget"]].drop_duplicates().shape == (3 * 2, 2)
    assert set(", ".join(selection["chosen"]).split(", ")) <= {"0", "1"}
    assert (selection["repeats"] == 2).all()
    assert selection["value"].between(0, 1).all()
    picture = finished.stored("multimodal_concentration/subject_wise/sweep.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    text = finished.stored("multimodal_concentration/report.html").read_text()
    assert "Choosing objective.negatives.concentration" in text
