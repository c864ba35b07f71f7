"""Answers on disk: nothing is lost, ingestion reads them, labellers are compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import cohen_kappa_score

from contrastive_har.labelling.answers import COLUMNS, Answer, AnswerFile, compare_answers
from contrastive_har.labelling.label_studio import from_tasks, to_tasks
from contrastive_har.signals.recordings import BadRecordingError
from tests.conftest import OWN_DESCRIPTION, own_frame
from tests.sources.own.made import ingest


def answer(start: float, activity: str, labeller: str = "anna", recording: str = "r1", **more: str) -> Answer:
    values = {"recording": recording, "start": start, "end": start + 2, "activity": activity, "labeller": labeller}
    return Answer.model_validate({**values, "labelled_at": "2026-01-31T12:00:00+00:00", **more})


def test_answers_come_back_in_their_order(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "labels.csv")
    assert file.read() == []
    given = [answer(4, "walk"), answer(0, 'a "strange", name\nof two lines'), answer(8, "", remark="unsure")]
    for one in given:
        file.append(one)
    assert file.read() == given
    assert file.path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_undo_takes_the_last_answer_back(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "labels.csv")
    assert file.undo() is None
    file.append(answer(0, "walk"))
    file.append(answer(4, "run"))
    assert file.undo() == answer(4, "run")
    assert file.read() == [answer(0, "walk")]
    assert file.undo() == answer(0, "walk")
    assert file.undo() is None


def test_a_row_that_was_cut_off_was_not_given(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "labels.csv")
    file.append(answer(0, "walk"))
    whole = file.path.read_bytes()
    file.append(answer(4, "run"))
    for end in range(len(whole), file.path.stat().st_size):
        cut = AnswerFile(tmp_path / "cut.csv")
        cut.path.write_bytes(file.path.read_bytes()[:end])
        assert cut.read() == [answer(0, "walk")]
        cut.append(answer(8, "rest"))
        assert cut.read() == [answer(0, "walk"), answer(8, "rest")]


def test_other_files_are_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("subject,x\nanna,1\n")
    with pytest.raises(BadRecordingError, match="Choose another name"):
        AnswerFile(path).read()
    path.write_text(",".join(COLUMNS) + "\nr1,a,1,walk,anna,,\n")
    with pytest.raises(BadRecordingError, match="row 2: start"):
        AnswerFile(path).read()


WRITER = """
import sys
from pathlib import Path
from contrastive_har.labelling.answers import Answer, AnswerFile
file = AnswerFile(Path(sys.argv[1]))
for number in range(100_000):
    file.append(Answer(recording="r", start=number, end=number + 1, activity="walk", labeller="a", labelled_at=""))
    print(number, flush=True)
"""


def test_a_killed_process_loses_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    said = process.stdout.read().splitlines()
    process.wait()
    numbers = [one.start for one in AnswerFile(path).read()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= int(said[-1]) + 1 if said else 1


def test_ingestion_reads_answers_as_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for subject in ("anna", "ben"):
        own_frame(subject, rng).drop(columns="activity").to_csv(tmp_path / f"{subject}.csv", index=False)
    file = AnswerFile(tmp_path / "labels.csv")
    file.append(answer(4, "walk", recording="anna"))
    file.append(answer(0, "rest", recording="anna"))
    file.append(answer(10, "", recording="anna", remark="unsure"))
    file.append(answer(2, "run", recording="ben"))
    intervals = {"pattern": "labels.csv", "timestamp": {"unit": "s"}}
    (tmp_path / "dataset.yml").write_text(yaml.safe_dump({**OWN_DESCRIPTION, "intervals": intervals}))
    by_name = {one.name: one for one in ingest(tmp_path)[0]}
    for name, expected in (("anna", {0: "rest", 4: "walk"}), ("ben", {2: "run"})):
        seconds = by_name[name].sample / OWN_DESCRIPTION["sampling_rate_hz"]  # type: ignore[operator]
        codes = np.full(len(seconds), -1)
        for start, activity in expected.items():
            code = next(code for code, known in OWN_DESCRIPTION["activities"].items() if known == activity)  # type: ignore[attr-defined]
            codes[(seconds >= start) & (seconds < start + 2)] = code
        np.testing.assert_array_equal(by_name[name].activity, codes)


def test_kappa_is_scikit_learns_of_the_time_that_both_labelled() -> None:
    rng = np.random.default_rng(0)
    names = ["rest", "walk", "run"]
    first = [answer(2 * index, names[rng.integers(3)]) for index in range(40)]
    second = [
        answer(2 * index, one.activity if rng.random() < 0.7 else "run", "ben") for index, one in enumerate(first)
    ]
    found = compare_answers(first, [*second[5:], answer(200, "rest", "ben"), answer(0, "rest", "ben", recording="r2")])
    pairs = [(one.activity, other.activity) for one, other in zip(first[5:], second[5:], strict=True)]
    assert found.seconds == 70
    assert found.kappa == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    different = [2.0 * index for index, (one, other) in enumerate(pairs, 5) if one != other]
    assert found.disagreements["start"].tolist() == different
    assert np.isnan(compare_answers(first, []).kappa)


def test_label_studio_and_back() -> None:
    given = [answer(0, "walk"), answer(4, "run"), answer(2, "rest", "ben", recording="r2")]
    signals = {"r1": {"seconds": [0.0, 0.5], "x": [1.0, 2.0]}, "r2": {"seconds": [0.0], "x": [3.0]}}
    tasks = to_tasks([*given, answer(8, "", remark="skipped")], [answer(20, "")], signals.__getitem__)
    assert [task["data"]["signal"] for task in tasks] == [signals["r1"], signals["r2"]]
    assert not any("completed_by" in annotation for task in tasks for annotation in task["annotations"])
    assert [task["data"]["recording"] for task in tasks] == ["r1", "r2"]
    assert tasks[0]["predictions"][0]["result"][0]["value"]["start"] == 20
    tasks[0]["annotations"][0]["result"] += tasks[0]["predictions"][0]["result"]  # as if accepted, but not labelled
    back = from_tasks(tasks, "somebody")
    assert [one.model_copy(update={"labelled_at": given[0].labelled_at}) for one in back] == given
    for region in tasks[1]["annotations"][0]["result"]:
        del region["meta"]  # of a region that was made in Label Studio
    tasks[1]["annotations"][0] |= {"completed_by": {"id": 1, "email": "ben@example.org"}, "created_at": "2026-01-01"}
    (of_ben,) = from_tasks(tasks[1:], "somebody")
    assert (of_ben.labeller, of_ben.labelled_at) == ("ben@example.org", "2026-01-01")
    tasks[1]["annotations"][0]["completed_by"] = 1
    assert from_tasks(tasks[1:], "somebody")[0].labeller == "somebody"
    with pytest.raises(ValueError, match="task 1 of the Label Studio export"):
        from_tasks([{"data": {}}], "anna")
