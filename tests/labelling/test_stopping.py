"""When to stop: scores on unseen people, learning curves, forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.labelling.heads import LabelledHead
from contrastive_har.labelling.stopping import Labelled, cross_validate, fit_power_law, forecast, learning_curve
from contrastive_har.models.heads.ridge import RidgeSettings
from contrastive_har.scores.metrics import confusion_matrix, macro_f1

HEAD = LabelledHead(RidgeSettings(), [6], ["rest", "walk", "run"])


def labelled(count: int, people: int, noise: float = 0.3) -> Labelled:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, count)
    person = np.arange(count) % people
    points = np.eye(3, 6)[classes] + noise * rng.standard_normal((count, 6))
    return Labelled(points.astype(np.float32), classes, np.array([f"p{one}" for one in person], object))


def test_every_person_is_predicted_by_a_head_that_has_not_seen_them() -> None:
    windows = labelled(60, 4)
    predicted = np.empty(60, np.int64)
    for person in np.unique(windows.people.astype(str)):  # four groups of one person each
        test = windows.people == person
        fitted = HEAD.fit(torch.from_numpy(windows.embeddings[~test]), windows.classes[~test], 0)
        predicted[test] = fitted(torch.from_numpy(windows.embeddings[test])).argmax(1)
    score, low, high = cross_validate(windows, HEAD, 0)
    assert score == pytest.approx(macro_f1(confusion_matrix(windows.classes, predicted, 3)))
    assert low < score < high


def test_people_that_are_recognised_alone_are_not_known() -> None:
    """Each person does one thing: what a head learns from the others is never right."""
    windows = labelled(30, 3)
    own = Labelled(windows.embeddings, np.arange(30) % 3, windows.people)
    assert cross_validate(own, HEAD, 0)[0] == 0


def test_one_person_gives_no_score() -> None:
    assert np.isnan(cross_validate(labelled(10, 1), HEAD, 0)).all()


def test_the_curve_doubles_up_to_all_labels() -> None:
    curve = learning_curve(labelled(50, 5), HEAD, 0)
    assert curve["labels"].tolist() == [3, 6, 12, 25, 50]
    assert curve["macro_f1"].iloc[-1] > curve["macro_f1"].iloc[0]


@pytest.mark.parametrize("exponent", [0.3, 0.8, 1.5])
def test_a_power_law_is_found_again(exponent: float) -> None:
    labels = np.array([6.0, 12, 24, 48, 96])
    scores = 0.9 - 1.2 * labels**-exponent
    assert fit_power_law(labels, scores) == pytest.approx((0.9, 1.2, exponent), rel=0.05)
    found = forecast(pd.DataFrame({"labels": labels, "macro_f1": scores}), 96)
    assert found.gain == pytest.approx(1.2 * (96**-exponent - 192**-exponent), abs=1e-3)
    assert found.text.startswith("96 more labels are expected to add")


def test_scores_that_fall_promise_nothing_and_none_exceeds_one() -> None:
    labels = [6, 12, 24, 48]
    assert forecast(pd.DataFrame({"labels": labels, "macro_f1": [0.9, 0.8, 0.7, 0.6]}), 10).gain == 0
    rising = forecast(pd.DataFrame({"labels": labels, "macro_f1": [0.2, 0.5, 0.8, 0.99]}), 10_000)
    assert 0 <= rising.gain <= 0.01 + 1e-9


def test_few_rounds_give_no_forecast() -> None:
    found = forecast(pd.DataFrame({"labels": [6, 12, 24], "macro_f1": [0.5, 0.6, np.nan]}), 24)
    assert np.isnan(found.gain)
    assert "2 points of the learning curve are too few" in found.text
