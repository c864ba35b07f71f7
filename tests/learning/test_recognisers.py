"""The model for use: how it is chosen, stored, exported and applied to recordings."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tensors import write_tensors
from contrastive_har.learning.evaluation.classifiers import TrainedClassifier
from contrastive_har.learning.pretraining.encoders import EncoderSet, TrainedEncoder, build_encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.reports.timelines import draw_timeline, summarise_timeline
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.recordings import BadRecordingError, Piece
from contrastive_har.signals.windows import Windows
from contrastive_har.use.export import export_onnx
from contrastive_har.use.recognisers import (
    TrainedRecogniser,
    choose_recogniser,
    read_recogniser,
    recognise,
    write_recogniser,
)
from contrastive_har.use.timelines import (
    InferenceSettings,
    Timeline,
    read_timeline,
    recognise_recordings,
    write_timeline,
)
from tests.conftest import ACTIVITIES, RATE
from tests.learning.test_contract import ENCODERS

LENGTH, STRIDE = 64, 32


def make_encoders(windows: Windows, name: str = "small tpn", repeats: int = 2) -> EncoderSet:
    settings: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(ENCODERS[name])
    torch.manual_seed(0)
    shape = windows.signals.shape[1], windows.signals.shape[2]
    normalisation = Normalisation.of(windows.signals)
    made = [TrainedEncoder(build_encoder(settings, shape).state_dict(), normalisation) for _ in range(repeats)]
    return EncoderSet(settings, shape, "fingerprint", tuple(made))


def classifier(encoders: EncoderSet, repeat: int, value: float | None, evaluation: str = "linear") -> TrainedClassifier:
    width = encoders.build(0).features
    weights = {"classifier.weight": torch.randn(3, width), "classifier.bias": torch.full((3,), float(repeat))}
    return TrainedClassifier(repeat, evaluation, 0.1, value, weights)


def scores(**values: float) -> pd.DataFrame:
    rows = [
        {"split": "unseen", "method": method, "evaluation": "linear", "label_fraction": 0.1, "repeat": repeat}
        | {"metric": "macro_f1", "group": group, "value": value + (group != "all")}
        for method, value in values.items()
        for repeat in range(2)
        for group in ("all", "class: rest")
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def recogniser(windows: Windows) -> TrainedRecogniser:
    encoders = make_encoders(windows)
    classifiers = [classifier(encoders, repeat, 0.5) for repeat in range(2)]
    cells = {("unseen", "simclr"): encoders}, {("unseen", "simclr"): classifiers}
    return choose_recogniser(windows, "semi_supervised", *cells, scores(simclr=0.7))


def test_validation_chooses_and_test_scores_do_not(windows: Windows) -> None:
    encoders = make_encoders(windows)
    values = {"lucky": (0.99, 0.1), "good": (0.7, 0.8), "best tested": (0.6, 0.6)}
    classifiers = {
        ("unseen", method): [classifier(encoders, repeat, value) for repeat, value in enumerate(pair)]
        for method, pair in values.items()
    }
    classifiers["paper", "good"] = [classifier(encoders, 0, None)]
    tested = scores(**{"lucky": 0.5, "good": 0.55, "best tested": 0.9})
    chosen = choose_recogniser(windows, "p", dict.fromkeys(classifiers, encoders), classifiers, tested)
    origin = chosen.origin
    assert (origin.split, origin.method, origin.repeat) == ("unseen", "good", 1)
    assert (origin.validation_macro_f1, origin.mean_validation_macro_f1) == (0.8, pytest.approx(0.75))
    assert origin.mean_test_macro_f1 == pytest.approx(0.55)
    assert torch.equal(chosen.weights["classifier.bias"], torch.ones(3))
    only_paper = {("paper", "good"): classifiers["paper", "good"]}
    with pytest.raises(ValueError, match="no validation windows"):
        choose_recogniser(windows, "p", {("paper", "good"): encoders}, only_paper, tested)


def test_a_recogniser_survives_storage(recogniser: TrainedRecogniser, windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    stored = read_recogniser(path)
    assert (stored.description, stored.origin, stored.length) == (recogniser.description, recogniser.origin, LENGTH)
    found = recognise(stored.build(), windows.signals)
    np.testing.assert_array_equal(found, recognise(recogniser.build(), windows.signals))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_the_network_is_normalisation_encoder_and_classifier(recogniser: TrainedRecogniser, windows: Windows) -> None:
    network = recogniser.build()
    normalised = torch.from_numpy(Normalisation.of(windows.signals)(windows.signals[:5]))
    logits = network.encoder(normalised) @ recogniser.weights["classifier.weight"].T
    expected = (logits + recogniser.weights["classifier.bias"]).softmax(1).detach()
    np.testing.assert_allclose(recognise(network, windows.signals[:5]), expected, rtol=1e-5)


@pytest.mark.parametrize("change", ["missing weight", "other width", "no origin", "broken window"])
def test_what_does_not_fit_is_refused(recogniser: TrainedRecogniser, tmp_path: Path, change: str) -> None:
    path = tmp_path / "recogniser.safetensors"
    weights = dict(recogniser.weights)
    header = {
        "description": recogniser.description.model_dump_json(),
        "window": json.dumps({"length": LENGTH, "stride": STRIDE}),
        "encoder": recogniser.encoder.model_dump_json(),
        "origin": recogniser.origin.model_dump_json(),
    }
    if change == "missing weight":
        weights.pop("classifier.bias")
    elif change == "other width":
        weights["classifier.weight"] = torch.zeros(3, 7)
    elif change == "no origin":
        header.pop("origin")
    else:
        header["window"] = "{"
    write_tensors(weights, path, "recogniser", **header)
    with pytest.raises(SchemaError, match=r"recogniser\.safetensors: not a readable recogniser file"):
        read_recogniser(path)


@pytest.mark.parametrize("name", ["tpn", "small tpn", "transformer", "deepconvlstm", "conv_autoencoder", "conv_gru"])
def test_onnx_says_what_torch_says(windows: Windows, name: str) -> None:
    settings: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(ENCODERS[name])
    length = max(settings.shortest_window, 24)  # the exporter writes recurrent layers sample by sample
    windows = replace(windows, length=length, signals=np.ascontiguousarray(windows.signals[:, :length]))
    encoders = make_encoders(windows, name, repeats=1)
    cells = {("unseen", "simclr"): encoders}, {("unseen", "simclr"): [classifier(encoders, 0, 0.5)]}
    recogniser = choose_recogniser(windows, "p", *cells, scores(simclr=0.7))
    model = export_onnx(recogniser)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = recognise(recogniser.build(), windows.signals[:50])
    for count in (1, 3, 50):
        (found,) = session.run(["probabilities"], {"windows": windows.signals[:count]})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    facts = {one.key: json.loads(one.value) for one in onnx.load_from_string(model).metadata_props}
    assert facts["activities"] == list(ACTIVITIES.values())
    assert facts["sampling_rate_hz"] == RATE
    assert facts["channels"][0] == {"name": "x", "unit": "g"}


def pieces(
    seconds: np.ndarray, samples: np.ndarray, cuts: tuple[int, ...] = (), rate: float | None = None, name: str = "r"
) -> Callable[[], Iterator[Piece]]:
    def read() -> Iterator[Piece]:
        parts = zip(np.split(seconds, cuts), np.split(samples, cuts), strict=True)
        for row, (times, values) in zip((0, *cuts), parts, strict=True):
            yield Piece(name, Path("file.csv"), row + 2, times, values, rate)

    return read


def told(timeline: Timeline, folder: Path) -> pd.DataFrame:
    write_timeline(timeline, folder / "timeline.parquet")
    return read_timeline(folder / "timeline.parquet")


def signal(rows: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 3)).cumsum(axis=0) / 10


PROBABILITIES = [f"p({name})" for name in ACTIVITIES.values()]


def test_a_timeline_is_its_windows_and_covers_everything(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    samples = signal(500)
    timeline = told(
        recognise_recordings(pieces(np.arange(500) / RATE, samples), recogniser, InferenceSettings()), tmp_path
    )
    starts = [*range(0, 500 - LENGTH + 1, STRIDE), 500 - LENGTH]
    windows = np.stack([samples[start : start + LENGTH] for start in starts]).astype(np.float32)
    expected = recognise(recogniser.build(), windows)
    np.testing.assert_allclose(timeline[PROBABILITIES], expected, atol=1e-4)
    assert timeline["activity"].tolist() == [list(ACTIVITIES.values())[best] for best in expected.argmax(1)]
    np.testing.assert_allclose(timeline["probability"], expected.max(1), atol=1e-4)
    assert timeline["start"].iloc[0] == 0
    assert timeline["end"].iloc[-1] == 500 / RATE
    np.testing.assert_allclose(timeline["start"].iloc[1:], timeline["end"].iloc[:-1])
    middle = (np.array(starts[1:-1]) + LENGTH / 2) / RATE
    np.testing.assert_allclose((timeline["start"] + timeline["end"]).iloc[1:-1] / 2, middle)


@pytest.mark.parametrize("smoothing", [1, 3, 7])
@pytest.mark.parametrize("rate", [50.0, 104.0, 20.0])
def test_pieces_change_nothing(recogniser: TrainedRecogniser, tmp_path: Path, smoothing: int, rate: float) -> None:
    samples, seconds = signal(900), 5 + np.arange(900) / rate
    settings = InferenceSettings(smoothing=smoothing, stride=0.5)
    whole = told(recognise_recordings(pieces(seconds, samples), recogniser, settings), tmp_path)
    for cuts in ((450,), (1, 2, 3, 40, 41, 600, 899), tuple(range(50, 900, 50))):
        cut = told(recognise_recordings(pieces(seconds, samples, cuts), recogniser, settings), tmp_path)
        pd.testing.assert_frame_equal(cut, whole, atol=1e-5)


def test_smoothing_averages_neighbours(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(900) / RATE, signal(900), tuple(range(100, 900, 100)))
    raw = told(recognise_recordings(read, recogniser, InferenceSettings()), tmp_path)
    smooth = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=5)), tmp_path)
    expected = raw[PROBABILITIES].rolling(5, center=True, min_periods=1).mean()
    np.testing.assert_allclose(smooth[PROBABILITIES], expected, atol=1e-5)
    pd.testing.assert_frame_equal(smooth[["start", "end"]], raw[["start", "end"]])


def test_a_gap_divides_and_a_short_one_is_bridged(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    seconds = np.arange(600) / RATE
    seconds[200:] += 0.1
    seconds[400:] += 10
    for cuts in ((), (200, 400), (399,), (401,)):
        read = pieces(seconds, signal(600), cuts)
        timeline = told(recognise_recordings(read, recogniser, InferenceSettings()), tmp_path)
        breaks = timeline["start"].iloc[1:].to_numpy() - timeline["end"].iloc[:-1].to_numpy()
        assert (breaks > 1e-6).sum() == 1
        assert breaks.max() == pytest.approx(10, abs=2 / RATE)
        assert timeline["end"].iloc[-1] == pytest.approx(seconds[-1] + 1 / RATE)


def test_stretches_shorter_than_a_window_are_not_guessed(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(30) / RATE, signal(30))
    timeline = told(recognise_recordings(read, recogniser, InferenceSettings()), tmp_path)
    assert timeline["activity"].isna().all()
    assert timeline["end"].tolist() == [pytest.approx(30 / RATE)]
    assert "too short" in summarise_timeline(timeline)
    assert draw_timeline(timeline).axes


def test_bad_settings_and_times_are_refused(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(100) / RATE, signal(100))
    with pytest.raises(ValueError, match=r"inference.stride is 2.0 s; choose one of 0.02 to 1.28 s"):
        recognise_recordings(read, recogniser, InferenceSettings(stride=2.0))
    with pytest.raises(ValueError, match="smoothing is 2; an odd number"):
        InferenceSettings(smoothing=2)
    seconds = np.arange(100) / RATE
    seconds[70] = seconds[69]
    for cuts in ((), (70,)):
        with pytest.raises(BadRecordingError, match=r"file.csv, row 72: the time stamp is not later"):
            told(recognise_recordings(pieces(seconds, signal(100), cuts), recogniser, InferenceSettings()), tmp_path)


@pytest.mark.parametrize("largest", [np.inf, np.nan])
def test_what_gives_no_probabilities_is_refused(recogniser: TrainedRecogniser, tmp_path: Path, largest: float) -> None:
    samples = signal(100)
    samples[70:] = [largest, -largest, largest]
    with pytest.raises(ValueError, match=r"^Samples up to (inf|nan) give no probabilities"):
        recognise(recogniser.build(), np.stack([samples[:LENGTH], samples[-LENGTH:]]).astype(np.float32))
    read = pieces(np.arange(100) / RATE, samples, (65, 80))
    with pytest.raises(BadRecordingError, match=r"file.csv, recording 'r', up to row (81|101): Samples up to"):
        told(recognise_recordings(read, recogniser, InferenceSettings()), tmp_path)


@pytest.mark.parametrize("declared", [None, 10.0])
def test_slow_recordings_are_warned_about(
    recogniser: TrainedRecogniser, caplog: pytest.LogCaptureFixture, declared: float | None
) -> None:
    slow = pieces(np.arange(100) / 10, signal(100), (40,), declared)
    list(recognise_recordings(slow, recogniser, InferenceSettings()).rows())
    assert caplog.text.count("Hz, the model learned") == 1
    assert "has 10 Hz, the model learned from 50 Hz" in caplog.text


def test_memory_does_not_grow_with_the_recording(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        def read() -> Iterator[Piece]:
            for part in range(count):
                seconds = (part * 5000 + np.arange(5000)) / 100
                yield Piece("r", Path("file.csv"), 2, seconds, np.ones((5000, 3)) * np.sin(seconds)[:, None], None)

        tracemalloc.start()
        write_timeline(recognise_recordings(read, recogniser, InferenceSettings(smoothing=3)), tmp_path / "t.parquet")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(40) < 1.5 * peak(5)
