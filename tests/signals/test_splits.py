from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tables import write_table
from contrastive_har.scores.metrics import macro_f1
from contrastive_har.signals.budgets import LabelBudget, parse_budget
from contrastive_har.signals.groups import natural_order
from contrastive_har.signals.leakage import LeakageError, count_leakage, require_leak_free
from contrastive_har.signals.roles import Role, Roles, SplitError, read_roles, write_roles
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows

PAPER = SplitSettings(title="Paper", leak_free=False, held_out="none", pretrain_on="all")
SUBJECTS = SplitSettings(title="Subjects", leak_free=True, held_out="subject", pretrain_on="train")
SPLITS = {"paper": PAPER, "subject_wise": SUBJECTS}
FEW, HALF, ALL = parse_budget("5 %"), parse_budget("50 %"), parse_budget("100 %")
ROLES: tuple[Role, ...] = ("pretrain", "train", "validation", "test")


def plan(
    split: SplitSettings,
    *budgets: LabelBudget,
    repeats: int = 1,
    seed: int = 0,
    name: str = "s",
) -> SplitPlan:
    return SplitPlan(name=name, split=split, label_budgets=budgets or (FEW, HALF), repeats=repeats, seed=seed)


def subjects_of(windows: Windows, members: np.ndarray) -> set[str]:
    return set(windows.table["subject"].to_numpy()[members])


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.9), held=st.floats(0.1, 0.5), kept=st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_roles_divide_the_windows(windows: Windows, seed: int, share: float, held: float, kept: float) -> None:
    budget = LabelBudget(share=share)
    by_subject = SUBJECTS.model_copy(update={"test_share": held, "validation_share": kept})
    paper = assign_roles(windows, plan(PAPER, budget, repeats=2, seed=seed, name="paper"))
    subject_wise = assign_roles(windows, plan(by_subject, budget, repeats=2, seed=seed, name="subject_wise"))
    everything = set(range(len(windows.table)))
    subjects = windows.table["subject"].to_numpy()
    classes = windows.classes()
    for repeat in range(2):
        train, test = (set(paper.members(repeat, role, budget)) for role in ("train", "test"))
        assert train | test == everything
        assert not train & test
        assert set(paper.members(repeat, "pretrain")) == everything

        roles = {role: subject_wise.members(repeat, role, budget) for role in ("train", "validation", "test")}
        roles["pretrain"] = subject_wise.members(repeat, "pretrain")
        by_role = {role: set(subjects[members]) for role, members in roles.items()}
        assert not by_role["test"] & (by_role["train"] | by_role["pretrain"] | by_role["validation"])
        assert not by_role["validation"] & (by_role["train"] | by_role["pretrain"])
        assert set(roles["train"]) <= set(roles["pretrain"])
        assert by_role["test"] | by_role["validation"] | by_role["pretrain"] == set(subjects)
        assert set(classes[roles["train"]]) == {0, 1, 2}


def test_drawn_shares_are_stratified(windows: Windows) -> None:
    roles = assign_roles(windows, plan(PAPER))
    classes = windows.classes()
    drawn = np.bincount(classes[roles.members(0, "train", HALF)])
    np.testing.assert_array_equal(drawn, np.round(np.bincount(classes) * 0.5))


def test_every_subject_is_tested_in_turn(windows: Windows) -> None:
    roles = assign_roles(windows, plan(SUBJECTS, repeats=5))
    tested = [subjects_of(windows, roles.members(repeat, "test", FEW)) for repeat in range(5)]
    assert all(len(subjects) == 2 for subjects in tested)
    assert set.union(*tested) == set(windows.table["subject"])


def test_the_second_time_round_subjects_are_tested_together_with_others(windows: Windows) -> None:
    roles = assign_roles(windows, plan(SUBJECTS, HALF, repeats=10))
    tested = [frozenset(subjects_of(windows, roles.members(repeat, "test", HALF))) for repeat in range(10)]
    assert frozenset.union(*tested[5:]) == set(windows.table["subject"])
    assert set(tested[:5]) != set(tested[5:])


