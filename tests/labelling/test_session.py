"""Sessions: rounds of proposals, answers on disk, going on after the end."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.labelling.answers import Answer
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.my_data import describe
from contrastive_har.use.recogniser_files import write_recogniser
from contrastive_har.use.recognisers import Architecture, Origin, TrainedRecogniser
from tests.conftest import ACTIVITIES, RATE
from tests.labelling.conftest import SUBJECTS, answer_next, open_session, table_of, true_activity
from tests.sources.own.made import ingest


def test_windows_are_those_of_the_files(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder)
    frame = pd.read_csv(unlabelled_folder / "ben.csv")
    table = session.unlabelled.windows.table
    assert set(table["recording"]) == set(SUBJECTS)
    for index in np.flatnonzero(table["recording"] == "ben"):
        start, end = session.span(index)
        rows = frame[(frame["timestamp"] >= start - 1e-6) & (frame["timestamp"] < end - 1e-6)]
        np.testing.assert_allclose(session.unlabelled.windows.signals[index], rows[["x", "y", "z"]], atol=1e-4)


def test_of_two_files_with_a_recording_of_one_name_the_second_is_left_out(
    unlabelled_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers find a recording by its name: joined, the two would be one signal of nobody."""
    for name in ("anna", "ben"):
        path = unlabelled_folder / f"{name}.csv"
        pd.read_csv(path).assign(recording="1").to_csv(path, index=False)
    signals = open_session(unlabelled_folder).unlabelled.windows.signals
    assert re.search(r"ben.csv: a recording named '1' is also in .*anna.csv", caplog.text)
    (unlabelled_folder / "ben.csv").unlink()
    np.testing.assert_array_equal(open_session(unlabelled_folder).unlabelled.windows.signals, signals)


