from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_har.scores.metrics import macro_f1
from contrastive_har.signals.leakage import LeakageError, count_leakage, require_leak_free
from contrastive_har.signals.splits import (
    LabelFraction,
    SplitError,
    SplitSettings,
    assign_roles,
    natural_order,
    windows_with_role,
)
from contrastive_har.signals.windows import Windows

PAPER = SplitSettings(title="Paper", leak_free=False, held_out="none", pretrain_on="all")
SUBJECTS = SplitSettings(title="Subjects", leak_free=True, held_out="subjects", pretrain_on="train")
SPLITS = {"paper": PAPER, "subject_wise": SUBJECTS}
FRACTIONS = [LabelFraction(share=0.05, batch_size=4), LabelFraction(share=0.5, batch_size=4)]


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.9), held=st.floats(0.1, 0.5), kept=st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_roles_divide_the_windows(windows: Windows, seed: int, share: float, held: float, kept: float) -> None:
    chosen = {
        "paper": PAPER,
        "subject_wise": SUBJECTS.model_copy(update={"test_share": held, "validation_share": kept}),
    }
    table = assign_roles(windows, chosen, [LabelFraction(share=share, batch_size=4)], 2, seed)
    everything = set(range(len(windows.table)))
    subjects = windows.table["subject"].to_numpy()
    classes = windows.classes()
    for repeat in range(2):
        train, test = (set(windows_with_role(table, "paper", repeat, role, share)) for role in ("train", "test"))
        assert train | test == everything
        assert not train & test
        assert set(windows_with_role(table, "paper", repeat, "pretrain")) == everything

        roles = {
            role: windows_with_role(table, "subject_wise", repeat, role, share)
            for role in ("train", "validation", "test")
        }
        roles["pretrain"] = windows_with_role(table, "subject_wise", repeat, "pretrain")
        people = {role: set(subjects[members]) for role, members in roles.items()}
        assert not people["test"] & (people["train"] | people["pretrain"] | people["validation"])
        assert not people["validation"] & (people["train"] | people["pretrain"])
        assert set(roles["train"]) <= set(roles["pretrain"])
        assert people["test"] | people["validation"] | people["pretrain"] == set(subjects)
        assert set(classes[roles["train"]]) == {0, 1, 2}


def test_drawn_shares_are_stratified(windows: Windows) -> None:
    table = assign_roles(windows, SPLITS, FRACTIONS, 1, 0)
    classes = windows.classes()
    drawn = np.bincount(classes[windows_with_role(table, "paper", 0, "train", 0.5)])
    np.testing.assert_array_equal(drawn, np.round(np.bincount(classes) * 0.5))


def test_every_subject_is_tested_in_turn(windows: Windows) -> None:
    table = assign_roles(windows, SPLITS, FRACTIONS, 5, 0)
    subjects = windows.table["subject"].to_numpy()
    tested = [set(subjects[windows_with_role(table, "subject_wise", repeat, "test", 0.05)]) for repeat in range(5)]
    assert all(len(people) == 2 for people in tested)
    assert set.union(*tested) == set(subjects)


def test_the_second_time_round_people_are_tested_together_with_others(windows: Windows) -> None:
    table = assign_roles(windows, {"s": SUBJECTS}, FRACTIONS[1:], 10, 0)
    subjects = windows.table["subject"].to_numpy()
    tested = [frozenset(subjects[windows_with_role(table, "s", repeat, "test", 0.5)]) for repeat in range(10)]
    assert frozenset.union(*tested[5:]) == set(subjects)
    assert set(tested[:5]) != set(tested[5:])


def test_named_validation_people_are_never_tested(windows: Windows) -> None:
    named = SUBJECTS.model_copy(update={"validation_subjects": {"synthetic": (("4", "5"),)}})
    table = assign_roles(windows, {"s": named}, FRACTIONS[1:], 4, 0)
    subjects = windows.table["subject"].to_numpy()
    tested = [set(subjects[windows_with_role(table, "s", repeat, "test", 0.5)]) for repeat in range(4)]
    assert set.union(*tested) == set(subjects) - {"4", "5"}


def test_few_people_leave_somebody_to_validate_on(windows: Windows) -> None:
    few = windows.table[windows.table["subject"].isin(["1", "2", "3"])].reset_index(drop=True)
    table = assign_roles(replace(windows, table=few), {"s": SUBJECTS}, FRACTIONS[1:], 3, 0)
    assert set(table["role"]) == {"pretrain", "train", "validation", "test"}
    nobody = SUBJECTS.model_copy(update={"validation_share": 0})
    assert "validation" not in set(assign_roles(windows, {"s": nobody}, FRACTIONS, 1, 0)["role"])


