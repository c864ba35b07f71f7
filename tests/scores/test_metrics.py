"""Metrics against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from contrastive_har.scores import metrics

LABELS = hnp.arrays(np.int64, st.shared(st.integers(2, 60), key="n"), elements=st.integers(0, 4))


@given(true=LABELS, predicted=LABELS)
def test_metrics_are_scikit_learns(true: np.ndarray, predicted: np.ndarray) -> None:
    confusion = metrics.confusion_matrix(true, predicted, 5)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(true, predicted, labels=range(5)))
    kept = {"zero_division": 0.0}
    assert metrics.macro_f1(confusion) == pytest.approx(reference.f1_score(true, predicted, average="macro", **kept))
    assert metrics.weighted_f1(confusion) == pytest.approx(
        reference.f1_score(true, predicted, average="weighted", **kept)
    )
    assert metrics.accuracy(confusion) == pytest.approx(reference.accuracy_score(true, predicted))
    assert metrics.accuracy(confusion) == pytest.approx(reference.f1_score(true, predicted, average="micro"))
    if len(set(true) | set(predicted)) > 1:
        assert metrics.cohen_kappa(confusion) == pytest.approx(reference.cohen_kappa_score(true, predicted))


def test_kappa_of_a_single_class_is_undefined() -> None:
    assert np.isnan(metrics.cohen_kappa(np.array([[5, 0], [0, 0]])))