def test_named_validation_subjects_are_never_tested(windows: Windows) -> None:
    named = SUBJECTS.model_copy(update={"validation_groups": {"synthetic": (("4", "5"),)}})
    roles = assign_roles(windows, plan(named, HALF, repeats=4))
    tested = [subjects_of(windows, roles.members(repeat, "test", HALF)) for repeat in range(4)]
    assert set.union(*tested) == set(windows.table["subject"]) - {"4", "5"}


def test_few_subjects_leave_some_to_validate_on(windows: Windows) -> None:
    few = windows.table[windows.table["subject"].isin(["1", "2", "3"])].reset_index(drop=True)
    roles = assign_roles(replace(windows, table=few), plan(SUBJECTS, HALF, repeats=3))
    assert set(roles.table["role"]) == set(ROLES)
    nothing = SUBJECTS.model_copy(update={"validation_share": 0})
    assert "validation" not in set(assign_roles(windows, plan(nothing)).table["role"])
    assert (nothing.validates, SUBJECTS.validates, PAPER.validates) == (False, True, False)


def test_fixed_test_subjects(windows: Windows) -> None:
    fixed = SplitSettings.model_validate(
        {
            **SUBJECTS.model_dump(),
            "test_groups": {"synthetic": [[3, 7], [1]], "another": [[2]]},
            "validation_groups": {"synthetic": [[4]]},
        }
    )
    roles = assign_roles(windows, plan(fixed, repeats=2))
    for repeat in range(2):
        assert subjects_of(windows, roles.members(repeat, "test", FEW)) == ({"3", "7"}, {"1"})[repeat]
        assert subjects_of(windows, roles.members(repeat, "validation", FEW)) == {"4"}


def test_where_test_subjects_are_listed_all_others_validate_in_turn(windows: Windows) -> None:
    fixed = SUBJECTS.model_copy(update={"test_groups": {"synthetic": (("3", "7"), ("1",))}, "validation_share": 0.2})
    roles = assign_roles(windows, plan(fixed, HALF, repeats=10))
    held = [
        [subjects_of(windows, roles.members(repeat, role, HALF)) for role in ("test", "validation")]
        for repeat in range(10)
    ]
    assert [test for test, _ in held] == [{"3", "7"}, {"1"}] * 5
    assert all(len(validation) == 2 and not validation & test for test, validation in held)
    assert set.union(*(validation for _, validation in held)) == set(windows.table["subject"])


def test_roles_depend_on_no_other_budget_or_repeat(windows: Windows) -> None:
    together = assign_roles(windows, plan(SUBJECTS, FEW, HALF, repeats=3, name="subject_wise"))
    alone = assign_roles(windows, plan(SUBJECTS, HALF, repeats=2, name="subject_wise"))
    for role in ROLES:
        np.testing.assert_array_equal(together.members(1, role, HALF), alone.members(1, role, HALF))
    otherwise = assign_roles(windows, plan(SUBJECTS, HALF, repeats=2, name="another"))
    assert not np.array_equal(otherwise.members(1, "train", HALF), alone.members(1, "train", HALF))


