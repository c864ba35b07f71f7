"""Groups beside subjects, such as sessions: on their way through files, and as what splits hold out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tables import parquet_writer
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.groups import natural_order
from contrastive_har.signals.leakage import LeakageError, _SampleCover, count_leakage, require_leak_free
from contrastive_har.signals.recordings import (
    BadRecordingError,
    Recording,
    Recordings,
    check_recording,
    read_recordings,
    write_recordings,
)
from contrastive_har.signals.roles import Roles, SplitError
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from tests.conftest import recording

HALF = LabelBudget(share=0.5)
SESSIONS = {"anna": 10, "ben": 5, "cara": 6, "dora": 3, "emil": 1}
"""Sessions of each subject; all of them were in session 1, one was in session 10."""
BY_SESSION = SplitSettings(title="Sessions", leak_free=True, held_out="session", pretrain_on="train")


@pytest.fixture(scope="module")
def sessions(description: DatasetDescription) -> Recordings:
    described = DatasetDescription.model_validate({**description.model_dump(), "groups": ["session", "room"]})
    rng = np.random.default_rng(0)
    made = [
        replace(
            recording(subject, rng, seconds=2.0),
            name=f"{subject}, session {session}",
            groups={"room": "kitchen" if session % 2 else "hall", "session": str(session)},
        )
        for subject, count in SESSIONS.items()
        for session in range(1, count + 1)
    ]
    return Recordings(described, lambda: iter(made))


@pytest.fixture(scope="module")
def windows(sessions: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("sessions") / "windows.parquet"
    write_windows(cut_windows(sessions, WindowSettings(length=32, stride=16)), path)
    return read_windows(path)


def assign(windows: Windows, split: SplitSettings, repeats: int = 1, seed: int = 0) -> Roles:
    return assign_roles(windows, SplitPlan(name="s", split=split, label_budgets=(HALF,), repeats=repeats, seed=seed))


def values(windows: Windows, members: np.ndarray, group: str = "session") -> set[str]:
    return set(windows.table[group].to_numpy()[members])


def split(**changes: object) -> SplitSettings:
    return SplitSettings.model_validate({**BY_SESSION.model_dump(), **changes})


def test_stored_recordings_keep_their_groups(sessions: Recordings, tmp_path: Path) -> None:
    write_recordings(sessions, tmp_path / "recordings.parquet")
    stored = read_recordings(tmp_path / "recordings.parquet")
    assert stored.description == sessions.description
    assert stored.description.groups == ("session", "room")
    assert [one.groups for one in stored] == [one.groups for one in sessions]
    for before, after in zip(sessions, stored, strict=True):
        assert (before.subject, before.name) == (after.subject, after.name)
        np.testing.assert_array_equal(before.samples, after.samples)
        np.testing.assert_array_equal(before.activity, after.activity)


@pytest.mark.parametrize("settings", [{"length": 32, "stride": 16}, {"cut": "clips", "length": 40}])
def test_stored_windows_keep_their_groups(sessions: Recordings, settings: dict[str, object], tmp_path: Path) -> None:
    write_windows(cut_windows(sessions, WindowSettings.model_validate(settings)), tmp_path / "windows.parquet")
    table = read_windows(tmp_path / "windows.parquet").table
    expected = ["window", "subject", "session", "room", "recording", "start", "end", "activity"]
    assert list(table.columns) == expected
    for one in sessions:
        mine = table[table["recording"] == one.name]
        assert len(mine) >= 3
        assert set(zip(mine["subject"], mine["session"], mine["room"], strict=True)) == {
            (one.subject, one.groups["session"], one.groups["room"])
        }


@pytest.mark.parametrize("groups", [{}, {"session": "1"}, {"session": "1", "room": "hall", "weather": "rain"}])
def test_recordings_have_the_declared_groups(sessions: Recordings, groups: dict[str, str]) -> None:
    one = replace(next(iter(sessions)), groups=groups)
    with pytest.raises(BadRecordingError, match=r"a\.csv: belongs to groups .* where \['room', 'session'\]"):
        check_recording(one, sessions.description, "a.csv")


def test_files_without_the_declared_groups_are_refused(sessions: Recordings, tmp_path: Path) -> None:
    paths = tmp_path / "recordings.parquet", tmp_path / "windows.parquet"
    write_recordings(sessions, paths[0])
    write_windows(cut_windows(sessions, WindowSettings(length=32, stride=32)), paths[1])
    for path, read in zip(paths, (read_recordings, read_windows), strict=True):
        table = pq.read_table(path)
        metadata = {**table.schema.metadata, b"rejections": b"[]"}
        without = table.drop_columns(["session"]).replace_schema_metadata(metadata)
        with parquet_writer(path, without.schema) as (writer, _):
            writer.write_table(without)
        with pytest.raises(SchemaError, match=r"columns .* instead of .*session string"):
            read(path)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["session", "session"], "group names must differ"),
        (["subject"], "can be named"),
        (["recording"], "can be named"),
        (["activity"], "can be named"),
        (["x"], "can be named"),
        (["window"], "can be named"),
        (["start"], "can be named"),
        (["end"], "can be named"),
        (["signal"], "can be named"),
        (["none"], "can be named"),
    ],
)
def test_groups_are_not_named_as_other_columns(
    description: DatasetDescription, groups: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DatasetDescription.model_validate({**description.model_dump(), "groups": groups})


def test_sessions_are_tested_in_turn(windows: Windows) -> None:
    roles = assign(windows, BY_SESSION, repeats=5)
    tested = []
    for repeat in range(5):
        test = values(windows, roles.members(repeat, "test", HALF))
        validation = values(windows, roles.members(repeat, "validation", HALF))
        train = values(windows, roles.members(repeat, "train", HALF))
        pretrain = values(windows, roles.members(repeat, "pretrain"))
        assert (len(test), len(validation)) == (2, 1), "20 % and 10 % of ten sessions"
        assert pretrain == set(windows.table["session"]) - test - validation
        assert train <= pretrain
        tested.append(test)
    assert set.union(*tested) == set(windows.table["session"])
    every = windows.table[windows.table["session"].isin(tested[0])]
    np.testing.assert_array_equal(roles.members(0, "test", HALF), every["window"])


def test_sessions_are_held_out_by_list(windows: Windows) -> None:
    named = split(test_groups={"synthetic": [[2, 10], ["1"]], "another": [[7]]}, validation_groups={"synthetic": [[3]]})
    roles = assign(windows, named, repeats=3)
    for repeat in range(3):
        assert values(windows, roles.members(repeat, "test", HALF)) == ({"2", "10"}, {"1"})[repeat % 2]
        assert values(windows, roles.members(repeat, "validation", HALF)) == {"3"}
    with pytest.raises(SplitError, match=r"holds out values \['11'\] of 'session' that the data do not have"):
        assign(windows, split(test_groups={"synthetic": [[11]]}))


@pytest.mark.parametrize(("share", "held_out"), [(0.05, 1), (0.1, 1), (0.34, 3), (0.5, 5), (0.8, 8)])
def test_sessions_are_held_out_by_share(windows: Windows, share: float, held_out: int) -> None:
    roles = assign(windows, split(test_share=share, validation_share=0.1), seed=3)
    test = values(windows, roles.members(0, "test", HALF))
    assert len(test) == held_out
    assert len(values(windows, roles.members(0, "validation", HALF))) == 1
    assert len(values(windows, roles.members(0, "pretrain"))) == 10 - 1 - held_out


def test_the_last_sessions_of_all_are_held_out_in_ascending_order(windows: Windows) -> None:
    roles = assign(windows, split(order="ascending"), repeats=2)
    for repeat in range(2):
        assert values(windows, roles.members(repeat, "test", HALF)) == {"9", "10"}
        assert values(windows, roles.members(repeat, "validation", HALF)) == {"8"}
        assert values(windows, roles.members(repeat, "pretrain")) == {str(number) for number in range(1, 8)}


@pytest.mark.parametrize("test_share", [0.2, 0.3, 0.5])
def test_the_last_sessions_of_each_subject_are_held_out_in_ascending_order(windows: Windows, test_share: float) -> None:
    """Training keeps the first ceil((1 - test_share) n) of a subject's n sessions."""
    within = split(within=["subject"], order="ascending", test_share=test_share, validation_share=0)
    roles = assign(windows, within)
    assert "validation" not in set(roles.table["role"])
    for subject, count in SESSIONS.items():
        kept = math.ceil(count * round(10 * (1 - test_share)) / 10)
        for role, expected in (("pretrain", range(1, kept + 1)), ("test", range(kept + 1, count + 1))):
            members = roles.members(0, role, HALF)  # type: ignore[arg-type]
            mine = members[windows.table["subject"].to_numpy()[members] == subject]
            assert values(windows, mine) == {str(session) for session in expected}, (subject, role)


