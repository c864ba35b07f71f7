"""Recognisers that spell names: their words in timelines, and their export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from contrastive_har.signals.windows import Windows
from contrastive_har.use.export import export_onnx
from contrastive_har.use.recognisers import TrainedRecogniser, combine, recognise
from contrastive_har.use.timelines import InferenceSettings, recognise_recordings
from tests.conftest import RATE
from tests.use.test_recognisers import SPELLING, TrainedHead, facts, make_encoders, pieces, recogniser, signal, told

__all__ = ["recogniser"]
NAMES = {"rest": "stand slowly", "run": "walk fast"}


@pytest.fixture
def speller(windows: Windows, recogniser: TrainedRecogniser) -> TrainedRecogniser:
    encoders = make_encoders(windows, repeats=1)
    settings = SPELLING.model_copy(update={"names": NAMES})
    torch.manual_seed(1)
    head = settings.build(encoders.build(0).features, windows.description.class_names)
    weights = {f"head.{name}": value for name, value in head.state_dict().items()}
    architecture, state = combine(encoders, TrainedHead(facts(0, 0.5, head=settings), weights), windows)
    return replace(recogniser, architecture=architecture, weights=state)


def test_a_timeline_has_the_probability_of_each_word(speller: TrainedRecogniser, tmp_path: Path) -> None:
    rows = told(
        recognise_recordings(pieces(np.arange(500) / RATE, signal(500)), speller, InferenceSettings(smoothing=1)),
        tmp_path,
    )
    names = speller.description.class_names
    spelled = {name: NAMES.get(name, name).split() for name in names}
    words = sorted({word for of_name in spelled.values() for word in of_name})
    assert [column for column in rows if column.startswith("word(")] == [f"word({word})" for word in words]
    for word in words:
        together = rows[[f"p({name})" for name in names if word in spelled[name]]].sum(axis=1)
        np.testing.assert_allclose(rows[f"word({word})"], together, rtol=1e-5)


def test_words_are_the_same_if_the_decoder_keeps_names_apart(speller: TrainedRecogniser) -> None:
    head = speller.architecture.head
    names = speller.description.class_names
    apart = head.model_copy(update={"shared": False})
    assert apart.classes_by_word(names) == head.classes_by_word(names) != {}


def test_a_timeline_of_other_heads_has_no_words(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    planned = recognise_recordings(
        pieces(np.arange(500) / RATE, signal(500)), recogniser, InferenceSettings(smoothing=1)
    )
    assert not [column for column in told(planned, tmp_path) if column.startswith("word(")]


def test_onnx_spells_what_torch_spells(speller: TrainedRecogniser, windows: Windows) -> None:
    session = onnxruntime.InferenceSession(export_onnx(speller), providers=["CPUExecutionProvider"])
    expected = recognise(speller.build(), windows.signals[:50])
    for count in (1, 3, 50):
        (found,) = session.run(["probabilities"], {"windows": windows.signals[:count]})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