def test_unlabelled_windows_serve_pretraining_only(windows: Windows) -> None:
    half = windows.table.assign(activity=np.where(windows.table.index % 2, -1, windows.table["activity"]))
    unlabelled = set(half.index[half["activity"] == -1])
    for split in SPLITS.values():
        table = assign_roles(replace(windows, table=half), plan(split)).table
        used = table[table["window"].isin(unlabelled)]
        assert set(used["role"]) == {"pretrain"}


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"test_groups": {"synthetic": (("nobody",),)}}, "do not have"),
        (
            {"test_groups": {"synthetic": (("1", "2"),)}, "validation_groups": {"synthetic": (("2",),)}},
            r"tests and validates on \['2'\]",
        ),
        ({"test_share": 0.9, "validation_share": 0.5}, "nothing is left"),
    ],
)
def test_impossible_hold_outs_are_refused(windows: Windows, update: dict[str, object], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        assign_roles(windows, plan(SUBJECTS.model_copy(update=update)))


def test_all_labels_leave_nothing_to_test_on(windows: Windows) -> None:
    with pytest.raises(SplitError, match="with the label budget '100 %' leaves no window of 'rest' to test on: choose"):
        assign_roles(windows, plan(PAPER, ALL))


def test_a_share_that_leaves_a_class_nothing_to_test_on_is_refused(windows: Windows) -> None:
    rare = windows.table["activity"].where(windows.table["activity"] != 1, -1)
    rare[np.flatnonzero(windows.table["activity"] == 1)[0]] = 1  # one window of walking
    few = replace(windows, table=windows.table.assign(activity=rare))
    with pytest.raises(SplitError, match=r"leaves no window of 'walk' to test on: .* with a single window needs more"):
        assign_roles(few, plan(PAPER))


def test_test_subjects_who_have_not_done_everything_are_told(
    windows: Windows, caplog: pytest.LogCaptureFixture
) -> None:
    idle = windows.table.assign(
        activity=windows.table["activity"].where(windows.table["subject"] != "1", other=0).to_numpy()
    )
    named = SUBJECTS.model_copy(update={"test_groups": {"synthetic": (("1",),)}})
    assign_roles(replace(windows, table=idle), plan(named))
    assert caplog.messages == [
        f"Split 's' tests on subject 1, without a window of '{name}': its F1 is 0 if any window is predicted as it."
        for name in ("walk", "run")
    ]
    assert macro_f1(np.diag([9, 0, 0])) == 1
    assert macro_f1(np.array([[8, 1, 0], [0, 0, 0], [0, 0, 0]])) < 0.5
    lying = idle.assign(activity=idle["activity"].where(idle["subject"] != "1", other=-1).to_numpy())
    with pytest.raises(SplitError, match="'s' tests on subject 1, without a labelled window"):
        assign_roles(replace(windows, table=lying), plan(named))


def test_all_labels_are_for_held_out_subjects_only(windows: Windows) -> None:
    """Among other budgets, that of all labels is left out where nothing would be left to test on."""
    assert assign_roles(windows, plan(PAPER, HALF, ALL)).budgets == ["50 %"]
    roles = assign_roles(windows, plan(SUBJECTS, HALF, ALL))
    everything = roles.members(0, "train", ALL)
    np.testing.assert_array_equal(everything, roles.members(0, "pretrain"))
    assert len(roles.members(0, "test", ALL))


def test_a_class_without_windows_is_named(windows: Windows) -> None:
    no_run = windows.table[windows.table["activity"] != 2].reset_index(drop=True)
    with pytest.raises(SplitError, match="No window of 'run' was cut"):
        assign_roles(replace(windows, table=no_run), plan(PAPER))


def test_other_budgets_label_as_many_windows_as_they_say(windows: Windows) -> None:
    """Of equally frequent classes, the first counts as the most frequent."""
    seven, tail = parse_budget("7 per class"), parse_budget("long tail 4")
    roles = assign_roles(windows, plan(SUBJECTS, seven, tail, repeats=2))
    classes = windows.classes()
    for repeat in range(2):
        available = np.bincount(classes[roles.members(repeat, "pretrain")])
        assert len(set(available)) == 1, "each activity is recorded equally long"
        assert np.bincount(classes[roles.members(repeat, "train", seven)]).tolist() == [7, 7, 7]
        expected = [round(available[0] / share) for share in (1, 2, 4)]
        assert np.bincount(classes[roles.members(repeat, "train", tail)]).tolist() == expected
        assert set(roles.members(repeat, "train", tail)) <= set(roles.members(repeat, "pretrain"))


@pytest.mark.parametrize(("name", "count"), [("1 % of subjects", 1), ("25 % of subjects", 2), ("100 % of subjects", 7)])
def test_a_share_of_subjects_labels_all_their_windows(windows: Windows, name: str, count: int) -> None:
    budget = parse_budget(name)
    roles = assign_roles(windows, plan(SUBJECTS, budget, HALF, repeats=5))
    drawn = []
    for repeat in range(5):
        may_be_labelled = roles.members(repeat, "pretrain")
        train = roles.members(repeat, "train", budget)
        drawn.append(subjects_of(windows, train))
        assert len(drawn[-1]) == count
        theirs = windows.table["subject"].to_numpy()[may_be_labelled]
        np.testing.assert_array_equal(train, may_be_labelled[np.isin(theirs, list(drawn[-1]))])
        for role in ("test", "validation"):
            np.testing.assert_array_equal(roles.members(repeat, role, budget), roles.members(repeat, role, HALF))
    assert len(set(map(frozenset, drawn))) > 2
    again = assign_roles(windows, plan(SUBJECTS, budget, repeats=5))
    assert [subjects_of(windows, again.members(repeat, "train", budget)) for repeat in range(5)] == drawn


def test_where_nothing_is_held_out_the_other_subjects_are_tested(windows: Windows) -> None:
    half, everyone = parse_budget("50 % of subjects"), parse_budget("100 % of subjects")
    roles = assign_roles(windows, plan(PAPER, half, everyone))
    assert roles.budgets == [half.name]
    train, test = (subjects_of(windows, roles.members(0, role, half)) for role in ("train", "test"))
    assert (len(train), len(test)) == (5, 5)
    assert not train & test


def with_activities(windows: Windows, performed: dict[str, list[int]]) -> Windows:
    """Return windows without the labels of activities that a subject does not perform."""
    rows = zip(windows.table["subject"], windows.table["activity"], strict=True)
    activity = [code if code in performed.get(subject, [code]) else -1 for subject, code in rows]
    return replace(windows, table=windows.table.assign(activity=np.array(activity, np.int16)))


@pytest.fixture
def resting(windows: Windows) -> tuple[Windows, SplitSettings]:
    """Seven subjects may be labelled: all rest, only subject 3 runs, and only subject 4 walks."""
    some = with_activities(windows, {str(subject): [0] for subject in range(1, 8)} | {"3": [0, 2], "4": [0, 1]})
    held_out = {"test_groups": {"synthetic": (("8", "9"),)}, "validation_groups": {"synthetic": (("10",),)}}
    return some, SUBJECTS.model_copy(update=held_out)


def test_subjects_are_drawn_until_every_activity_is_labelled(
    resting: tuple[Windows, SplitSettings], caplog: pytest.LogCaptureFixture
) -> None:
    some, split = resting
    budget = parse_budget("40 % of subjects")
    roles = assign_roles(some, plan(split, budget, repeats=10))
    drawn = [subjects_of(some, roles.members(repeat, "train", budget)) for repeat in range(10)]
    assert all(len(subjects) == 3 and {"3", "4"} <= subjects for subjects in drawn)
    assert len(set.union(*drawn)) > 4, "the third is any other"
    assert not caplog.messages


def test_an_activity_that_no_drawn_subject_performs_is_told(
    resting: tuple[Windows, SplitSettings], caplog: pytest.LogCaptureFixture
) -> None:
    """One subject is drawn of the two that do more than rest."""
    some, split = resting
    budget = parse_budget("1 % of subjects")
    roles = assign_roles(some, plan(split, budget, repeats=10))
    drawn = [min(subjects_of(some, roles.members(repeat, "train", budget))) for repeat in range(10)]
    missing = {"3": "walk", "4": "run"}
    assert set(drawn) == set(missing)
    assert caplog.messages == [
        f"Split 's' labels subjects {one}, without a window of '{missing[one]}': no head is trained to recognise it."
        for one in drawn
    ]


def test_all_windows_but_those_of_one_activity(windows: Windows) -> None:
    without = parse_budget("without walk")
    roles = assign_roles(windows, plan(SUBJECTS, without, ALL))
    classes = windows.classes()
    everything = roles.members(0, "train", ALL)
    np.testing.assert_array_equal(roles.members(0, "train", without), everything[classes[everything] != 1])
    for role in ("test", "validation"):
        np.testing.assert_array_equal(roles.members(0, role, without), roles.members(0, role, ALL))
        assert set(classes[roles.members(0, role, without)]) == {0, 1, 2}
    with pytest.raises(SplitError, match="with the label budget 'without walk' leaves no window of 'rest' to test on"):
        assign_roles(windows, plan(PAPER, without, HALF))
    with pytest.raises(SplitError, match=r"budget 'without jump', but the activities are rest, walk, run\. Correct"):
        assign_roles(windows, plan(SUBJECTS, parse_budget("without jump")))


def test_an_activity_without_labels_needs_no_window_to_label(windows: Windows) -> None:
    """Only the subject who is tested walks."""
    some = with_activities(windows, {str(subject): [0, 2] for subject in range(2, 11)})
    split = SUBJECTS.model_copy(update={"test_groups": {"synthetic": (("1",),)}})
    roles = assign_roles(some, plan(split, parse_budget("without walk")))
    assert 1 in some.classes()[roles.members(0, "test", parse_budget("without walk"))]
    for name in ("without run", "50 % of subjects", "50 %"):
        with pytest.raises(SplitError, match="no window of 'walk' to label"):
            assign_roles(some, plan(split, parse_budget(name)))


def test_natural_order() -> None:
    assert natural_order(["10", "9", "s2", "s10", "s1"]) == ["9", "10", "s1", "s2", "s10"]


def test_stored_roles_are_the_same(windows: Windows, tmp_path: Path) -> None:
    roles = assign_roles(windows, plan(SUBJECTS, repeats=2))
    write_roles(roles, tmp_path / "roles.parquet")
    stored = read_roles(tmp_path / "roles.parquet")
    pd.testing.assert_frame_equal(stored.table, roles.table.astype(stored.table.dtypes))
    assert count_leakage(windows, stored, SUBJECTS) == count_leakage(windows, roles, SUBJECTS)
    assert (stored.split, stored.budgets) == ("s", ["5 %", "50 %"])
    for repeat in range(2):
        for role in ROLES:
            np.testing.assert_array_equal(stored.members(repeat, role, HALF), roles.members(repeat, role, HALF))
    with pytest.raises(SplitError, match=r"no repeat 3 of split 's'.*--tags=windowing"):
        stored.members(2, "test", HALF)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop(columns="repeat"),
        lambda table: table.rename(columns={"label_budget": "label_fraction"}),
        lambda table: table.assign(role=table["role"].replace("test", "exam")),
        lambda table: table.assign(split=["s"] * 3 + ["another"] * (len(table) - 3)),
    ],
    ids=["a column is missing", "another column", "another role", "two splits"],
)
def test_tables_of_other_things_are_no_roles(windows: Windows, tmp_path: Path, change: object) -> None:
    table = change(assign_roles(windows, plan(SUBJECTS)).table)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"columns \[.*roles among|roles of 2 splits"):
        Roles(table)
    write_table(table, tmp_path / "roles.parquet", "roles")
    with pytest.raises(SchemaError, match=r"roles\.parquet: not a readable roles file"):
        read_roles(tmp_path / "roles.parquet")


