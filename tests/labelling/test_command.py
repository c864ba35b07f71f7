"""The command: proposals as a table, labels to Label Studio and back, what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from contrastive_har.labelling.command import main
from contrastive_har.signals.recordings import BadRecordingError
from tests.conftest import ACTIVITIES
from tests.labelling.conftest import answer_next, open_session


def test_the_command_writes_proposals(
    unlabelled_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, tasks = tmp_path / "proposed.csv", tmp_path / "tasks.json"
    given = [str(unlabelled_folder), "--windows", "5", "--table", str(table), "--label-studio", str(tasks)]
    assert main(given) == 0
    proposed = pd.read_csv(table)
    assert list(proposed.columns) == ["recording", "start", "end", "seconds", "why"]
    assert len(proposed) == 5
    regions = [task["predictions"][0]["result"] for task in json.loads(tasks.read_text())]
    assert sum(map(len, regions)) == 5
    assert not (unlabelled_folder / "labels.csv").exists()
    assert "5 windows are proposed: 12.8 s of signal." in capsys.readouterr().out
    assert main([*given, "--stretch", "6", "--strategy", "typical", "--spread", "subject"]) == 0
    stretches = pd.read_csv(table)
    assert (stretches["seconds"] > 2.56).any()
    assert f"5 stretches are proposed: {stretches['seconds'].sum():.1f} s of signal." in capsys.readouterr().out


def test_the_command_takes_labels_back_and_compares_them(
    unlabelled_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = open_session(unlabelled_folder)
    answer_next(session, 4)
    tasks = tmp_path / "tasks.json"
    main([str(unlabelled_folder), "--windows", "6", "--label-studio", str(tasks)])
    (first, *_) = json.loads(tasks.read_text())
    frame = pd.read_csv(unlabelled_folder / f"{first['data']['recording']}.csv")
    signal = first["data"]["signal"]
    for name, column in (("seconds", "timestamp"), ("x", "x"), ("z", "z")):
        np.testing.assert_allclose(signal[name], frame[column][: len(signal[name])], atol=2e-4)
    view = ElementTree.fromstring(tasks.with_suffix(".xml").read_text())
    assert [label.get("value") for label in view.iter("Label")] == [*ACTIVITIES.values(), "to label"]
    assert [channel.get("column") for channel in view.iter("Channel")] == ["x", "y", "z"]
    assert view.find("TimeSeries").get("timeColumn") in signal
    main([str(unlabelled_folder), "--labels", "others.csv", "--from-label-studio", str(tasks)])
    main([str(unlabelled_folder), "--labels", "others.csv", "--from-label-studio", str(tasks)])
    assert len(pd.read_csv(unlabelled_folder / "others.csv")) == 4  # not added twice
    other = tmp_path / "other.json"
    other.write_text(tasks.read_text().replace('"walk"', '"swim"').replace('"rest"', '"swim"'))
    with pytest.raises(SystemExit, match="unknown activity 'swim' in the export; there are rest, walk, run"):
        main([str(unlabelled_folder), "--labels", "others.csv", "--from-label-studio", str(other)])
    assert len(pd.read_csv(unlabelled_folder / "others.csv")) == 4
    main(["--compare", str(unlabelled_folder / "labels.csv"), str(unlabelled_folder / "others.csv")])
    assert "Cohen's kappa: 1.000" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(unlabelled_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name a folder"):
        main([])
    with pytest.raises(SystemExit, match="windows: Input should be greater than 0"):
        main([str(unlabelled_folder), "--windows", "0", "--table", str(tmp_path / "x.csv")])
    with pytest.raises(SystemExit, match="write a longer stretch"):
        main([str(unlabelled_folder), "--stretch", "1", "--table", str(tmp_path / "x.csv")])
    with pytest.raises(SystemExit, match=r"stretch: Input should be greater than 0"):
        main([str(unlabelled_folder), "--stretch", "-1", "--table", str(tmp_path / "x.csv")])
    with pytest.raises(SystemExit, match="2"):
        main([str(unlabelled_folder), "--strategy", "clever", "--table", str(tmp_path / "x.csv")])
    with pytest.raises(SystemExit, match=r"no_films: no such folder. Correct --media\."):
        main([str(unlabelled_folder), "--media", str(tmp_path / "no_films")])
    (tmp_path / "tasks.json").write_text("tasks")
    with pytest.raises(SystemExit, match=r"tasks\.json: not JSON \(.*\)\. Export the tasks as JSON again\."):
        main([str(unlabelled_folder), "--from-label-studio", str(tmp_path / "tasks.json")])
    (unlabelled_folder / "dataset.yml").unlink()
    with pytest.raises(BadRecordingError, match=r"dataset\.yml"):
        open_session(unlabelled_folder)