def test_windows_are_chosen_once_in_a_round(unlabelled_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(unlabelled_folder)
    chosen: list[int] = []
    choose = type(session)._chooser
    monkeypatch.setattr(type(session), "_chooser", lambda *given: (chosen.append(0), choose(*given))[1])
    answer_next(session, 5)
    assert len(chosen) == 1


def test_the_reason_is_that_of_the_round(unlabelled_folder: Path) -> None:
    """Labels of a second activity come in the round whose windows were chosen without a head."""
    session = open_session(unlabelled_folder, strategy={"name": "margin"})
    without_head = "at the centre of a cluster of similar windows"
    while len(np.unique(session.labelled()[1].classes)) < 2:
        answer_next(session, 1)
    assert 0 < len(session.answers()) < 6
    assert set(session.table()["why"]) == {without_head}
    answer_next(session, 6 - len(session.answers()))
    assert set(session.table()["why"]) == {"the head hesitates between two activities"}


def test_what_an_answer_overlaps_is_not_asked_again(unlabelled_folder: Path) -> None:
    """Annotations that were drawn by hand end inside of windows; these could not be answered, and no other came."""
    session = open_session(unlabelled_folder)
    for start, end in ((1.0, 7.3), (12.1, 20.7)):
        session.file.append(
            Answer(recording="anna", start=start, end=end, activity="walk", labeller="me", labelled_at="")
        )
    for _ in range(30):
        if not (left := session.proposals()):
            break
        session.answer(left[0], "rest", "anna")
    spans = sorted((one.start, one.end) for one in session.answers() if one.recording == "anna")
    assert len(spans) > 2
    assert all(end <= begin + 0.1 for (_, end), (begin, _) in pairwise(spans))


def test_a_session_that_is_opened_again_goes_on(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder)
    planned = session.proposals()
    assert len(planned) == 6
    assert answer_next(session, 4) == planned[:4]
    again = open_session(unlabelled_folder)
    assert again.proposals() == planned[4:]
    answer_next(again, 2)
    following = again.proposals()
    assert len(following) == 6
    assert not set(following) & set(planned)
    assert again.file.undo() is not None
    assert again.proposals() == planned[5:]


@pytest.mark.parametrize("strategy", ["random", "cluster_centres", "badge", "margin"])
def test_rounds_go_on_until_every_window_is_covered(unlabelled_folder: Path, strategy: str) -> None:
    session = open_session(unlabelled_folder, strategy={"name": strategy}, length=4, stride=4)
    chosen = answer_next(session, len(session.embeddings))
    assert sorted(chosen) == list(range(len(session.embeddings)))
    assert session.proposals() == []
    assert len(session.table()) == 0


def test_stretches_are_asked_for_and_answered_whole(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder, strategy={"name": "cluster_centres", "stretch": 6})
    table = session.unlabelled.windows.table
    proposed = session.table()
    assert len(proposed) == 6
    np.testing.assert_allclose(proposed["seconds"], proposed["end"] - proposed["start"])
    assert proposed["seconds"].between(2.56, 6).all()
    for place, index in enumerate(session.proposals()):
        members = session.members(index)
        answer = session.answer(index, "walk", "anna")
        assert [answer.recording, answer.start, answer.end] == proposed.iloc[place, :3].tolist()
        assert set(table["recording"].iloc[members]) == {answer.recording}
        inside = [
            other
            for other, (start, end) in enumerate(map(session.unlabelled.seconds, range(len(table)), range(len(table))))
            if table["recording"].iloc[other] == answer.recording and answer.start <= start and end <= answer.end
        ]
        assert members.tolist() == inside
        assert set(inside) <= set(session.labelled()[0].tolist())
    asked = {index for place in session.proposals() for index in session.members(place)}
    assert asked
    assert not asked & set(session.labelled()[0].tolist())
    assert session.believed(session.proposals()[0]) == {}
    session.file.undo()
    assert len(session.proposals()) == 1


def test_what_is_believed_of_a_stretch_is_the_mean_of_its_windows(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder, strategy={"name": "badge", "stretch": 6})
    answer_next(session, 6)
    index = session.proposals()[0]
    single = open_session(unlabelled_folder)
    of_windows = [list(single.believed(int(member)).values()) for member in session.members(index)]
    assert len(of_windows) > 1
    np.testing.assert_allclose(list(session.believed(index).values()), np.mean(of_windows, axis=0), atol=1e-6)


@pytest.mark.parametrize("strategy", ["random", "core_set", "badge"])
def test_rounds_go_on_until_every_stretch_is_answered(unlabelled_folder: Path, strategy: str) -> None:
    session = open_session(unlabelled_folder, strategy={"name": strategy, "stretch": 6})
    chosen = answer_next(session, 16)  # of four recordings of 24 s
    assert session.proposals() == []
    spans = [(session._recording(index), *session.span(index)) for index in chosen]
    assert len({name for name, _, _ in spans}) == 4
    for place, (name, start, end) in enumerate(spans):
        assert not any(name == other and start < stop and begin < end for other, begin, stop in spans[:place])


def test_stretches_end_at_gaps(unlabelled_folder: Path) -> None:
    frame = pd.read_csv(unlabelled_folder / "ben.csv")
    frame[(frame["timestamp"] < 12) | (frame["timestamp"] >= 13)].to_csv(unlabelled_folder / "ben.csv", index=False)
    session = open_session(unlabelled_folder, windows=100, strategy={"name": "random", "stretch": 8})
    spans = session.table().query("recording == 'ben'")
    assert ((spans["end"] <= 12.001) | (spans["start"] >= 12.999)).all()
    assert spans["start"].min() == pytest.approx(0)
    (after,) = spans[spans["start"] > 12].sort_values("start").head(1).to_dict("records")
    assert after["start"] == pytest.approx(13)
    assert after["end"] > 16 + 2.56  # of a stretch of its own


def test_a_head_learns_from_the_answers(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder)
    assert session.believed(0) == {}
    answer_next(session, 12)
    index = session.proposals()[0]
    truth = true_activity(session.span(index)[0])
    assert max(session.believed(index), key=lambda name: session.believed(index)[name]) == truth
    nearest = session.examples(index, 3)
    assert len(nearest) == 3
    assert nearest[0].activity == truth


def test_unsure_answers_teach_nothing_and_are_not_asked_again(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder)
    first = session.proposals()[0]
    session.answer(first, "", "anna", "unsure")
    assert first not in session.proposals()
    assert len(session.labelled()[0]) == 0
    assert table_of(unlabelled_folder)["remark"].tolist() == ["unsure"]


def test_impossible_answers_are_refused(unlabelled_folder: Path) -> None:
    session = open_session(unlabelled_folder)
    for index, activity in ((10_000, "walk"), (-1, "walk"), (0, "swim"), (0, "")):
        with pytest.raises(ValueError, match=r"no window|unknown activity"):
            session.answer(index, activity, "anna")
    assert not (unlabelled_folder / "labels.csv").exists()


@pytest.mark.parametrize("stretch", [None, 5])
def test_answers_of_any_extent_are_not_asked_again(unlabelled_folder: Path, stretch: float | None) -> None:
    """As of regions drawn in Label Studio: what is proposed beside them can be ingested."""
    description = yaml.safe_load((unlabelled_folder / "dataset.yml").read_text())
    description["intervals"] = {"pattern": "labels.csv", "timestamp": {"unit": "s"}}
    for name in SUBJECTS:
        frame = pd.read_csv(unlabelled_folder / f"{name}.csv")
        frame.assign(subject=name).to_csv(unlabelled_folder / f"{name}.csv", index=False)
    (unlabelled_folder / "dataset.yml").write_text(yaml.safe_dump(description))
    session = open_session(unlabelled_folder, strategy={"name": "random", "stretch": stretch})
    drawn = session.answer(session.proposals()[0], "walk", "anna")
    session.file.undo()
    for name in SUBJECTS:
        for start, end in ((0.5, 0.9), (3.3, 7.71), (15.0, 19.9)):
            session.file.append(drawn.model_copy(update={"recording": name, "start": start, "end": end}))
    while proposals := session.proposals():
        session.answer(proposals[0], "run", "anna")
    _, rejected = ingest(unlabelled_folder)
    assert not [other for other in rejected if not other.passed_over]
    assert len(session.answers()) > 12


def test_what_has_an_answer_gets_no_second(unlabelled_folder: Path) -> None:
    """As in two pages that are open at once."""
    first, second = open_session(unlabelled_folder), open_session(unlabelled_folder)
    index = second.proposals()[0]
    first.answer(index, "walk", "anna")
    with pytest.raises(ValueError, match="has an answer already"):
        second.answer(index, "run", "ben")
    assert len(table_of(unlabelled_folder)) == 1


def test_nothing_of_the_originals_is_changed(unlabelled_folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in unlabelled_folder.iterdir()}
    answer_next(open_session(unlabelled_folder), 3)
    after = {path.name: path.read_bytes() for path in unlabelled_folder.iterdir()}
    assert after.keys() - before.keys() == {"labels.csv"}
    assert {name: after[name] for name in before} == before


def test_the_encoder_of_a_recogniser_is_used(unlabelled_folder: Path, tmp_path: Path) -> None:
    description = describe(unlabelled_folder)
    backbone = BackboneSettings(encoder=TPNSettings(channels=(6, 8), kernels=(5, 3), dropout=0.1))
    architecture = Architecture(
        description=description, length=100, stride=50, backbone=backbone, head=LogisticSettings()
    )
    weights = architecture._network(1.0).state_dict()
    scores = dict.fromkeys(("validation_macro_f1", "mean_validation_macro_f1", "mean_test_macro_f1"), 0.5)
    names = dict.fromkeys(("protocol", "split", "method", "evaluation"), "some")
    origin = Origin(**names, label_budget="1 %", repeat=0, **scores)
    write_recogniser(TrainedRecogniser(architecture, weights, origin), tmp_path / "recogniser.safetensors")
    session = open_session(unlabelled_folder, recogniser=tmp_path / "recogniser.safetensors")
    assert session.embeddings.shape[1] == 8
    assert session.unlabelled.windows.length == 100
    assert len(session.proposals()) == 6


@pytest.mark.parametrize("stamp", ["seconds", "milliseconds", "dates"])
def test_ingestion_reads_the_answers_whatever_the_time_stamps(unlabelled_folder: Path, stamp: str) -> None:
    description = yaml.safe_load((unlabelled_folder / "dataset.yml").read_text())
    for name in SUBJECTS:
        frame = pd.read_csv(unlabelled_folder / f"{name}.csv")
        if stamp == "milliseconds":
            frame["timestamp"] = (1000 * frame["timestamp"]).round().astype(int) + 5_000
            description["timestamp"] = {"unit": "ms"}
        elif stamp == "dates":
            frame["timestamp"] = pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(frame["timestamp"], "s")
        frame.assign(subject=name).to_csv(unlabelled_folder / f"{name}.csv", index=False)
    description["intervals"] = {"pattern": "labels.csv", "timestamp": {"unit": "s"}}
    (unlabelled_folder / "dataset.yml").write_text(yaml.safe_dump(description))
    session = open_session(unlabelled_folder)
    expected = {name: np.full(24 * RATE, -1) for name in SUBJECTS}
    for code, index in enumerate(session.proposals()):
        recording = str(session.unlabelled.windows.table["recording"].iloc[index])
        session.answer(index, ACTIVITIES[code % 3], "anna")
        offset = int(session.unlabelled.offset[index])
        expected[recording][offset : offset + session.unlabelled.windows.length] = code % 3
    found, rejected = ingest(unlabelled_folder)
    assert not [other for other in rejected if not other.passed_over]
    for recording in found:
        np.testing.assert_array_equal(recording.activity, expected[recording.name], err_msg=recording.name)


def test_recordings_without_time_stamps_are_refused(unlabelled_folder: Path) -> None:
    for name in SUBJECTS:
        path = unlabelled_folder / f"{name}.csv"
        pd.read_csv(path).drop(columns="timestamp").to_csv(path, index=False)
    with pytest.raises(BadRecordingError, match="has no time stamps, or sensors in files of their own"):
        open_session(unlabelled_folder)