def literal_samples(windows: Windows, members: np.ndarray) -> set[tuple[str, int]]:
    rows = windows.table.iloc[members]
    return {
        (recording, start + offset)
        for recording, start in zip(rows["recording"], rows["start"], strict=True)
        for offset in range(windows.length)
    }


def test_leakage_counts_agree_with_sets_of_samples(windows: Windows) -> None:
    roles = assign_roles(windows, plan(PAPER, FEW))
    report = count_leakage(windows, roles, PAPER)
    test, train = roles.members(0, "test", FEW), roles.members(0, "train", FEW)
    shared = literal_samples(windows, test) & literal_samples(windows, train)
    subjects = windows.table.loc[train, "subject"].nunique()
    assert shared, "half-overlapping windows share samples"
    (audit,) = report["by_label_budget"]
    assert audit["label_budget"] == "5 %"
    assert audit["windows"] == {"pretrain": len(windows.table), "test": len(test), "train": len(train)}
    assert audit["shared_with"]["train"] == {"raw_samples": len(shared), "windows": 0, "subjects": subjects}
    assert audit["shared_with"]["pretrain"]["windows"] == len(test)
    assert audit["test"]["raw_samples"] == len(literal_samples(windows, test))
    assert audit["test"]["windows"] == len(test)
    assert audit["test"]["subjects"] == windows.table.loc[test, "subject"].nunique()
    assert (report["leak_free"], report["held_out"]) == (False, "none")
    require_leak_free(report, "paper")