def test_fixed_test_subjects(windows: Windows) -> None:
    fixed = SplitSettings.model_validate(
        {
            **SUBJECTS.model_dump(),
            "test_subjects": {"synthetic": [[3, 7], [1]], "another": [[2]]},
            "validation_subjects": {"synthetic": [[4]]},
        }
    )
    table = assign_roles(windows, {"s": fixed}, FRACTIONS, 2, 0)
    for repeat in range(2):
        members = windows_with_role(table, "s", repeat, "test", 0.05)
        assert set(windows.table["subject"].to_numpy()[members]) == ({"3", "7"}, {"1"})[repeat]
        kept = windows_with_role(table, "s", repeat, "validation", 0.05)
        assert set(windows.table["subject"].to_numpy()[kept]) == {"4"}


def test_one_split_does_not_depend_on_another(windows: Windows) -> None:
    together = assign_roles(windows, SPLITS, FRACTIONS, 2, 0)
    alone = assign_roles(windows, {"subject_wise": SUBJECTS}, FRACTIONS[1:], 2, 0)
    np.testing.assert_array_equal(
        windows_with_role(together, "subject_wise", 1, "train", 0.5),
        windows_with_role(alone, "subject_wise", 1, "train", 0.5),
    )


def test_unlabelled_windows_serve_pretraining_only(windows: Windows) -> None:
    half = windows.table.assign(activity=np.where(windows.table.index % 2, -1, windows.table["activity"]))
    table = assign_roles(replace(windows, table=half), SPLITS, FRACTIONS, 1, 0)
    unlabelled = set(half.index[half["activity"] == -1])
    used = table[table["window"].isin(unlabelled)]
    assert set(used["role"]) == {"pretrain"}


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"test_subjects": {"synthetic": (("nobody",),)}}, "do not have"),
        (
            {"test_subjects": {"synthetic": (("1", "2"),)}, "validation_subjects": {"synthetic": (("2",),)}},
            r"tests and validates on \['2'\]",
        ),
        ({"test_share": 0.9, "validation_share": 0.5}, "nobody is left"),
    ],
)
def test_impossible_hold_outs_are_refused(windows: Windows, update: dict[str, object], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        assign_roles(windows, {"s": SUBJECTS.model_copy(update=update)}, FRACTIONS, 1, 0)


def test_all_labels_leave_nothing_to_test_on(windows: Windows) -> None:
    with pytest.raises(SplitError, match="labels 100 % of the windows, which leaves none of 'rest' to test on: lower"):
        assign_roles(windows, {"p": PAPER}, [LabelFraction(share=1, batch_size=4)], 1, 0)


def test_a_share_that_leaves_a_class_nothing_to_test_on_is_refused(windows: Windows) -> None:
    rare = windows.table["activity"].where(windows.table["activity"] != 1, -1)
    rare[np.flatnonzero(windows.table["activity"] == 1)[0]] = 1  # one window of walking
    few = replace(windows, table=windows.table.assign(activity=rare))
    with pytest.raises(SplitError, match=r"leaves none of 'walk' to test on: .* with a single window needs more"):
        assign_roles(few, {"p": PAPER}, FRACTIONS, 1, 0)


def test_test_subjects_who_have_not_done_everything_are_told(
    windows: Windows, caplog: pytest.LogCaptureFixture
) -> None:
    idle = windows.table.assign(
        activity=windows.table["activity"].where(windows.table["subject"] != "1", other=0).to_numpy()
    )
    named = {"s": SUBJECTS.model_copy(update={"test_subjects": {"synthetic": (("1",),)}})}
    assign_roles(replace(windows, table=idle), named, FRACTIONS, 1, 0)
    assert caplog.messages == [
        f"Split 's' tests on 1, who have no window of '{name}': in macro-F1 it is 0 if any is taken for it."
        for name in ("walk", "run")
    ]
    assert macro_f1(np.diag([9, 0, 0])) == 1
    assert macro_f1(np.array([[8, 1, 0], [0, 0, 0], [0, 0, 0]])) < 0.5
    lying = idle.assign(activity=idle["activity"].where(idle["subject"] != "1", other=-1).to_numpy())
    with pytest.raises(SplitError, match="'s' tests on 1, who have no labelled window"):
        assign_roles(replace(windows, table=lying), named, FRACTIONS, 1, 0)


def test_all_labels_are_for_held_out_people_only(windows: Windows) -> None:
    """Among other fractions, that of all labels is left out where nothing would be left to test on."""
    fractions = [LabelFraction(share=0.5, batch_size=4), LabelFraction(share=1, batch_size=4)]
    roles = assign_roles(windows, {"p": PAPER, "s": SUBJECTS}, fractions, 1, 0)
    assert set(roles[roles["split"] == "p"]["label_fraction"].dropna()) == {0.5}
    everything = windows_with_role(roles, "s", 0, "train", 1.0)
    np.testing.assert_array_equal(everything, windows_with_role(roles, "s", 0, "pretrain"))
    assert len(windows_with_role(roles, "s", 0, "test", 1.0))


def test_a_class_without_windows_is_named(windows: Windows) -> None:
    no_run = windows.table[windows.table["activity"] != 2].reset_index(drop=True)
    with pytest.raises(SplitError, match="no window of 'run'"):
        assign_roles(replace(windows, table=no_run), {"p": PAPER}, FRACTIONS, 1, 0)


def test_natural_order() -> None:
    assert natural_order(["10", "9", "s2", "s10", "s1"]) == ["9", "10", "s1", "s2", "s10"]


def literal_samples(windows: Windows, members: np.ndarray) -> set[tuple[str, int]]:
    rows = windows.table.iloc[members]
    return {
        (recording, start + offset)
        for recording, start in zip(rows["recording"], rows["start"], strict=True)
        for offset in range(windows.length)
    }


def test_leakage_counts_agree_with_sets_of_samples(windows: Windows) -> None:
    table = assign_roles(windows, SPLITS, FRACTIONS[:1], 1, 0)
    report = count_leakage(windows, table, SPLITS)
    test = windows_with_role(table, "paper", 0, "test", 0.05)
    train = windows_with_role(table, "paper", 0, "train", 0.05)
    shared = literal_samples(windows, test) & literal_samples(windows, train)
    people = windows.table.loc[train, "subject"].nunique()
    assert shared, "half-overlapping windows share samples"
    (audit,) = report["paper"]["by_label_fraction"]
    assert audit["windows"] == {"pretrain": len(windows.table), "test": len(test), "train": len(train)}
    assert audit["shared_with"]["train"] == {"raw_samples": len(shared), "windows": 0, "subjects": people}
    assert audit["shared_with"]["pretrain"]["windows"] == len(test)
    assert audit["test"]["raw_samples"] == len(literal_samples(windows, test))
    require_leak_free(report)


def test_a_leak_free_split_shares_nothing(windows: Windows) -> None:
    table = assign_roles(windows, SPLITS, FRACTIONS, 3, 0)
    report = count_leakage(windows, table, SPLITS)
    for audit in report["subject_wise"]["by_label_fraction"]:
        for counts in audit["shared_with"].values():
            assert counts == {"raw_samples": 0, "windows": 0, "subjects": 0}


@pytest.mark.parametrize("role", ["pretrain", "train", "validation"])
def test_a_planted_leak_is_caught(windows: Windows, role: str) -> None:
    table = assign_roles(windows, SPLITS, FRACTIONS, 2, 0)
    leak = windows_with_role(table, "subject_wise", 1, "test", 0.5)[:1]
    fraction = float("nan") if role == "pretrain" else 0.5
    planted = pd.DataFrame(
        {"split": "subject_wise", "repeat": 1, "label_fraction": fraction, "window": leak, "role": role}
    )
    report = count_leakage(windows, pd.concat([table, planted], ignore_index=True), SPLITS)
    with pytest.raises(LeakageError, match=f"64 raw samples, 1 windows, 1 subjects with role '{role}'"):
        require_leak_free(report)


def test_a_neighbour_that_overlaps_in_time_is_caught(windows: Windows) -> None:
    """A window that is not a test window itself, but shares half its samples with one."""
    everyone = {"s": SUBJECTS.model_copy(update={"leak_free": True})}
    table = pd.DataFrame(
        {"split": "s", "repeat": 0, "label_fraction": 0.5, "window": [0, 1], "role": ["train", "test"]}
    )
    report = count_leakage(windows, table, everyone)
    assert report["s"]["by_label_fraction"][0]["shared_with"]["train"] == {
        "raw_samples": 32,
        "windows": 0,
        "subjects": 1,
    }
    with pytest.raises(LeakageError):
        require_leak_free(report)