def test_training_keeps_four_fifths_of_each_subjects_sessions(windows: Windows) -> None:
    roles = assign(windows, split(within=["subject"], order="ascending", validation_share=0))
    table = windows.table.iloc[roles.members(0, "pretrain")]
    assert table.groupby("subject")["session"].nunique().to_dict() == {
        subject: math.ceil(0.8 * count) for subject, count in SESSIONS.items()
    }
    assert values(windows, roles.members(0, "test", HALF), "subject") == {"anna", "ben", "cara"}, "dora has too few"


def test_sessions_before_those_tested_validate(windows: Windows) -> None:
    roles = assign(windows, split(within=["subject"], order="ascending", validation_share=0.2))
    found = windows.table.iloc[roles.members(0, "validation", HALF)]
    held_out = {subject: set(mine["session"]) for subject, mine in found.groupby("subject")}
    assert held_out == {"anna": {"7", "8"}, "ben": {"4"}, "cara": {"5"}, "dora": {"3"}}
    emil = windows.table.index[windows.table["subject"] == "emil"]
    assert set(emil) <= set(roles.members(0, "pretrain")), "a single session is learned from"


def test_sessions_drawn_within_subjects_are_tested_in_turn(windows: Windows) -> None:
    roles = assign(windows, split(within=["subject"], validation_share=0), repeats=5)
    tested = [windows.table.iloc[roles.members(repeat, "test", HALF)] for repeat in range(5)]
    for subject in ("anna", "ben", "cara"):
        sessions_of = [set(table.loc[table["subject"] == subject, "session"]) for table in tested]
        assert {len(found) for found in sessions_of} == {SESSIONS[subject] // 5}
        assert len(set.union(*sessions_of)) == SESSIONS[subject] - SESSIONS[subject] % 5
    drawn = assign(windows, split(within=["subject"], validation_share=0), seed=1)
    assert not np.array_equal(drawn.members(0, "test", HALF), roles.members(0, "test", HALF))


def test_groups_may_be_held_out_within_several_others(windows: Windows) -> None:
    roles = assign(windows, split(within=["subject", "room"], order="ascending", validation_share=0))
    table = windows.table.iloc[roles.members(0, "test", HALF)]
    held_out = {key: set(mine["session"]) for key, mine in table.groupby(["subject", "room"])}
    assert held_out == {("anna", "hall"): {"10"}, ("anna", "kitchen"): {"9"}}, "others have fewer than five there"


def test_nothing_to_test_on_within_a_group_is_refused(windows: Windows) -> None:
    few = windows.table[windows.table["subject"].isin(["dora", "emil"])].reset_index(drop=True)
    with pytest.raises(SplitError, match=r"too few values of 'session' within subject: nothing is left .*test_share"):
        assign(replace(windows, table=few), split(within=["subject"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": "scene"}, r"no groups \['scene'\]; it has subject, session, room"),
        ({"held_out": "subjects"}, r"no groups \['subjects'\]"),
        ({"within": ["scene"]}, r"no groups \['scene'\]"),
        ({"within": ["room", "scene"], "held_out": "weather"}, r"no groups \['scene', 'weather'\]"),
    ],
)
def test_unknown_groups_are_refused_by_name(windows: Windows, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SplitError, match=rf"'synthetic'.*{message}.*held_out"):
        assign(windows, split(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"within": ["subject", "session"]}, "held_out and within both name 'session'"),
        ({"within": ["subject"], "test_groups": {"synthetic": [["1"]]}}, "leave out 'within'"),
        ({"within": ["subject"], "validation_groups": {"synthetic": [["1"]]}}, "leave out 'within'"),
        ({"order": "descending"}, "order"),
    ],
)
def test_splits_that_contradict_themselves_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(**changes)