def test_a_leak_free_split_shares_nothing(windows: Windows) -> None:
    roles = assign_roles(windows, plan(SUBJECTS, repeats=3))
    report = count_leakage(windows, roles, SUBJECTS)
    assert [audit["label_budget"] for audit in report["by_label_budget"]] == ["5 %", "50 %"]
    for audit in report["by_label_budget"]:
        assert set(audit["shared_with"]) == {"pretrain", "train", "validation"}
        for counts in audit["shared_with"].values():
            assert counts == {"raw_samples": 0, "windows": 0, "subjects": 0}
    require_leak_free(report, "subject_wise")


@pytest.mark.parametrize("role", ["pretrain", "train", "validation"])
def test_a_planted_leak_is_caught(windows: Windows, role: str) -> None:
    roles = assign_roles(windows, plan(SUBJECTS, repeats=2))
    leak = roles.members(1, "test", HALF)[:1]
    budget = None if role == "pretrain" else "50 %"
    planted = pd.DataFrame({"split": "s", "repeat": 1, "label_budget": budget, "window": leak, "role": role})
    leaking = Roles(pd.concat([roles.table, planted.astype({"label_budget": object})], ignore_index=True))
    report = count_leakage(windows, leaking, SUBJECTS)
    with pytest.raises(LeakageError, match=f"'s' claims .* 64 raw samples, 1 windows, 1 subjects with role '{role}'"):
        require_leak_free(report, "s")


