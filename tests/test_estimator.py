"""The estimator keeps scikit-learn's conventions, on windows instead of tables."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

from contrastive_har.estimator import ActivityClassifier, method_names
from contrastive_har.files.stamps import SchemaError
from contrastive_har.signals.arrays_of_labels import are_labels, as_array, natural
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import recognise

TINY: dict[str, Any] = {
    "objective": {"name": "contrastive"},
    "encoder": {"name": "tpn", "channels": [4], "kernels": [1], "dropout": 0.0},
}


@pytest.fixture(scope="module")
def labelled(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows, activity names and subjects."""
    names = np.array(windows.description.class_names)[windows.classes()]
    return windows.signals, names, windows.table["subject"].to_numpy().astype(str)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(["a", "b", None, "a"]),
        pd.Series(["a", "b", None, "a"], dtype="string"),
        pd.Series(["a", "b", None, "a"], dtype="category"),
        pd.Series([0, 1, None, 0], dtype="Int64"),
        np.array(["a", "b", "-1", "a"]),
        np.array(["a", "b", -1, "a"], object),
        np.array([0.0, 1.0, -1.0, 0.0], object),
        np.array([0.0, 1.0, np.nan, 0.0]),
        ["a", "b", float("nan"), "a"],
        ["a", "b", None, "a"],
        [0, 1, None, 0],
        [0, 1, -1, 0],
    ],
)
def test_missing_labels_are_no_labels(labels: Any) -> None:
    values = as_array(labels)
    assert are_labels(values).tolist() == [True, True, False, True]
    found = np.unique(natural(values[are_labels(values)]))
    assert len(found) == 2
    assert type_of_target(natural(values[are_labels(values)])) == "binary"


def test_a_fit_that_fails_leaves_the_model_of_the_one_before(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    classifier = ActivityClassifier(TINY, epochs=1, random_state=0).fit(signals, names)
    before = classifier.predict(signals)
    with pytest.raises(ValueError, match="epochs is 0"):
        classifier.set_params(epochs=0).fit(signals, np.where(names == "run", "x", "y"))
    np.testing.assert_array_equal(classifier.predict(signals), before)


@pytest.fixture(scope="module")
def fitted(labelled: tuple[np.ndarray, np.ndarray, np.ndarray]) -> ActivityClassifier:
    signals, names, _ = labelled
    few = names.astype(object)
    few[30:] = -1
    few[::7] = names[::7]
    classifier = ActivityClassifier("simclr", epochs=2, channels=["acc_x", "acc_y", "acc_z"], random_state=0)
    return classifier.fit(signals, few)


def test_few_labels_recognise_the_others(fitted: ActivityClassifier, labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    assert fitted.score(signals, names) > 0.9
    assert fitted.classes_.tolist() == ["rest", "run", "walk"]
    probabilities = fitted.predict_proba(signals)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)], fitted.predict(signals))
    assert fitted.transform(signals).shape == (len(signals), 96)
    assert fitted.history_["epoch"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "as_labels",
    [
        lambda names: names,
        lambda names: np.unique(names, return_inverse=True)[1] + 5,
        lambda names: np.unique(names, return_inverse=True)[1] * 2.0,
        lambda names: names == "run",
        lambda names: names.astype(object),
    ],
    ids=["text", "whole numbers", "numbers", "booleans", "objects"],
)
def test_labels_of_any_type_come_back(
    labelled: tuple[np.ndarray, ...], as_labels: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    signals, names, _ = labelled
    labels = as_labels(names)
    classifier = ActivityClassifier(TINY, epochs=1, random_state=0).fit(signals, labels)
    predicted = classifier.predict(signals)
    assert set(predicted.tolist()) <= set(labels.tolist())
    classifier.save(tmp_path / "model.safetensors")
    loaded = ActivityClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(signals), predicted)
    assert loaded.get_params() == classifier.get_params()