def literal_shared(windows: Windows, test: Sequence[int], other: Sequence[int]) -> dict[str, int]:
    """What two sets of windows share, one window after the other."""

    def samples(members: Sequence[int]) -> set[tuple[str, int]]:
        rows = windows.table.iloc[list(members)]
        return {(row.recording, sample) for row in rows.itertuples(index=False) for sample in range(row.start, row.end)}

    def count(group: str) -> int:
        return len(values(windows, np.array(test), group) & values(windows, np.array(other), group))

    return {
        "raw_samples": len(samples(test) & samples(other)),
        "windows": len(set(test) & set(other)),
        "subjects": count("subject"),
        "sessions": count("session"),
    }


def test_the_audit_counts_shared_subjects_and_sessions(windows: Windows) -> None:
    roles = assign(windows, BY_SESSION)
    report = count_leakage(windows, roles, BY_SESSION)
    assert (report["leak_free"], report["held_out"]) == (True, "session")
    (audit,) = report["by_label_budget"]
    test = roles.members(0, "test", HALF).tolist()
    assert audit["test"] == literal_shared(windows, test, test)
    for role in ("pretrain", "train", "validation"):
        counted = audit["shared_with"][role]
        assert counted == literal_shared(windows, test, roles.members(0, role, HALF).tolist())  # type: ignore[arg-type]
        assert counted["subjects"] > 0
        assert (counted["raw_samples"], counted["windows"], counted["sessions"]) == (0, 0, 0)
    require_leak_free(report, "s")