def test_a_neighbour_that_overlaps_in_time_is_caught(windows: Windows) -> None:
    """A window that is not a test window itself, but shares half its samples with one."""
    roles = Roles(
        pd.DataFrame({"split": "s", "repeat": 0, "label_budget": "50 %", "window": [0, 1], "role": ["train", "test"]})
    )
    report = count_leakage(windows, roles, SUBJECTS)
    assert report["by_label_budget"][0]["shared_with"]["train"] == {"raw_samples": 32, "windows": 0, "subjects": 1}
    with pytest.raises(LeakageError):
        require_leak_free(report, "s")


def test_classes_without_a_test_window_are_found_by_repeat() -> None:
    members = {0: {"train": [0, 1, 2, 3], "test": [4, 5]}, 2: {"train": [5, 4], "test": [0, 1, 6]}}
    rows = [
        {"split": "s", "repeat": repeat, "label_budget": budget, "window": window, "role": role}
        for repeat, by_role in members.items()
        for budget in ("10 %", "50 %")
        for role, windows in by_role.items()
        for window in windows
    ]
    classes = np.array([0, 1, 1, 2, 2, 3, -1])
    assert Roles(pd.DataFrame(rows)).untested(classes, 5) == {0: [0], 1: [0], 2: [2], 3: [2], 4: [0, 2]}


def test_every_class_is_tested_where_nothing_is_held_out(windows: Windows) -> None:
    settings = SUBJECTS.model_copy(update={"held_out": "none", "leak_free": False, "pretrain_on": "all"})
    assert assign_roles(windows, plan(settings)).untested(windows.classes(), windows.class_count) == {}