def test_the_same_seed_gives_the_same_numbers(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    state = torch.get_rng_state()
    first, again, other = (
        ActivityClassifier(TINY, epochs=1, random_state=seed).fit(signals, names).predict_proba(signals)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random state is left alone"


def test_unlabelled_windows_are_learned_from(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    labels = names.astype(object)
    labels[20:] = -1
    labels[[25, 40, 60]] = ["rest", "walk", "run"]
    with_all = ActivityClassifier(TINY, epochs=1, random_state=0).fit(signals, labels)
    kept = labels != -1
    alone = ActivityClassifier(TINY, epochs=1, random_state=0).fit(signals[kept], labels[kept])
    assert not np.array_equal(with_all.transform(signals), alone.transform(signals))


def test_modalities_come_as_a_mapping(labelled: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    signals, names, _ = labelled
    both = {"accelerometer": signals, "magnetometer": signals[..., :2]}
    names_of = {"accelerometer": ["a_x", "a_y", "a_z"], "magnetometer": ["m_x", "m_y"]}
    classifier = ActivityClassifier(TINY, epochs=1, channels=names_of, random_state=0).fit(both, names)
    assert classifier.transform(both).shape == (len(signals), 2 * 4)
    assert list(classifier.recogniser_.description.layout(64).modalities) == list(both)
    classifier.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        ActivityClassifier.load(tmp_path / "model.safetensors").predict(both), classifier.predict(both)
    )
    turned = dict(reversed(both.items()))
    np.testing.assert_array_equal(classifier.predict_proba(turned), classifier.predict_proba(both))
    for unknown in ({"a": signals, "b": signals[..., :2]}, {"accelerometer": signals}):
        with pytest.raises(ValueError, match="but the model was trained on accelerometer, magnetometer"):
            classifier.predict(unknown)
    with pytest.raises(ValueError, match=r"X has channels .*'accelerometer': 2.* trained on .*'accelerometer': 3"):
        classifier.predict({"accelerometer": signals[..., :2], "magnetometer": signals})
    with pytest.raises(ValueError, match="same windows and samples"):
        classifier.fit({"a": signals, "b": signals[:5]}, names)
    with pytest.raises(ValueError, match="give channels as a mapping"):
        ActivityClassifier(TINY, channels=["a_x"]).fit(both, names)


def test_rotation_needs_to_know_the_sensors(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    unknown = ActivityClassifier("simclr_strong", epochs=1, random_state=0)
    with pytest.warns(UserWarning, match=r"made without rotation\. Pass channels="):
        unknown.fit(signals, names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = clone(unknown).set_params(channels=["acc_x", "acc_y", "acc_z"]).fit(signals, names)
        declared = clone(unknown).set_params(sensors=["acc"] * 3).fit(signals, names)
    np.testing.assert_array_equal(named.transform(signals), declared.transform(signals))
    assert not np.array_equal(named.transform(signals), unknown.transform(signals))
    with pytest.raises(ValueError, match="sensor 'acc' has 2"):
        clone(unknown).set_params(sensors=["acc", "acc", None]).fit(signals, names)


def test_views_by_modality_are_those_of_all_where_there_is_one(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    found = []
    views = [[{"name": "rotation"}, {"name": "scaling"}], []]
    for given in (views, {"other": views}):
        own = {**TINY, "objective": {"name": "contrastive", "views": given}}
        with pytest.warns(UserWarning, match=r"made without rotation\. Pass channels="):
            found.append(ActivityClassifier(own, epochs=1, random_state=0).fit(signals, names).transform(signals))
    np.testing.assert_array_equal(*found)


def test_the_file_is_the_recognisers_own(
    fitted: ActivityClassifier, labelled: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    signals, _, _ = labelled
    fitted.save(tmp_path / "model.safetensors")
    recogniser = read_recogniser(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(recognise(recogniser.build(), signals), fitted.predict_proba(signals))
    assert recogniser.description.class_names == ["rest", "run", "walk"]
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(SchemaError, match=r"model\.safetensors"):
        ActivityClassifier.load(tmp_path / "model.safetensors")


def test_searches_and_groups_of_scikit_learn(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, subjects = labelled
    search = GridSearchCV(
        ActivityClassifier(TINY, random_state=0), {"epochs": [1, 2]}, cv=GroupKFold(2), error_score="raise"
    )
    search.fit(signals, names, groups=subjects)
    assert search.best_params_["epochs"] in (1, 2)
    scores = cross_val_score(
        ActivityClassifier(TINY, epochs=1, random_state=0), signals, names, groups=subjects, cv=GroupKFold(2)
    )
    assert scores.shape == (2,)


def test_nothing_works_before_it_is_fitted(labelled: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    signals, _, _ = labelled
    classifier = ActivityClassifier()
    for method in (classifier.predict, classifier.predict_proba, classifier.transform):
        with pytest.raises(NotFittedError):
            method(signals)
    with pytest.raises(NotFittedError):
        classifier.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:, :, 0], y), r"three dimensions .* X\[:, :, np.newaxis\]"),
        (lambda x, y: (x, y[:-1]), r"y has the shape \(\d+,\), but X has"),
        (
            lambda x, y: (np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x), y),
            "window 0, sample 2, channel 1",
        ),
        (lambda x, y: (x, np.full(len(y), "rest")), "two classes are the least"),
        (lambda x, y: (x, np.full(len(y), -1)), "0 class besides -1"),
        (lambda x, y: (x[:, :10], y), "windows of 10 samples are too short for method 'simclr': 46 needed"),
        (lambda x, y: (x.astype(str), y), "X must be numbers"),
        (lambda x, y: (x, np.arange(len(y)) / 3), "Unknown label type"),
    ],
)
def test_bad_input_is_refused_with_a_cure(
    labelled: tuple[np.ndarray, ...], change: Callable[..., Any], message: str
) -> None:
    signals, names, _ = labelled
    with pytest.raises(ValueError, match=message):
        ActivityClassifier("simclr", epochs=1).fit(*change(signals, names))


@pytest.mark.parametrize("epochs", [0, -3, 1.5, True, "2"])
def test_epochs_are_a_whole_number(labelled: tuple[np.ndarray, ...], epochs: Any) -> None:
    signals, names, _ = labelled
    with pytest.raises(ValueError, match="it has to be a whole number from 1 on"):
        ActivityClassifier(TINY, epochs=epochs).fit(signals, names)
    with pytest.raises(ValueError, match="set the parameter epochs instead"):
        ActivityClassifier({**TINY, "budget": {"epochs": 1}}, epochs=epochs).fit(signals, names)


def with_nan(signals: np.ndarray) -> np.ndarray:
    broken = signals.copy()
    broken[0, 2, 1] = np.nan
    return broken


def test_windows_of_another_shape_are_refused(fitted: ActivityClassifier, labelled: tuple[np.ndarray, ...]) -> None:
    signals, _, _ = labelled
    with pytest.raises(ValueError, match="50 samples and 3 channels, but the model was trained on 64 samples and 3"):
        fitted.predict(signals[:, :50])


@pytest.mark.parametrize(
    ("method", "head", "encoder_is_trained"),
    [("random_init", "logistic", False), ("supervised", "linear", True), ("hand_features", "logistic", False)],
)
def test_the_head_is_trained_as_the_methods_first_evaluation_does(
    labelled: tuple[np.ndarray, ...], method: str, head: str, encoder_is_trained: bool
) -> None:
    signals, names, _ = labelled
    classifier = ActivityClassifier(method, epochs=1, random_state=0).fit(signals, names)
    recogniser = classifier.recogniser_
    assert recogniser.architecture.head.name == head
    assert classifier.score(signals, names) > 0.9
    if method != "hand_features":
        untrained = ActivityClassifier("random_init", epochs=1, random_state=0).fit(signals[:60], names[:60])
        same = [
            torch.equal(value, untrained.recogniser_.weights[name])
            for name, value in recogniser.weights.items()
            if "convolution" in name
        ]
        assert same
        assert all(same) != encoder_is_trained


def test_an_unknown_method_is_refused_with_the_known_ones(labelled: tuple[np.ndarray, ...]) -> None:
    signals, names, _ = labelled
    assert "clusterclhar_strong" in method_names()
    with pytest.raises(ValueError, match="unknown method 'miracle'; known are random_init"):
        ActivityClassifier("miracle").fit(signals, names)


def test_neither_kedro_nor_mlflow_is_imported() -> None:
    code = (
        "import sys, numpy as np\n"
        "from contrastive_har.estimator import ActivityClassifier\n"
        "X = np.random.default_rng(0).normal(size=(20, 64, 3)).astype('float32')\n"
        "ActivityClassifier('simclr', epochs=1).fit(X, np.arange(20) % 2).predict(X)\n"
        "print(sorted({'kedro', 'kedro_datasets', 'mlflow'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "[]"


class Tabular(ActivityClassifier):
    """Takes tables, each row a window of one channel, so that scikit-learn's own checks can be run."""

    def __init__(self, method: Any = None, epochs: int = 1, random_state: Any = None) -> None:
        super().__init__(method, epochs, random_state=random_state)

    def fit(self, X: Any, y: Any) -> Tabular:  # noqa: N803
        X, y = validate_data(self, X, y, dtype="numeric")  # noqa: N806
        self.method, given = self.method or TINY, self.method
        try:
            super().fit(X[:, :, np.newaxis], y)
        finally:
            self.method = given
        return self

    def _check(self, X: Any) -> np.ndarray:  # noqa: N803
        checked: np.ndarray = super()._check(validate_data(self, X, reset=False, dtype="numeric")[:, :, np.newaxis])
        return checked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


NOT_FOR_WINDOWS = {
    "check_classifiers_classes": "it has -1 as a class, which here means that a window has no label",
    "check_classifiers_train": "noise features and two epochs of pre-training need not reach its accuracy",
}
"""Checks that make no sense here, and why."""


@parametrize_with_checks([Tabular()], expected_failed_checks=lambda _: NOT_FOR_WINDOWS)
def test_the_checks_of_scikit_learn(estimator: Tabular, check: Callable[[Any], None]) -> None:
    if "sparse" in str(check):
        pytest.skip("windows are dense")
    check(estimator)