def test_within_subjects_the_audit_counts_each_subjects_sessions(windows: Windows) -> None:
    """Anna's session 9 is another than that of somebody else."""
    within = split(within=["subject"], order="ascending", validation_share=0)
    roles = assign(windows, within)
    report = count_leakage(windows, roles, within)
    (audit,) = report["by_label_budget"]
    assert audit["test"]["sessions"] == 2 + 1 + 1
    assert audit["test"]["subjects"] == 3
    assert audit["shared_with"]["train"] == {"raw_samples": 0, "windows": 0, "subjects": 3, "sessions": 0}
    require_leak_free(report, "s")


@pytest.mark.parametrize("held_out", ["subject", "none"])
def test_by_subject_nothing_else_is_counted(windows: Windows, held_out: str) -> None:
    by_subject = split(held_out=held_out, leak_free=held_out == "subject", pretrain_on="all")
    report = count_leakage(windows, assign(windows, by_subject), by_subject)
    assert set(report["by_label_budget"][0]["test"]) == {"raw_samples", "windows", "subjects"}


def planted(windows: Windows, roles: Roles, window: int) -> Roles:
    """Let a window train too."""
    row = pd.DataFrame({"split": "s", "repeat": 0, "label_budget": HALF.name, "window": [window], "role": "train"})
    return Roles(pd.concat([roles.table, row], ignore_index=True))


def test_a_shared_session_is_caught_though_no_sample_is_shared(windows: Windows) -> None:
    """Ben's and Cara's windows of session 2 are of one session where sessions are held out for all subjects."""
    by_list = split(test_groups={"synthetic": [["2"]]}, validation_share=0)
    roles = assign(windows, by_list)
    table = windows.table
    (ben, *_) = table.index[(table["subject"] == "ben") & (table["session"] == "2")]
    without_ben = Roles(roles.table[(roles.table["window"] != ben) | (roles.table["role"] != "test")])
    neighbours = table.index[(table["recording"] == table["recording"][ben]) & (table["start"] < table["end"][ben])]
    apart = Roles(without_ben.table[~without_ben.table["window"].isin(neighbours)])
    require_leak_free(count_leakage(windows, apart, by_list), "s")
    leaking = count_leakage(windows, planted(windows, apart, int(ben)), by_list)
    with pytest.raises(LeakageError, match=r"0 raw samples, 0 windows, \d subjects, 1 sessions with role 'train'"):
        require_leak_free(leaking, "s")
    require_leak_free({**leaking, "leak_free": False}, "s")


def test_a_shared_window_is_caught_in_a_session_split(windows: Windows) -> None:
    roles = assign(windows, BY_SESSION)
    leak = int(roles.members(0, "test", HALF)[0])
    report = count_leakage(windows, planted(windows, roles, leak), BY_SESSION)
    with pytest.raises(LeakageError, match=r"32 raw samples, 1 windows, \d subjects, 1 sessions with role 'train'"):
        require_leak_free(report, "s")


def test_shared_subjects_are_tolerated_in_no_subject_split(windows: Windows) -> None:
    roles = assign(windows, BY_SESSION)
    report = count_leakage(windows, roles, BY_SESSION)
    assert report["by_label_budget"][0]["shared_with"]["train"]["subjects"] > 0
    require_leak_free(report, "s")
    for held_out in ("subject", "none"):
        with pytest.raises(LeakageError, match="subjects"):
            require_leak_free({**report, "held_out": held_out}, "s")


def test_recordings_without_groups_have_none() -> None:
    one = Recording("s", "r", np.arange(3), np.zeros(3, np.int16), np.zeros((3, 1), np.float32))
    assert one.groups == {}


def test_names_are_sorted_by_their_numbers() -> None:
    assert natural_order(["10", "9", "03", "2", "s10", "s9", "b", ""]) == ["", "2", "03", "9", "10", "b", "s9", "s10"]
    assert natural_order(["1", "01", "x²", "x1"]) == natural_order(["x1", "x²", "01", "1"])


def test_shared_samples_are_those_that_both_cover(windows: Windows) -> None:
    rng = np.random.default_rng(0)
    count = len(windows.table)
    nothing = np.array([], np.int64)
    assert _SampleCover(windows).shared(nothing, np.arange(count)) == 0
    for size in (1, 10, count):
        some, others = (rng.choice(count, size, replace=False) for _ in range(2))
        shared = _SampleCover(windows).shared(some, others)
        assert shared == literal_shared(windows, some.tolist(), others.tolist())["raw_samples"]
